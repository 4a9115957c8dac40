"""A line for each call, for those who look: logger ``containerd_aio.rpc``, level DEBUG.

It says the method, the namespace, how the call ended and how long it took; no contents, no ids.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from containerd_aio.errors import ContainerdError

_log: Final = logging.getLogger("containerd_aio.rpc")


@contextmanager
def traced(method: str, namespace: str) -> Generator[None]:
    """Log how the block, a call, ended."""
    if not _log.isEnabledFor(logging.DEBUG):
        yield
        return
    began = time.perf_counter()
    outcome = "given up"
    try:
        yield
        outcome = "OK"
    except ContainerdError as exc:
        outcome = type(exc).__name__
        raise
    finally:
        _log.debug("%s in %r: %s, %.1f ms", method, namespace, outcome, (time.perf_counter() - began) * 1000)
