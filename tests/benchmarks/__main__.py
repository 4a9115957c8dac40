"""Run every benchmark: ``python -m tests.benchmarks [--quick]``; fails where a target is missed."""

from __future__ import annotations

import sys

from tests.benchmarks import codec, lifecycle, stdio

if __name__ == "__main__":
    lifecycle.main()
    sys.exit(max(codec.main(), stdio.main()))
