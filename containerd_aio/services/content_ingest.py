"""Ingests: writes that are not blobs yet. Beginning one, resuming one, dropping one.

The first message of a write (STAT) takes the lock of a ref and tells how much of it is there already. A stream that
ends without a commit leaves the ingest, so that a later one on the same ref resumes it.

While a STAT waits for a locked ref, it holds the daemon's database, for up to a second. So whoever finds a ref
locked has to come back seldom.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.call import Caller
from containerd_aio._transport.completion import shielded
from containerd_aio.errors import ContainerdError, InvalidArgumentError, UnavailableError, UnknownError
from containerd_aio.services.content_writer import (
    STAT,
    WRITE,
    ContentWriter,
    WriteStream,
    about_ingest,
    ended_early,
)
from containerd_aio.types.digest import check_digest

LOCK_PATIENCE: float = 600.0
"""Seconds that a ref locked by another writer is waited for, at most."""

_FIRST_WAIT: Final = 0.016
_LONGEST_WAIT: Final = 2.0
_ABORT_WAITS: Final = 0.01, 0.1, 0.5
_ABORT: Final = "containerd.services.content.v1.Content/Abort"


@asynccontextmanager
async def open_writer(
    caller: Caller,
    ref: str,
    *,
    total: int = 0,
    expected: str | None = None,
    labels: Mapping[str, str] | None = None,
    keep: bool = True,
) -> AsyncGenerator[ContentWriter, None]:
    """Open a writer, waiting for the ref's lock. With ``keep=False``, drop the ingest unless it is committed."""
    question = _question(ref, total, expected)
    give_up = anyio.current_time() + LOCK_PATIENCE
    for wait in _waits():
        async with caller.duplex(
            WRITE, api.WriteContentRequest, api.WriteContentResponse, about=about_ingest(ref)
        ) as stream:
            try:
                answer = await _ask(caller, stream, question, keep=keep)
            except UnavailableError:
                if anyio.current_time() + wait > give_up:
                    raise
            else:
                writer = ContentWriter(stream, question, answer, labels or {})
                async with _ingest(caller, ref, keep=keep):
                    yield writer
                    await writer.finish()
                return
        await anyio.sleep(wait)


async def abort(caller: Caller, ref: str) -> None:
    """Drop an ingest and its bytes."""
    request = api.AbortRequest(ref=ref)
    for wait in _ABORT_WAITS:
        try:
            await caller.unary(_ABORT, request, Empty, about=about_ingest(ref))
        except UnknownError:
            # "directory not empty": a writer that was cut off is just ending, and writes down when it did.
            await anyio.sleep(wait)
        else:
            return
    await caller.unary(_ABORT, request, Empty, about=about_ingest(ref))


def _question(ref: str, total: int, expected: str | None) -> api.WriteContentRequest:
    if not ref:
        raise InvalidArgumentError("the ref of an ingest must not be empty")
    if total < 0:
        raise InvalidArgumentError(f"ingest {ref!r} cannot have {total} bytes")
    return api.WriteContentRequest(
        action=STAT,
        ref=ref,
        total=total,
        expected="" if expected is None else check_digest(expected),
    )


async def _ask(
    caller: Caller, stream: WriteStream, question: api.WriteContentRequest, *, keep: bool
) -> api.WriteContentResponse:
    """Send STAT and return the answer: the lock is ours then.

    If cancelled meanwhile, containerd may have made an ingest. Whether it did, or whether the lock is another
    writer's, only its answer tells; so that is waited for before the ingest is dropped.
    """

    async def drop() -> None:
        if await stream.receive() is not None:
            await abort(caller, question.ref)

    await stream.send(question)
    try:
        answer = await stream.receive()
    except anyio.get_cancelled_exc_class():
        if not keep:
            await _clean_up(drop)
        raise
    if answer is None:
        raise ended_early(question.ref)
    return answer


@asynccontextmanager
async def _ingest(caller: Caller, ref: str, *, keep: bool) -> AsyncGenerator[None, None]:
    """Drop the ingest if the block fails, unless it is to be kept.

    The stream is still open then, so the lock is ours, and no other writer's work is dropped.
    """
    try:
        yield
    except BaseException:
        if not keep:
            await _clean_up(lambda: abort(caller, ref))
        raise


async def _clean_up(cleanup: Callable[[], Awaitable[None]]) -> None:
    with suppress(ContainerdError):  # what went wrong before is what counts
        await shielded(cleanup)


def _waits() -> Iterator[float]:
    wait = _FIRST_WAIT
    while True:
        yield wait * random.uniform(0.5, 1.0)
        wait = min(wait * 2, _LONGEST_WAIT)
