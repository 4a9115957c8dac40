"""Calls with many messages: their end, their faults, and that nothing is lost, doubled or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event
from h2.settings import SettingCodes

from containerd_aio._api.containerd.services.content.v1 import (
    ContentBase,
    ReadContentRequest,
    ReadContentResponse,
    WriteContentRequest,
    WriteContentResponse,
)
from containerd_aio._transport.call import Duplex, Incoming
from containerd_aio._transport.codec import Codec
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import (
    AbortedError,
    ClientClosedError,
    ConnectionLostError,
    ContainerdError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    UnavailableError,
)
from tests.transport.peer import Peer, framed, listening, silent, takes_all_and_reads_nothing

Connect = Callable[..., Connection]
Write = Duplex[WriteContentRequest, WriteContentResponse]

READ = "containerd.services.content.v1.Content/Read"
WRITE = "containerd.services.content.v1.Content/Write"


def read(connection: Connection) -> AbstractAsyncContextManager[Incoming[ReadContentResponse]]:
    request = ReadContentRequest(digest="sha256:x")
    return connection.caller("x").server_stream(READ, request, ReadContentResponse, about="blob x")


def write(connection: Connection) -> AbstractAsyncContextManager[Write]:
    return connection.caller("x").duplex(WRITE, WriteContentRequest, WriteContentResponse, about="blob x")


def chunk(text: str) -> ReadContentResponse:
    return ReadContentResponse(data=text.encode())


class Content(ContentBase):
    """A real server: three chunks of any blob, and an echo of what is written."""

    async def read(self, request: ReadContentRequest) -> AsyncIterator[ReadContentResponse]:
        if request.digest == "sha256:none":
            raise GRPCError(Status.NOT_FOUND, "content sha256:none: not found")
        for text in ("one", "two", "three"):
            yield chunk(text)
        if request.digest == "sha256:broken":
            raise GRPCError(Status.UNAVAILABLE, "the disk is gone")

    async def write(
        self, requests: AsyncIterator[WriteContentRequest]
    ) -> AsyncIterator[WriteContentResponse]:
        async for request in requests:
            if request.ref == "locked":
                raise GRPCError(Status.UNAVAILABLE, "ref locked")
            yield WriteContentResponse(offset=request.offset + len(request.data))


@pytest.fixture
async def content(socket_path: Path) -> AsyncIterator[None]:
    """The server; asked for before ``connect``, so that it ends after the connections."""
    server = Server([Content()], codec=Codec())
    await server.start(path=str(socket_path))
    yield
    server.close()
    await server.wait_closed()


# --- one request, many answers


async def test_the_messages_come_in_order_and_the_iteration_ends(content: None, connect: Connect) -> None:
    async with read(connect()) as chunks:
        assert [part.data async for part in chunks] == [b"one", b"two", b"three"]
        assert [part async for part in chunks] == []


async def test_an_error_instead_of_messages(content: None, connect: Connect) -> None:
    request = ReadContentRequest(digest="sha256:none")
    async with (
        connect().caller("x").server_stream(READ, request, ReadContentResponse, about="blob none") as chunks,
    ):
        with pytest.raises(
            NotFoundError, match=r"^Content/Read of blob none: content sha256:none: not found$"
        ):
            await anext(chunks)


async def test_an_error_after_messages_is_raised_each_time(content: None, connect: Connect) -> None:
    """An iteration that was caught and tried again must not look like an end in good order."""
    request = ReadContentRequest(digest="sha256:broken")
    async with (
        connect().caller("x").server_stream(READ, request, ReadContentResponse) as chunks,
    ):
        for expected in (b"one", b"two", b"three"):
            assert (await anext(chunks)).data == expected
        for _ in range(2):
            with pytest.raises(UnavailableError, match="the disk is gone"):
                await anext(chunks)


async def serves_without_end(peer: Peer, left: anyio.Event) -> None:
    """Send one message of a stream that does not end; notice how it is left."""
    peer.begin()
    stream = await peer.request()
    peer.headers(stream)
    peer.message(stream, chunk("one"))
    assert await peer.was_reset() == ErrorCodes.CANCEL
    left.set()


async def test_leaving_early_resets_the_stream_at_once(connect: Connect, socket_path: Path) -> None:
    """grpclib itself would wait for trailers, for ever."""
    left = anyio.Event()
    async with listening(socket_path, lambda peer: serves_without_end(peer, left)):
        with anyio.fail_after(60):
            async with read(connect()) as chunks:
                async for part in chunks:
                    assert part.data == b"one"
                    break
            await left.wait()


async def test_leaving_without_reading_resets_the_stream_too(connect: Connect, socket_path: Path) -> None:
    left = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        await peer.request()
        assert await peer.was_reset() == ErrorCodes.CANCEL
        left.set()

    async with listening(socket_path, play):
        with anyio.fail_after(60):
            async with read(connect()):
                pass
            await left.wait()


async def test_after_the_block_the_stream_is_over(connect: Connect, socket_path: Path) -> None:
    """Also for a task that was left behind in it: neither may wait for ever."""
    async with listening(socket_path, silent):
        with anyio.fail_after(60):
            async with read(connect()) as chunks:
                left_behind = asyncio.ensure_future(anext(chunks))
                await anyio.wait_all_tasks_blocked()
            with pytest.raises(FailedPreconditionError, match="its block was left"):
                await left_behind
            with pytest.raises(FailedPreconditionError, match="its block was left"):
                await anext(chunks)


async def test_an_error_of_the_block_passes_as_it_is(connect: Connect, socket_path: Path) -> None:
    """Also an OSError, which would be a lost connection if it were the call's own."""
    left = anyio.Event()

    async def fails(connection: Connection) -> None:
        async with read(connection) as chunks:
            await anext(chunks)
            raise FileNotFoundError("the user's own")

    async with listening(socket_path, lambda peer: serves_without_end(peer, left)):
        with anyio.fail_after(60):
            with pytest.raises(FileNotFoundError, match=r"^the user's own$"):
                await fails(connect())
            await left.wait()


async def test_a_cancelled_reader_resets_the_stream(connect: Connect, socket_path: Path) -> None:
    left = anyio.Event()
    async with listening(socket_path, lambda peer: serves_without_end(peer, left)):
        with anyio.CancelScope() as scope:
            async with read(connect()) as chunks:
                async for _ in chunks:
                    scope.cancel()
        with anyio.fail_after(60):
            await left.wait()
    assert scope.cancelled_caught


async def test_a_receive_cancelled_in_the_middle_of_a_message_is_resumed(
    connect: Connect, socket_path: Path
) -> None:
    """grpclib would take the rest of the message for the beginning of the next one."""
    data = framed(chunk("a message in two parts"))
    go_on = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.data(stream, data[:9])
        await go_on.wait()
        peer.data(stream, data[9:])
        peer.message(stream, chunk("the next"))
        peer.trailers(stream)
        await peer.next(Event)

    async with listening(socket_path, play), read(connect()) as chunks:
        with anyio.move_on_after(0.05) as scope:
            await anext(chunks)
        assert scope.cancelled_caught
        go_on.set()
        with anyio.fail_after(60):
            assert [part.data async for part in chunks] == [b"a message in two parts", b"the next"]


@pytest.mark.parametrize("size", range(0, 12))
async def test_a_receive_may_be_cancelled_after_every_byte(
    connect: Connect, socket_path: Path, size: int
) -> None:
    data = framed(chunk("twelve"))
    came = anyio.Event()
    go_on = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.data(stream, data[:size])
        came.set()
        await go_on.wait()
        peer.data(stream, data[size:])
        peer.trailers(stream)
        await peer.next(Event)

    async def receive(chunks: Incoming[ReadContentResponse]) -> bytes:
        return (await anext(chunks)).data

    async with listening(socket_path, play), read(connect()) as chunks:
        receiving = asyncio.create_task(receive(chunks))
        await came.wait()
        with anyio.move_on_after(0.01):
            await asyncio.shield(receiving)
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()
        go_on.set()
        with anyio.fail_after(60):
            assert await receive(chunks) == b"twelve"
            with pytest.raises(StopAsyncIteration):
                await anext(chunks)


async def test_what_came_before_the_end_is_read_though_the_connection_is_lost(
    connect: Connect, socket_path: Path
) -> None:
    connected_anew = anyio.Event()

    async def ends(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        for text in ("one", "two", "three"):
            peer.message(stream, chunk(text))
        peer.trailers(stream)

    async def then(peer: Peer) -> None:
        connected_anew.set()
        await silent(peer)

    async with listening(socket_path, ends, then):
        connection = connect()
        async with read(connection) as chunks:
            with anyio.fail_after(60):
                assert (await anext(chunks)).data == b"one"
                while not connected_anew.is_set():  # it connects anew when it has noticed the loss
                    await connection.connect()
                    await checkpoint()
                assert [part.data async for part in chunks] == [b"two", b"three"]


async def gives_one(peer: Peer) -> None:
    peer.begin()
    while True:
        stream = await peer.request()
        peer.headers(stream)
        peer.message(stream, chunk("one"))
        peer.trailers(stream)


async def test_a_stream_that_the_server_refuses_is_made_again_once(
    connect: Connect, socket_path: Path
) -> None:
    calls: list[int] = []

    async def refuses(peer: Peer) -> None:
        peer.begin()
        while True:
            calls.append(await peer.request())
            peer.reset(calls[-1], ErrorCodes.REFUSED_STREAM)

    async with listening(socket_path, refuses), read(connect()) as chunks:
        with anyio.fail_after(5), pytest.raises(ConnectionLostError, match="has not begun with the call"):
            await anext(chunks)
    assert len(calls) == 2


async def test_a_stream_that_the_server_refuses_the_first_time_is_read_as_if_it_had_not(
    connect: Connect, socket_path: Path
) -> None:
    async def refuses_one(peer: Peer) -> None:
        peer.begin()
        peer.reset(await peer.request(), ErrorCodes.REFUSED_STREAM)
        stream = await peer.request()
        peer.headers(stream)
        for text in ("one", "two"):
            peer.message(stream, chunk(text))
        peer.trailers(stream)
        await peer.next(Event)

    async with listening(socket_path, refuses_one), read(connect()) as chunks:
        with anyio.fail_after(5):
            assert [part.data async for part in chunks] == [b"one", b"two"]


async def test_a_stream_that_goaway_says_was_not_looked_at_is_made_again_over_a_new_connection(
    connect: Connect, socket_path: Path
) -> None:
    async def goes_away(peer: Peer) -> None:
        peer.begin()
        await peer.request()
        peer.raw(b"\0\0\x08\7\0\0\0\0\0" + bytes(4) + bytes(4))
        await peer.reader.read()

    async with listening(socket_path, goes_away, gives_one), read(connect()) as chunks:
        with anyio.fail_after(5):
            assert [part.data async for part in chunks] == [b"one"]


async def test_a_stream_that_has_begun_is_never_made_again(connect: Connect, socket_path: Path) -> None:
    calls: list[int] = []

    async def refuses_late(peer: Peer) -> None:
        peer.begin()
        while True:
            calls.append(await peer.request())
            peer.headers(calls[-1])
            peer.message(calls[-1], chunk("one"))
            peer.reset(calls[-1], ErrorCodes.REFUSED_STREAM)

    async with listening(socket_path, refuses_late), read(connect()) as chunks:
        with anyio.fail_after(5), pytest.raises(ConnectionLostError):
            async for _ in chunks:
                pass
    assert len(calls) == 1


async def test_a_connection_lost_in_the_middle(connect: Connect, socket_path: Path) -> None:
    go = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.message(stream, chunk("one"))
        await go.wait()
        peer.drop()

    async with listening(socket_path, play), read(connect()) as chunks:
        with anyio.fail_after(60):
            assert (await anext(chunks)).data == b"one"
            go.set()
            with pytest.raises(ConnectionLostError, match="outcome is unknown"):
                await anext(chunks)
        with pytest.raises(ConnectionLostError):
            await anext(chunks)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_closing_the_client_ends_a_stream(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, silent):
        connection = connect()
        async with read(connection) as chunks, anyio.create_task_group() as group:
            group.start_soon(closes_soon, connection)
            with anyio.fail_after(60), pytest.raises(ClientClosedError):
                await anext(chunks)


async def closes_soon(connection: Connection) -> None:
    await anyio.wait_all_tasks_blocked()
    await connection.aclose()


async def test_a_message_that_is_none_ends_nothing_else(connect: Connect, socket_path: Path) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.data(stream, b"\0\0\0\0\1\x0a")
        peer.message(stream, chunk("fine"))
        peer.trailers(stream)
        await peer.next(Event)

    async with listening(socket_path, play), read(connect()) as chunks:
        with anyio.fail_after(60):
            with pytest.raises(InternalError, match="cannot be decoded"):
                await anext(chunks)
            assert (await anext(chunks)).data == b"fine"


async def test_after_a_broken_frame_nothing_more_is_read(connect: Connect, socket_path: Path) -> None:
    """Where the next message begins is not known then."""

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.data(stream, b"\1\0\0\0\1x")
        peer.message(stream, chunk("fine"))
        peer.trailers(stream)
        await peer.next(Event)

    async with listening(socket_path, play), read(connect()) as chunks:
        for _ in range(2):
            with anyio.fail_after(60), pytest.raises(InternalError, match="compressed"):
                await anext(chunks)


async def test_two_readers_of_one_stream_are_refused(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, silent), read(connect()) as chunks:
        first = asyncio.ensure_future(anext(chunks))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await anext(chunks)
        first.cancel()
        await asyncio.wait([first])


async def test_a_stream_that_nobody_reads_stops_no_other_call(connect: Connect, socket_path: Path) -> None:
    """With grpclib's windows, 4 MiB that lie unread would stop the whole connection."""

    async def play(peer: Peer) -> None:
        peer.begin()
        unread = await peer.request()
        peer.headers(unread)
        while room := min(16384, peer.h2.local_flow_control_window(unread)):
            peer.data(unread, bytes(room))
            await peer.writer.drain()
        other = await peer.request()
        peer.headers(other)
        peer.message(other, chunk("through"))
        peer.trailers(other)
        await peer.next(Event)

    async with listening(socket_path, play):
        connection = connect()
        async with read(connection), read(connection) as other:
            with anyio.fail_after(60):
                assert [part.data async for part in other] == [b"through"]


# --- messages both ways


async def test_a_conversation(content: None, connect: Connect) -> None:
    async with write(connect()) as call:
        for offset in range(3):
            await call.send(WriteContentRequest(offset=offset, data=b"x"))
            answer = await call.receive()
            assert answer is not None
            assert answer.offset == offset + 1
        await call.send(WriteContentRequest(offset=9), end=True)
        answer = await call.receive()
        assert answer is not None
        assert answer.offset == 9
        assert await call.receive() is None
        assert await call.receive() is None


async def test_an_error_in_a_conversation(content: None, connect: Connect) -> None:
    async with write(connect()) as call:
        await call.send(WriteContentRequest(ref="locked"))
        for _ in range(2):
            with pytest.raises(UnavailableError, match=r"^Content/Write of blob x: ref locked$"):
                await call.receive()
        with pytest.raises(UnavailableError, match="ref locked"):
            await call.send(WriteContentRequest(ref="locked"))


async def test_the_last_answer_stays_though_grpc_go_resets_the_stream_after_it(
    connect: Connect, socket_path: Path
) -> None:
    """Content.Write: the server ends the call after COMMIT, which we have not ended."""

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.message(stream, WriteContentResponse(digest="sha256:x"))
        peer.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        peer.h2.reset_stream(stream, ErrorCodes.NO_ERROR)
        peer.flush()
        await peer.next(Event)

    async with listening(socket_path, play), write(connect()) as call:
        with anyio.fail_after(60):
            await call.send(WriteContentRequest(ref="x"))
            receiving = asyncio.create_task(call.receive())
            answer = await receiving
            assert answer is not None
            assert answer.digest == "sha256:x"
            assert await call.receive() is None
            with pytest.raises(FailedPreconditionError, match="the server has ended the call"):
                await call.send(WriteContentRequest(ref="x"))


async def ends_while_we_send(
    connect: Connect,
    socket_path: Path,
    *,
    status: int,
    code: ErrorCodes | None,
    trailers_only: bool = False,
) -> ContainerdError:
    """Send more than the server's window takes; it ends the call meanwhile. Return the error of ``send()``."""

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.call()
        await peer.next(DataReceived)
        if trailers_only:
            peer.headers(stream, ("grpc-status", str(status)), ("grpc-message", "why"), end=True)
        else:
            peer.headers(stream)
            peer.trailers(stream, status, ("grpc-message", "why"))
        if code is not None:
            peer.h2.reset_stream(stream, code)
        peer.flush()
        await peer.next(Event)
        await anyio.sleep_forever()

    async with listening(socket_path, play), write(connect()) as call:
        with anyio.fail_after(60), pytest.raises(ContainerdError) as caught:
            await call.send(WriteContentRequest(data=bytes(1 << 20)))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return caught.value


async def test_a_blocked_send_tells_the_servers_reason(connect: Connect, socket_path: Path) -> None:
    error = await ends_while_we_send(connect, socket_path, status=5, code=ErrorCodes.NO_ERROR)
    assert type(error) is NotFoundError
    assert error.server_message == "why"


async def test_a_blocked_send_tells_that_the_server_has_ended_the_call(
    connect: Connect, socket_path: Path
) -> None:
    error = await ends_while_we_send(connect, socket_path, status=0, code=ErrorCodes.NO_ERROR)
    assert type(error) is FailedPreconditionError


@pytest.mark.parametrize("trailers_only", [False, True])
async def test_a_blocked_send_ends_where_the_server_ends_the_call_without_a_reset(
    connect: Connect, socket_path: Path, trailers_only: bool
) -> None:
    error = await ends_while_we_send(connect, socket_path, status=5, code=None, trailers_only=trailers_only)
    assert type(error) is NotFoundError


async def test_a_call_that_the_server_ends_without_a_status(connect: Connect, socket_path: Path) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.call()
        peer.headers(stream)
        peer.data(stream, framed(WriteContentResponse(offset=1)), end=True)
        await peer.next(Event)
        await anyio.sleep_forever()

    async with listening(socket_path, play), write(connect()) as call:
        with anyio.fail_after(60):
            answer = await call.receive()
            assert answer is not None
            assert answer.offset == 1
            with pytest.raises(InternalError, match="without a status"):
                await call.receive()
            with pytest.raises(InternalError, match="without a status"):
                await call.send(WriteContentRequest())


async def test_a_send_cancelled_before_it_began_may_be_repeated(connect: Connect, socket_path: Path) -> None:
    open_window = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        stream = await peer.call()
        await open_window.wait()
        peer.h2.increment_flow_control_window(1000, stream)
        peer.flush()
        received = b""
        while len(received) < len(framed(WriteContentRequest(ref="second"))):
            received += (await peer.next(DataReceived)).data or b""
        assert received == framed(WriteContentRequest(ref="second"))
        peer.headers(stream)
        peer.message(stream, WriteContentResponse(offset=7))
        await peer.next(Event)

    async with listening(socket_path, play), write(connect()) as call:
        with anyio.move_on_after(0.02) as scope:
            await call.send(WriteContentRequest(ref="first"))
        assert scope.cancelled_caught
        open_window.set()
        with anyio.fail_after(60):
            await call.send(WriteContentRequest(ref="second"))
            answer = await call.receive()
        assert answer is not None
        assert answer.offset == 7


async def test_a_send_cancelled_half_way_gives_the_call_up(connect: Connect, socket_path: Path) -> None:
    """What the server has of the message cannot be taken back: anything sent after it would be garbage."""
    reset = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin({SettingCodes.INITIAL_WINDOW_SIZE: 10})
        await peer.request()
        scope.cancel()
        assert await peer.was_reset() == ErrorCodes.CANCEL
        reset.set()

    scope = anyio.CancelScope()
    async with listening(socket_path, play), write(connect()) as call:
        with scope:
            await call.send(WriteContentRequest(data=bytes(100)))
        assert scope.cancelled_caught
        with anyio.fail_after(60):
            await reset.wait()
            with pytest.raises(AbortedError, match="cut off half-way"):
                await call.send(WriteContentRequest(ref="x"))
            with pytest.raises(AbortedError, match="cut off half-way"):
                await call.receive()


async def test_one_task_sends_while_another_one_receives(content: None, connect: Connect) -> None:
    async def sends(call: Write) -> None:
        for offset in range(50):
            await call.send(WriteContentRequest(offset=offset), end=offset == 49)

    async with write(connect()) as call, anyio.create_task_group() as group:
        group.start_soon(sends, call)
        offsets = []
        with anyio.fail_after(60):
            while (answer := await call.receive()) is not None:
                offsets.append(answer.offset)
    assert offsets == list(range(50))


async def test_two_senders_at_once_are_refused(connect: Connect, socket_path: Path) -> None:
    async def play(peer: Peer) -> None:
        takes_all_and_reads_nothing(peer)
        await anyio.sleep_forever()

    async with listening(socket_path, play), write(connect()) as call:
        sending = asyncio.create_task(call.send(WriteContentRequest(data=bytes(8 << 20))))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await call.send(WriteContentRequest())
        sending.cancel()
        await asyncio.wait([sending])


async def test_a_connection_lost_in_a_conversation_wakes_sender_and_receiver(
    connect: Connect, socket_path: Path
) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        await peer.call()
        await peer.next(DataReceived)
        peer.drop()

    async with listening(socket_path, play), write(connect()) as call:
        sending = asyncio.create_task(call.send(WriteContentRequest(data=bytes(1 << 20))))
        receiving = asyncio.create_task(call.receive())
        with anyio.fail_after(60):
            results = await asyncio.gather(sending, receiving, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionLostError, ConnectionLostError]


async def test_a_stream_to_a_daemon_that_is_not_there(connect: Connect) -> None:
    with pytest.raises(ConnectionLostError, match=r"^Content/Read of blob x: there is no socket"):
        async with read(connect()):
            pass
    with pytest.raises(ConnectionLostError, match=r"^Content/Write of blob x: there is no socket"):
        async with write(connect()):
            pass
