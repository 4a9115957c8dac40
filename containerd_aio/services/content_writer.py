"""One ``Content.Write`` stream, between its first question and its end.

Chunks are answered one by one, and a few are sent ahead of the answers: containerd hashes and writes one while the
next are on their way. Two traps of its side (``contentserver``) are met here. A chunk or a COMMIT at offset 0
truncates what is there, so a COMMIT always tells the offset. And a digest that COMMIT repeats after STAT is
looked up before the commit, which has a way out that does not add the blob to the lease; so it is sent once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._transport.call import Duplex
from containerd_aio.errors import DataLossError, FailedPreconditionError, InternalError
from containerd_aio.types.digest import check_digest

CHUNK_SIZE: Final = 256 * 1024
"""Bytes in a message of a write."""

IN_FLIGHT: Final = 4
"""Chunks that are sent ahead of their answers. Of 256 KiB each, more of them made nothing faster."""

WRITE: Final = "containerd.services.content.v1.Content/Write"

# betterproto's members are plain ints to the type checker.
STAT: Final = api.WriteAction(api.WriteAction.STAT)
_APPEND: Final = api.WriteAction(api.WriteAction.WRITE)
_COMMIT: Final = api.WriteAction(api.WriteAction.COMMIT)

WriteStream: TypeAlias = Duplex[api.WriteContentRequest, api.WriteContentResponse]


class ContentWriter:
    """An ingest that is being written to; it holds the lock of its ref. ``Content.writer()`` makes it.

    One task at a time may use it. A call that failed or was cancelled leaves it unusable, since nobody here
    knows how much arrived: open a new writer on the ref, its ``offset`` tells.
    """

    def __init__(
        self,
        stream: WriteStream,
        question: api.WriteContentRequest,
        answer: api.WriteContentResponse,
        labels: Mapping[str, str],
    ) -> None:
        self._stream = stream
        self._ref = question.ref
        self._expected = question.expected
        self._labels = labels
        self._digest = answer.digest
        self._sent = answer.offset
        self._buffer = bytearray()
        self._unanswered: deque[int] = deque()
        self._state: Literal["new", "written", "busy", "committed"] = "new"

    @property
    def ref(self) -> str:
        """The name of the ingest."""
        return self._ref

    @property
    def offset(self) -> int:
        """Where the next byte goes: once opened, the number of bytes that are there already."""
        return self._sent + len(self._buffer)

    @property
    def digest(self) -> str:
        """The digest of all bytes that containerd has confirmed; ``flush()`` has it confirm all."""
        return self._digest

    def restart(self) -> None:
        """Begin again at offset 0: containerd drops what is there on the next message.

        :raises FailedPreconditionError: if something was written through this writer already
        """
        if self._state != "new":
            raise self._refusal("was written to; a new writer can restart")
        self._sent = 0

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; they are sent in messages of 256 KiB, the rest with what follows.

        Up to four messages are not answered yet when this returns: if containerd fails on one, a later call
        tells. If cancelled, part of the bytes may be written.

        :raises FailedPreconditionError: if the writer was committed, or an earlier call on it was cut off
        :raises DataLossError: if containerd wrote less than it was sent
        :raises InternalError: if containerd ended the stream
        """
        with self._working("written"):
            view = memoryview(data).cast("B")
            if self._buffer:
                missing = CHUNK_SIZE - len(self._buffer)
                self._buffer += view[:missing]
                view = view[missing:]
                if len(self._buffer) == CHUNK_SIZE:
                    await self._send_buffer()
            whole = view.nbytes - view.nbytes % CHUNK_SIZE
            for start in range(0, whole, CHUNK_SIZE):
                await self._send_chunk(bytes(view[start : start + CHUNK_SIZE]))
            self._buffer += view[whole:]

    async def flush(self) -> None:
        """Wait until containerd has written all that ``write()`` took; then ``digest`` is that of it all.

        Not needed before ``commit()``, nor at the end of the block: both do it. Errors as with ``write()``.
        """
        with self._working("written"):
            await self._send_buffer()
            await self._receive_all()

    async def commit(
        self, *, size: int = 0, expected: str | None = None, labels: Mapping[str, str] | None = None
    ) -> str:
        """Turn the ingest into a blob and return its digest. The writer is at its end then.

        containerd compares ``size`` (bytes; 0 for any) and ``expected`` (a digest) with what is there;
        ``labels`` are added to those of the writer. If cancelled, the blob may exist.

        :raises FailedPreconditionError: if size or digest differ; the bytes stay, of no use: ``restart()`` a
            new writer or ``abort()`` the ref. Also if this writer was committed or cut off before
        :raises AlreadyExistsError: if the blob exists; the ingest is gone, and no label was set
        :raises InvalidArgumentError: if ``expected`` is no digest, or a label is longer than 4096 bytes
        """
        known = expected is None or check_digest(expected) == self._expected
        with self._working("committed"):
            await self._send_buffer()
            request = api.WriteContentRequest(
                action=_COMMIT,
                total=size,
                expected="" if known or expected is None else expected,
                offset=self._sent,
                labels={**self._labels, **(labels or {})},
            )
            self._unanswered.append(self._sent)
            await self._send(request, end=True)
            await self._receive_all()
        return self._digest

    async def finish(self) -> None:
        """End the stream in good order, unless it was committed or cut off. Leaving the block calls this.

        When containerd has ended its side too, all is written and the lock is free. After a mere reset it ends
        the ingest at some later time, and an ``abort()`` that comes meanwhile can fail.
        """
        if self._state in ("busy", "committed"):
            return
        with self._working("committed"):
            await self._send_buffer()
            # STAT is the one message that changes nothing.
            await self._send(api.WriteContentRequest(action=STAT), end=True)
            await self._receive_all()
            while await self._stream.receive() is not None:
                pass

    async def _send_buffer(self) -> None:
        if self._buffer:
            chunk = bytes(self._buffer)
            self._buffer.clear()
            await self._send_chunk(chunk)

    async def _send_chunk(self, chunk: bytes) -> None:
        while len(self._unanswered) >= IN_FLIGHT:
            await self._receive()
        request = api.WriteContentRequest(action=_APPEND, offset=self._sent, data=chunk)
        self._sent += len(chunk)
        self._unanswered.append(self._sent)
        await self._send(request)

    async def _send(self, request: api.WriteContentRequest, *, end: bool = False) -> None:
        try:
            await self._stream.send(request, end=end)
        except FailedPreconditionError as error:
            if error.server_message:
                raise
            raise ended_early(self._ref) from error  # the stream takes no more: it ended without a reason

    async def _receive_all(self) -> None:
        while self._unanswered:
            await self._receive()

    async def _receive(self) -> None:
        answer = await self._stream.receive()
        if answer is None:
            raise ended_early(self._ref)
        offset = self._unanswered.popleft()
        if answer.offset != offset:
            raise DataLossError(
                f"ingest {self._ref!r} should have {offset} bytes now; containerd says {answer.offset}",
                method=WRITE,
                subject=about_ingest(self._ref),
            )
        self._digest = answer.digest

    @contextmanager
    def _working(self, after: Literal["written", "committed"]) -> Generator[None, None, None]:
        """Let one call in at a time, and none after one that did not end well."""
        if self._state == "busy":
            raise self._refusal("has a call under way, or one that was cut off; a new writer resumes it")
        if self._state == "committed":
            raise self._refusal("is committed")
        self._state = "busy"
        yield
        self._state = after

    def _refusal(self, state: str) -> FailedPreconditionError:
        return FailedPreconditionError(
            f"the writer of ingest {self._ref!r} {state}", subject=about_ingest(self._ref)
        )


def about_ingest(ref: str) -> str:
    """Return the subject of errors on an ingest."""
    return f"ingest '{ref}'"


def ended_early(ref: str) -> InternalError:
    """Return the error for a stream that containerd ended before its time and without a reason."""
    return InternalError(
        f"containerd ended the write of ingest {ref!r} too early, without an error",
        method=WRITE,
        subject=about_ingest(ref),
    )
