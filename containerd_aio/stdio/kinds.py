"""The kinds of stdio, as plain calls: ``null pipes inherit streams log_file log_binary log_uri attach``."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from os import PathLike

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio import files, logs
from containerd_aio.stdio.connect import PIPED, ConnectedStdio
from containerd_aio.stdio.console import check_terminal_size
from containerd_aio.stdio.descriptors import DescriptorSink, DescriptorSource
from containerd_aio.stdio.detach import parse_detach_keys
from containerd_aio.stdio.files import ReadableFile, WritableFile
from containerd_aio.stdio.logs import LogFileStdio, LogStdio
from containerd_aio.stdio.pump import Sink, Source
from containerd_aio.stdio.stdio import Stdio


def null() -> Stdio:
    """Connect nothing: the process reads the end, and what it writes goes nowhere."""
    return ConnectedStdio()


def pipes(
    *,
    stdin: bool = False,
    stdout: bool = True,
    stderr: bool = True,
    terminal: bool = False,
    size: tuple[int, int] | None = None,
) -> Stdio:
    """Hand the chosen streams to the caller, as anyio byte streams on the process; the others are ``/dev/null``.

    Where nobody reads, the process waits once the FIFO is full. With ``terminal`` all output comes from stdout;
    ``size`` is the terminal's width and height at first, in characters, and ``resize()`` changes it.

    :raises InvalidArgumentError: if a terminal is to have no stdout, or a size that no terminal has
    """
    _check_terminal(terminal, stdout, size)
    return ConnectedStdio(
        stdin=PIPED if stdin else None,
        stdout=PIPED if stdout else None,
        stderr=PIPED if stderr and not terminal else None,
        terminal=terminal,
        size=size,
    )


def inherit(
    *,
    stdin: bool = True,
    stdout: bool = True,
    stderr: bool = True,
    terminal: bool = False,
    detach_keys: str = "",
    descriptors: tuple[int, int, int] = (0, 1, 2),
) -> Stdio:
    """Connect the chosen streams with this process's own; also those of a process that exists (``container.task()``).

    What is typed or piped into this process is read as it comes, whether the container wants it or not; its end
    ends the input of the process.
    With ``terminal``, or where the process that exists has one, our terminal is in raw mode while the process runs
    (every key goes to the container, Ctrl-C too), and the container's follows its size. It is given back when the
    output ends, when the streams are closed, and when this program ends or is stopped: also by a signal, unless
    that is SIGKILL.
    ``detach_keys``, such as ``"ctrl-p,ctrl-q"``: typing them sets ``process.stdio.detached``; the program, which
    waits for that, lets the process go. It runs on, and waits once the FIFO is full, until somebody attaches.
    Python's own buffers are not flushed: ``print(..., flush=True)`` keeps the order.
    What our streams raise (``BrokenPipeError`` where nobody reads) comes out of deleting the process. That waits
    until they have taken all of the output, however long (``| less``), unless an error ends the process's block.
    ``descriptors``: what to use instead of 0, 1 and 2.

    :raises InvalidArgumentError: if a terminal is to have no stdout, or for keys that are none
    """
    _check_terminal(terminal, stdout)
    return ConnectedStdio(
        stdin=partial(_source_at, descriptors[0]) if stdin else None,
        stdout=partial(_sink_at, descriptors[1]) if stdout else None,
        stderr=partial(_sink_at, descriptors[2]) if stderr and not terminal else None,
        terminal=terminal,
        console=(descriptors[0], descriptors[1]),
        detach_keys=parse_detach_keys(detach_keys),
        patience=math.inf,
    )


def streams(
    stdin: Source | ReadableFile | None = None,
    stdout: Sink | WritableFile | None = None,
    stderr: Sink | WritableFile | None = None,
    *,
    terminal: bool = False,
    size: tuple[int, int] | None = None,
) -> Stdio:
    """Copy from and to streams of the caller's: anyio byte streams (or object streams of bytes), binary files.

    They are not closed. A file is used by a worker thread; one that waits (a pipe, a terminal) holds up the end of
    this program until something comes, where ``inherit()`` and anyio's streams do not. What they raise comes out of
    deleting the process; the process is not disturbed, but the rest of that output is dropped, or its input ends.
    Deleting waits until they have taken all of the output, unless they take nothing for 10 s. The end of ``stdin``
    ends the process's input. ``size``: as ``pipes()`` has it.

    :raises InvalidArgumentError: if one is something else (a text file, say), a terminal has no stdout, or a size
        that none has
    """
    _check_terminal(terminal, stdout is not None, size)
    if stdin is not None:
        files.check_source("stdin", stdin)
    if stdout is not None:
        files.check_sink("stdout", stdout)
    if stderr is not None:
        files.check_sink("stderr", stderr)
    return ConnectedStdio(
        stdin=None if stdin is None else partial(_source_of, stdin),
        stdout=None if stdout is None else partial(_sink_of, stdout),
        stderr=None if stderr is None or terminal else partial(_sink_of, stderr),
        terminal=terminal,
        size=size,
    )


def attach(*, stdin: bool = False, stdout: bool = True, stderr: bool = True) -> Stdio:
    """Hand the chosen streams of a process that exists to the caller; a new process takes ``pipes()``.

    ``inherit()`` and ``streams()`` serve a process that exists too. Two readers of one process share its bytes:
    each gets a part.
    """
    return ConnectedStdio(
        stdin=PIPED if stdin else None,
        stdout=PIPED if stdout else None,
        stderr=PIPED if stderr else None,
        only_attach=True,
    )


def log_file(path: str | PathLike[str]) -> Stdio:
    """Have the shim append stdout and stderr to a file on containerd's host, which is made if missing.

    All of it is there when the process is deleted. Where this process may not make that file, or sees another one
    (as a rule when it is not root, or on another host), the shim may drop the last of stderr: it closes the file
    when stdout ends.

    :raises InvalidArgumentError: if the path is not absolute
    """
    return LogFileStdio(path=os.fspath(path), uri=logs.file_uri(os.fspath(path)))


def log_binary(
    path: str | PathLike[str], args: Mapping[str, str] | None = None, *, terminal: bool = False
) -> Stdio:
    """Have the shim run a program on containerd's host, as its user, that reads the output.

    It gets stdout and stderr as descriptors 3 and 4, and closes 5 when it is ready (containerd's
    ``runtime/logging``). When the process is deleted it is sent SIGTERM, which it should ignore, or else read to the
    end of both first. Each name of ``args`` and its value become two arguments; their order is not kept.

    :raises InvalidArgumentError: if the path is not absolute
    """
    return LogStdio(uri=logs.binary_uri(os.fspath(path), args), terminal=terminal)


def log_uri(uri: str, *, terminal: bool = False) -> Stdio:
    """Send stdout and stderr where a URI says: ``file:///path``, ``binary:///path?name=value``, ``binary-v2``
    (from containerd 2.3 on). ``log_file()`` keeps more of stderr than ``file`` does.

    Never take one from an image or a container's labels: the shim runs ``binary`` as its own user, root.

    :raises InvalidArgumentError: for another scheme, a path that is not absolute, or a terminal's log file
    """
    return LogStdio(uri=logs.checked_uri(uri, terminal=terminal), terminal=terminal)


def _check_terminal(terminal: bool, stdout: bool, size: tuple[int, int] | None = None) -> None:
    if terminal and not stdout:
        raise InvalidArgumentError("a terminal needs stdout: all of its output comes from there")
    if size is not None:
        if not terminal:
            raise InvalidArgumentError("only a terminal has a size: give terminal=True with it")
        check_terminal_size(*size)


def _source_at(descriptor: int, release: ExitStack) -> Source:
    source = DescriptorSource(descriptor)
    release.callback(source.close)
    return source


def _sink_at(descriptor: int, release: ExitStack) -> Sink:
    sink = DescriptorSink(descriptor)
    release.callback(sink.close)
    return sink


def _source_of(given: Source | ReadableFile, _: ExitStack) -> Source:
    return files.as_source(given)


def _sink_of(given: Sink | WritableFile, _: ExitStack) -> Sink:
    return files.as_sink(given)
