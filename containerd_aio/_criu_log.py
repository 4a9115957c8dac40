"""Why CRIU gave up: the runtime says no more than that it did, and where CRIU's log is."""

from __future__ import annotations

import os
import re
import stat
from typing import Final

from containerd_aio.errors import ContainerdError, UnknownError

# "log file: /…/restore.log" (runc), "… path= /…/criu-dump.log: unknown" (the shim, which keeps a copy there).
_PATH: Final = re.compile(r"(?:log file: |path= )(/\S+?\.log)")
_LINE: Final = re.compile(r"(?:\([0-9.]+\) )?(?: *\d+: )?Error \([^)]*\): (.*)")
_TAIL: Final = 256 * 1024
_LINES: Final = 4
_LENGTH: Final = 300
# What CRIU 4 says in each log, also where all goes well.
_HARMLESS: Final = ("rlimit: Can't setup",)


def criu_reasons(message: str) -> list[str]:
    """Return what CRIU's log says is wrong, the first things first; none where the log cannot be read here.

    ``message`` is containerd's answer, which names the log. The log goes with the task's directory: read it before
    the task is deleted.
    """
    found = _PATH.search(message)
    if found is None:
        return []
    try:
        text = _end_of(found[1])
    except OSError:
        return []
    lines = (match[1] for line in text.splitlines() if (match := _LINE.match(line.strip())))
    wanted = dict.fromkeys(_shown(line) for line in lines if not line.startswith(_HARMLESS))
    return list(wanted)[:_LINES]


def _end_of(path: str) -> str:
    # The path comes out of a text: it need not be a log's, and a FIFO would not open.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as log:
        status = os.fstat(log.fileno())
        if not stat.S_ISREG(status.st_mode):
            return ""
        log.seek(max(0, status.st_size - _TAIL))
        return log.read(_TAIL).decode(errors="replace")


def _shown(line: str) -> str:
    # It names files of the container, which may be called anything.
    return "".join(character if character.isprintable() else "?" for character in line[:_LENGTH])


def criu_says(error: ContainerdError, *, local: bool) -> str:
    """Return what CRIU's log adds to the runtime's answer, to be put behind it, or nothing.

    ``local``: containerd is on this host, and so is the log.
    """
    reasons = criu_reasons(error.server_message) if local and isinstance(error, UnknownError) else []
    return f"; CRIU says: {'; '.join(reasons)}" if reasons else ""
