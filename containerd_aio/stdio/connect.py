"""Connecting a process's FIFOs with what the user gave: the work behind ``pipes()``, ``inherit()``, ``streams()``.

Once it has begun, opening makes no ``await``, so that it cannot be cancelled half-way; and what fails takes back
what was made before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final, Literal, TypeAlias

from anyio.lowlevel import checkpoint_if_cancelled

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.console import Console, terminal_size
from containerd_aio.stdio.detach import DetachableSource
from containerd_aio.stdio.ends import Ends, StdioPaths
from containerd_aio.stdio.fifo import DEFAULT_FIFO_DIR, FifoDirectory, remove_fifos, reported_fifo
from containerd_aio.stdio.opened import PATIENCE, OpenStdio
from containerd_aio.stdio.pump import Sink, Source, input_pump, output_pump
from containerd_aio.stdio.receive import FifoReceiveStream
from containerd_aio.stdio.send import FifoSendStream
from containerd_aio.stdio.stdio import Stdio
from containerd_aio.types.process import ProcessRecord, ProcessState


class _Piped(Enum):
    PIPED = auto()


PIPED: Final = _Piped.PIPED
"""Stands for a stream that the user gets to read or write."""

SourceOpener: TypeAlias = Callable[[ExitStack], Source]
SinkOpener: TypeAlias = Callable[[ExitStack], Sink]
"""Opens what a stream is copied from or to; what must be closed goes on the stack."""

Input: TypeAlias = SourceOpener | Literal[_Piped.PIPED] | None
Output: TypeAlias = SinkOpener | Literal[_Piped.PIPED] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedStdio(Stdio):
    """Streams over FIFOs.

    ``console`` are the descriptors of keyboard and screen for a process that has a terminal, ``detach_keys`` what
    is typed there to leave it. ``patience`` is how long, in seconds, a sink may take nothing before what an ended
    process wrote is cut off.
    """

    stdin: Input = None
    stdout: Output = None
    stderr: Output = None
    console: tuple[int, int] | None = None
    detach_keys: bytes = b""
    only_attach: bool = False
    patience: float = PATIENCE

    def terminal_size(self) -> tuple[int, int] | None:
        if not self.terminal:
            return None
        return self.size or (terminal_size(*reversed(self.console)) if self.console else None)

    @property
    def uses_fifos(self) -> bool:
        return any((self.stdin, self.stdout, self.stderr))

    async def open(
        self,
        *,
        process_id: str,
        fifo_dir: str = DEFAULT_FIFO_DIR,
        for_exec: bool = False,
        daemon_root: str | None = None,
    ) -> OpenStdio:
        if self.only_attach:
            raise InvalidArgumentError("attach() is for a process that exists; a new one takes pipes()")
        await checkpoint_if_cancelled()
        if not self.uses_fifos:
            return OpenStdio(_nowhere(for_exec=for_exec), Ends(ExitStack()), terminal=False)
        with ExitStack() as undo:
            directory = FifoDirectory.make(fifo_dir, process_id)
            undo.callback(directory.remove)
            fifos = StdioPaths(
                stdin=directory.add("stdin") if self.stdin else "",
                stdout=directory.add("stdout") if self.stdout else "",
                stderr=directory.add("stderr") if self.stderr and not self.terminal else "",
            )
            opened = self._connect(
                self._told(fifos), fifos, terminal=self.terminal, remove=directory.remove, shared=False
            )
            undo.pop_all()
        return opened

    async def attach(self, record: ProcessRecord) -> OpenStdio:
        await checkpoint_if_cancelled()
        stdin, stdout, stderr = (reported_fifo(path) for path in (record.stdin, record.stdout, record.stderr))
        fifos = StdioPaths(
            stdin=stdin if stdin and self.stdin else "",
            stdout=stdout if stdout and self.stdout else "",
            stderr=stderr if stderr and self.stderr and not record.terminal and stderr != stdout else "",
        )
        return self._connect(
            StdioPaths(record.stdin, record.stdout, record.stderr),
            fifos,
            terminal=record.terminal,
            remove=partial(remove_fifos, [path for path in (stdin, stdout, stderr) if path]),
            shared=True,
            over=record.status.state is ProcessState.STOPPED,
        )

    def _told(self, fifos: StdioPaths) -> StdioPaths:
        """What Create or Exec is told. runc's shim takes ``""`` for an output only where all three are empty,
        else it tries to open that path; of a terminal it looks at stdin and stdout only."""
        if self.terminal:
            return fifos
        return StdioPaths(fifos.stdin, fifos.stdout or os.devnull, fifos.stderr or os.devnull)

    def _connect(
        self,
        paths: StdioPaths,
        fifos: StdioPaths,
        *,
        terminal: bool,
        remove: Callable[[], None],
        shared: bool,
        over: bool = False,
    ) -> OpenStdio:
        with ExitStack() as undo:
            ends = Ends(undo)
            stdin = _open_input(ends, fifos.stdin, self.stdin, terminal=terminal, keys=self.detach_keys)
            if over and ends.writer is not None:
                ends.writer.reader_has_gone()
            stdout = _open_output(ends, "stdout", fifos.stdout, self.stdout, shared=shared)
            stderr = _open_output(ends, "stderr", fifos.stderr, self.stderr, shared=shared)
            if terminal and self.console is not None:
                keys, screen = self.console
                ends.console = Console(keys if fifos.stdin else None, screen)
                undo.callback(ends.console.leave)
                for pump in ends.outputs:
                    pump.at_end(ends.no_more_to_show)
            ends.release = undo.pop_all()
        return OpenStdio(
            paths,
            ends,
            terminal=terminal,
            size=self.terminal_size(),
            redraw=shared,
            patience=self.patience,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            remove=remove,
        )


def _nowhere(*, for_exec: bool) -> StdioPaths:
    """What Create or Exec is told where nothing is connected.

    Of three empty paths runc makes ``/dev/null``: for an init one of the container's own; for an exec the shim's,
    which go-runc opens for reading, so that each write of the process fails with EBADF (seen on 1.6, 1.7 and 2.1,
    where ``echo`` ended with 1). So an exec is given a pipe, of which the shim copies to ``/dev/null``.
    """
    return StdioPaths("", os.devnull, os.devnull) if for_exec else StdioPaths()


def _open_input(ends: Ends, path: str, given: Input, *, terminal: bool, keys: bytes) -> FifoSendStream | None:
    """Open stdin's end; returned where it is the user's to write."""
    if not path or given is None:
        return None
    ends.writer = FifoSendStream(path, terminal=terminal)
    ends.release.callback(ends.writer.detach)
    if given is PIPED:
        return ends.writer
    source = given(ends.release)
    if keys:
        source = DetachableSource(source, keys, ends.detach)
    ends.input = input_pump(source, ends.writer)
    return None


def _open_output(
    ends: Ends, name: str, path: str, given: Output, *, shared: bool
) -> FifoReceiveStream | None:
    """Open an output's end; returned where it is the user's to read."""
    if not path or given is None:
        return None
    stream = FifoReceiveStream(path, name=name, shared=shared)
    ends.release.callback(stream.abandon)
    ends.readers.append(stream)
    if given is PIPED:
        ends.piped.append(stream)
        return stream
    ends.outputs.append(output_pump(stream, given(ends.release)))
    return None
