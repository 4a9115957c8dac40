"""What the standard streams of a process are connected to, over FIFOs that the shim and we share.

``kinds`` are what a user passes (a ``Stdio``); opening one gives an ``OpenStdio``, which follows its process from
Create to Delete. ``receive`` and ``send`` are the streams over the FIFOs' ends, ``pump`` copies between them and
the user's own; ``output`` makes one stream of both outputs, in chunks or lines.
"""

from containerd_aio.stdio.console import check_terminal_size
from containerd_aio.stdio.fifo import DEFAULT_FIFO_DIR
from containerd_aio.stdio.kinds import (
    attach,
    inherit,
    log_binary,
    log_file,
    log_uri,
    null,
    pipes,
    streams,
)
from containerd_aio.stdio.opened import OpenStdio
from containerd_aio.stdio.output import LineStream, OutputStream
from containerd_aio.stdio.stdio import Stdio

__all__ = [
    "DEFAULT_FIFO_DIR",
    "LineStream",
    "OpenStdio",
    "OutputStream",
    "Stdio",
    "attach",
    "check_terminal_size",
    "inherit",
    "log_binary",
    "log_file",
    "log_uri",
    "null",
    "pipes",
    "streams",
]
