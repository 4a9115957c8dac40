"""A containerd of one's own: ``async with PrivateDaemon() as daemon``."""

from __future__ import annotations

from containerd_aio.private_daemon._daemon import DaemonFailedError, PrivateDaemon

__all__ = ["DaemonFailedError", "PrivateDaemon"]
