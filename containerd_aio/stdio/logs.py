"""Log URIs: output that the shim hands to a file or to a program of its own, without a client."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from anyio.lowlevel import checkpoint_if_cancelled

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.ends import Ends, StdioPaths
from containerd_aio.stdio.fifo import DEFAULT_FIFO_DIR
from containerd_aio.stdio.opened import OpenStdio
from containerd_aio.stdio.stdio import Stdio
from containerd_aio.types.process import ProcessRecord

_SCHEMES: Final = ("file", "binary", "binary-v2")
_NO_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStdio(Stdio):
    """Both outputs to a log URI; no input, and nothing is open here."""

    uri: str

    @property
    def uses_fifos(self) -> bool:
        return False

    async def open(
        self,
        *,
        process_id: str,
        fifo_dir: str = DEFAULT_FIFO_DIR,
        for_exec: bool = False,
        daemon_root: str | None = None,
    ) -> OpenStdio:
        await checkpoint_if_cancelled()
        return OpenStdio(self._told(daemon_root), Ends(ExitStack()), terminal=self.terminal)

    def _told(self, daemon_root: str | None) -> StdioPaths:
        return StdioPaths(stdout=self.uri, stderr=self.uri)

    async def attach(self, record: ProcessRecord) -> OpenStdio:
        raise InvalidArgumentError(
            "log URIs are for new processes; attach with pipes(), inherit() or streams()"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFileStdio(LogStdio):
    """Both outputs to a file, so that none of them is lost.

    The shim opens the file of a ``file`` URI once for both outputs, and closes it at the end of stdout: what comes
    from stderr after that is lost, always where stdout is closed first, and one time in 3 to 20 where both end with
    the process (seen on 1.6, 1.7 and 2.1). A plain path is opened for each output, unless both are spelled alike;
    so here they are not. But it must exist, where containerd looks for it.
    """

    path: str

    def _told(self, daemon_root: str | None) -> StdioPaths:
        plain = self.path.isprintable() and not _NO_ESCAPE.search(
            self.path
        )  # the shim parses it as a URL first
        if daemon_root is None or not plain or not _made_for_daemon(self.path, daemon_root):
            return StdioPaths(stdout=self.uri, stderr=self.uri)
        return StdioPaths(stdout=self.path, stderr=f"/.{self.path}")


def log_file_path(reported: str) -> str | None:
    """Return the path of the log file that containerd's word for an output names, ``None`` if it names none.

    It is a ``file`` URI, or the path of a regular file.
    """
    parts = urlsplit(reported)
    if parts.scheme == "file" and not parts.netloc:
        return unquote(parts.path)
    return reported if os.path.isabs(reported) and os.path.isfile(reported) else None


def _made_for_daemon(path: str, daemon_root: str) -> bool:
    """Make the file, as the shim would, and tell whether containerd sees the same."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644
        )
        try:
            ours = os.fstat(descriptor)
            return stat.S_ISREG(ours.st_mode) and os.path.samestat(
                ours, os.stat(daemon_root + os.path.realpath(path))
            )
        finally:
            os.close(descriptor)
    except OSError:
        return False  # we may not, or it is not there: the shim tells the user what is wrong with the path


def file_uri(path: str) -> str:
    """Return the URI of a file that output is appended to.

    :raises InvalidArgumentError: if the path is not absolute
    """
    return "file://" + quote(_absolute(path))


def binary_uri(path: str, args: Mapping[str, str] | None) -> str:
    """Return the URI of a program that reads the output.

    :raises InvalidArgumentError: if the path is not absolute
    """
    query = urlencode(args) if args else ""
    return "binary://" + quote(_absolute(path)) + (f"?{query}" if query else "")


def checked_uri(uri: str, *, terminal: bool) -> str:
    """Return ``uri`` if containerd's shim knows its scheme.

    :raises InvalidArgumentError: if it does not, or if the path is not absolute; a terminal's output goes to
        programs only (the shim opens every other path as a FIFO)
    """
    parts = urlsplit(uri)
    if parts.scheme not in _SCHEMES:
        raise InvalidArgumentError(f"the log URI {uri!r} has none of the schemes {', '.join(_SCHEMES)}")
    if parts.netloc:
        raise InvalidArgumentError(
            f"the log URI {uri!r} names a host; an absolute path follows the two slashes: {parts.scheme}:///…"
        )
    _absolute(parts.path)
    if terminal and parts.scheme == "file":
        raise InvalidArgumentError("a terminal cannot log to a file; use log_binary() or read its output")
    return uri


def _absolute(path: str) -> str:
    if not os.path.isabs(path) or "\0" in path:
        raise InvalidArgumentError(f"the log path {path!r} is not absolute")
    return path
