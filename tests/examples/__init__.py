"""Programs to learn from; tests/integration/test_examples_*.py runs them over real HTTP on a real containerd."""
