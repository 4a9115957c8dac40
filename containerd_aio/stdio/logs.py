"""Log URIs: output that the shim hands to a file or to a program of its own, without a client."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.fifo import DEFAULT_FIFO_DIR
from containerd_aio.stdio.opened import Ends, OpenStdio, StdioPaths
from containerd_aio.stdio.stdio import Stdio
from containerd_aio.types.process import ProcessRecord

_SCHEMES: Final = ("file", "binary", "binary-v2")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStdio(Stdio):
    """Both outputs to a log URI; no input, and nothing is open here."""

    uri: str

    @property
    def uses_fifos(self) -> bool:
        return False

    async def open(
        self, *, process_id: str, fifo_dir: str = DEFAULT_FIFO_DIR, for_exec: bool = False
    ) -> OpenStdio:
        paths = StdioPaths(stdout=self.uri, stderr=self.uri)
        return OpenStdio(paths, Ends(ExitStack()), terminal=self.terminal)

    async def attach(self, record: ProcessRecord) -> OpenStdio:
        raise InvalidArgumentError(
            "log URIs are for new processes; attach with pipes(), inherit() or streams()"
        )


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
