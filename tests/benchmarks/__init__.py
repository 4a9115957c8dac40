"""What things cost; each module runs by itself: ``python -m tests.benchmarks.codec``."""
