"""Calls with one answer: what goes out, what comes back, and everything that can come instead."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event
from h2.settings import SettingCodes

from containerd_aio._api.containerd.services.content.v1 import ReadContentRequest, ReadContentResponse
from containerd_aio._api.containerd.services.version.v1 import VersionResponse
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.lease import lease_scope
from containerd_aio.errors import (
    ClientClosedError,
    ConnectionLostError,
    ContainerdError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    ResourceExhaustedError,
    UnavailableError,
    UnknownError,
)
from tests.transport.peer import Peer, framed, listening, silent, takes_all_and_reads_nothing

Connect = Callable[..., Connection]

VERSION = "containerd.services.version.v1.Version/Version"
ANSWER = VersionResponse(version="v2.1.9", revision="abc")


async def version(connection: Connection, *, namespace: str = "", quick: bool = False) -> VersionResponse:
    caller = connection.caller(namespace)
    return await caller.unary(VERSION, Empty(), VersionResponse, quick=quick, about="the daemon")


async def answers(peer: Peer) -> None:
    """Answer every call."""
    peer.begin()
    await goes_on_answering(peer)


async def goes_on_answering(peer: Peer) -> None:
    while True:
        stream = await peer.request()
        peer.headers(stream)
        peer.message(stream, ANSWER)
        peer.trailers(stream)


def test_the_namespace_is_checked() -> None:
    from containerd_aio._transport.address import Address

    connection = Connection(Address.parse("/run/c.sock"))
    with pytest.raises(InvalidArgumentError, match="namespace"):
        connection.caller("a b")
    with pytest.raises(InvalidArgumentError, match="namespace"):
        connection.caller("x" * 77)
    assert connection.caller("a-b").namespace == "a-b"


async def headers_of(
    connect: Connect,
    socket_path: Path,
    namespace: str,
    *,
    quick: bool = False,
    rpc_timeout: float | None = 30,
) -> dict[str, str]:
    """The headers of one call."""
    headers: dict[str, str] = {}

    async def answers_one(peer: Peer) -> None:
        peer.begin()
        headers.update(await peer.request_headers())
        await peer.next(DataReceived)
        peer.headers(1)
        peer.message(1, ANSWER)
        peer.trailers(1)
        await peer.next(Event)

    async with listening(socket_path, answers_one):
        connection = connect(rpc_timeout=rpc_timeout)
        with lease_scope(connection, "k8s.io", "lease-1"):
            assert await version(connection, namespace=namespace, quick=quick) == ANSWER
        await connection.aclose()
    return headers


async def test_a_call_carries_path_namespace_and_lease(connect: Connect, socket_path: Path) -> None:
    headers = await headers_of(connect, socket_path, "k8s.io")
    assert headers[":path"] == f"/{VERSION}"
    assert headers[":scheme"] == "http"
    assert headers[":authority"] == "localhost"
    assert headers["content-type"] == "application/grpc"
    assert headers["te"] == "trailers"
    assert headers["containerd-namespace"] == "k8s.io"
    assert headers["containerd-lease"] == "lease-1"
    assert "grpc-timeout" not in headers


async def test_no_namespace_is_no_header_and_the_lease_of_another_namespace_stays_away(
    connect: Connect, socket_path: Path
) -> None:
    headers = await headers_of(connect, socket_path, "")
    assert "containerd-namespace" not in headers
    assert "containerd-lease" not in headers


@pytest.mark.parametrize(
    ("seconds", "header"),
    [
        (30, "30000m"),
        (0.25, "250m"),
        (1.0001, "1001m"),
        (99_999, "99999000m"),
        (100_000, "100000S"),
        (1e12, "99999999S"),
    ],
)
async def test_a_quick_call_tells_its_deadline(
    connect: Connect, socket_path: Path, seconds: float, header: str
) -> None:
    headers = await headers_of(connect, socket_path, "", quick=True, rpc_timeout=seconds)
    assert headers["grpc-timeout"] == header


async def test_many_calls_share_a_connection(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, answers, silent):
        connection = connect()
        with anyio.fail_after(60):
            results = await asyncio.gather(*(version(connection) for _ in range(100)))
    assert results == [ANSWER] * 100


# --- answers that are none


async def failure(
    connect: Connect, socket_path: Path, answer: Callable[[Peer, int], object]
) -> ContainerdError:
    """The error that a call ends in when the server answers so."""

    async def play(peer: Peer) -> None:
        peer.begin()
        answer(peer, await peer.request())
        while True:
            await peer.next(Event)

    async with listening(socket_path, play):
        connection = connect()
        with anyio.fail_after(60), pytest.raises(ContainerdError) as caught:
            await version(connection)
        await connection.aclose()
    error = caught.value
    assert error.method == VERSION
    assert error.subject == "the daemon"
    assert str(error).startswith("Version/Version of the daemon: ")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return error


async def test_an_error_in_trailers(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.trailers(stream, 5, ("grpc-message", "task web not found%3A %C3%BC"))

    error = await failure(connect, socket_path, answer)
    assert type(error) is NotFoundError
    assert error.server_message == "task web not found: ü"
    assert str(error).endswith(": task web not found: ü")


async def test_an_error_in_the_headers(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream, ("grpc-status", "5"), ("grpc-message", "no"), end=True)

    assert type(await failure(connect, socket_path, answer)) is NotFoundError


async def test_an_error_after_the_message(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.message(stream, ANSWER)
        peer.trailers(stream, 5)

    error = await failure(connect, socket_path, answer)
    assert type(error) is NotFoundError
    assert str(error).endswith(": NOT_FOUND")


@pytest.mark.parametrize("status", ["17", "-1", "ok", "", "5.0"])
async def test_an_unknown_status(connect: Connect, socket_path: Path, status: str) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream, ("grpc-status", status), end=True)

    error = await failure(connect, socket_path, answer)
    assert type(error) is UnknownError
    assert "unknown status" in str(error)


async def test_malformed_details_do_not_hide_the_error(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.trailers(stream, 5, ("grpc-message", "no"), ("grpc-status-details-bin", "A"))

    error = await failure(connect, socket_path, answer)
    assert type(error) is NotFoundError
    assert str(error).endswith(": no")


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        ("404", NotImplementedByServerError),
        ("503", UnavailableError),
        ("418", UnknownError),
    ],
)
async def test_an_http_error(
    connect: Connect, socket_path: Path, status: str, cls: type[ContainerdError]
) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.h2.send_headers(stream, [(":status", status), ("content-type", "text/html")], end_stream=True)
        peer.flush()

    error = await failure(connect, socket_path, answer)
    assert type(error) is cls
    assert f"HTTP status {status}" in str(error)


@pytest.mark.parametrize("content_type", ["text/html", "application/grpc+json", "application/grpcx"])
async def test_an_answer_of_another_type(connect: Connect, socket_path: Path, content_type: str) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.h2.send_headers(stream, [(":status", "200"), ("content-type", content_type)])
        peer.flush()

    error = await failure(connect, socket_path, answer)
    assert type(error) is UnknownError
    assert content_type in str(error)


async def test_an_answer_without_a_message(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.trailers(stream)

    error = await failure(connect, socket_path, answer)
    assert type(error) is InternalError
    assert "no message" in str(error)


async def test_an_answer_with_two_messages(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.message(stream, ANSWER)
        peer.message(stream, ANSWER)
        peer.trailers(stream)

    assert "several messages" in str(await failure(connect, socket_path, answer))


async def test_an_answer_without_a_status(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.data(stream, framed(ANSWER), end=True)

    error = await failure(connect, socket_path, answer)
    assert type(error) is InternalError
    assert "without a status" in str(error)


@pytest.mark.parametrize("size", [1, 5, 8])
async def test_an_answer_that_is_cut_off(connect: Connect, socket_path: Path, size: int) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.data(stream, framed(ANSWER)[:size])
        peer.trailers(stream)

    error = await failure(connect, socket_path, answer)
    assert type(error) is InternalError
    assert "in the middle of a message" in str(error)


async def test_a_message_that_is_none(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.data(stream, b"\0\0\0\0\1\x0a")
        peer.trailers(stream)

    error = await failure(connect, socket_path, answer)
    assert type(error) is InternalError
    assert "cannot be decoded" in str(error)


async def test_a_compressed_message(connect: Connect, socket_path: Path) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream)
        peer.data(stream, b"\1\0\0\0\1x")

    error = await failure(connect, socket_path, answer)
    assert type(error) is InternalError
    assert "compressed" in str(error)


async def test_a_message_that_is_too_large_is_refused_before_it_comes(
    connect: Connect, socket_path: Path
) -> None:
    """Only its length was sent here: nothing is buffered, and the stream is reset."""
    reset = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.data(stream, struct.pack(">?I", False, (16 << 20) + 1))
        assert await peer.was_reset() == ErrorCodes.CANCEL
        reset.set()

    async with listening(socket_path, play):
        with anyio.fail_after(60):
            with pytest.raises(ResourceExhaustedError, match="16777217 bytes"):
                await version(connect())
            await reset.wait()


async def test_a_message_larger_than_the_stream_window(connect: Connect, socket_path: Path) -> None:
    """The server may go on only as far as we have read: 4 MiB at a time."""
    body = ReadContentResponse(data=bytes(5 << 20))

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        rest = framed(body)
        while rest:
            while not (room := min(peer.h2.local_flow_control_window(stream), 16384)):
                await peer.next(Event)
            peer.data(stream, rest[:room])
            rest = rest[room:]
        peer.trailers(stream)
        await peer.next(Event)

    async with listening(socket_path, play):
        with anyio.fail_after(60):
            answer = await connect().caller("x").unary("a.B/C", ReadContentRequest(), ReadContentResponse)
    assert len(answer.data) == 5 << 20


async def test_empty_and_padded_frames_are_no_end(connect: Connect, socket_path: Path) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        data = framed(ANSWER)
        peer.data(stream, data[:3])
        peer.data(stream, b"")
        peer.h2.send_data(stream, data[3:7], pad_length=9)
        peer.data(stream, data[7:])
        peer.trailers(stream)
        await peer.next(Event)

    async with listening(socket_path, play):
        with anyio.fail_after(60):
            assert await version(connect()) == ANSWER


async def test_a_request_that_is_too_large_is_not_sent(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, silent):
        with pytest.raises(ResourceExhaustedError, match="16777216 at most"):
            await connect().caller("").unary("a.B/C", ReadContentResponse(data=bytes(16 << 20)), Empty)


async def test_a_request_that_cannot_be_encoded(connect: Connect, socket_path: Path) -> None:
    request = VersionResponse(version="\udc80")
    with pytest.raises(InvalidArgumentError, match=r"B/C of image 'x': the request cannot be encoded"):
        await connect().caller("").unary("a.B/C", request, Empty, about="image 'x'")


# --- the end of a connection, or of a stream


async def test_an_answer_stays_though_a_reset_follows_it(connect: Connect, socket_path: Path) -> None:
    """grpc-go resets with NO_ERROR after the trailers where the request was not ended."""

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.message(stream, ANSWER)
        peer.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        # h2 itself would not send it: RST_STREAM on this stream, NO_ERROR.
        peer.raw(peer.h2.data_to_send() + b"\0\0\4\3\0" + stream.to_bytes(4, "big") + bytes(4))
        await peer.next(Event)

    async with listening(socket_path, play):
        with anyio.fail_after(60):
            assert await version(connect()) == ANSWER


async def test_a_reset_of_a_call_that_is_over_is_passed_over(connect: Connect, socket_path: Path) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        over = await peer.request()
        peer.headers(over)
        peer.message(over, ANSWER)
        peer.trailers(over)
        stream = await peer.request()
        peer.raw(b"\0\0\4\3\0" + over.to_bytes(4, "big") + bytes(4))
        peer.headers(stream)
        peer.message(stream, ANSWER)
        peer.trailers(stream)
        await peer.next(Event)

    async with listening(socket_path, play):
        connection = connect()
        with anyio.fail_after(60):
            assert await version(connection) == ANSWER
            assert await version(connection) == ANSWER


async def test_an_answer_stays_though_the_connection_is_lost_after_it(
    connect: Connect, socket_path: Path
) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        peer.message(stream, ANSWER)
        peer.trailers(stream)

    async with listening(socket_path, play):
        with anyio.fail_after(60):
            assert await version(connect()) == ANSWER


async def lost(connect: Connect, socket_path: Path, end: Callable[[Peer, int], object]) -> str:
    """The message of a call whose connection ends so; the next call must connect anew."""

    async def play(peer: Peer) -> None:
        peer.begin()
        end(peer, await peer.request())
        await peer.reader.read()

    async with listening(socket_path, play, answers):
        connection = connect()
        with anyio.fail_after(60):
            with pytest.raises(ConnectionLostError) as caught:
                await version(connection)
            assert await version(connection) == ANSWER
        await connection.aclose()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    message = str(caught.value)
    assert f"the call was under way at {socket_path}, so its outcome is unknown" in message
    return message


async def test_a_lost_connection(connect: Connect, socket_path: Path) -> None:
    assert "the connection was lost" in await lost(connect, socket_path, lambda peer, _: peer.drop())


async def test_a_connection_that_ends_in_nonsense(connect: Connect, socket_path: Path) -> None:
    """A frame longer than we allow; h2 refuses it, and nothing reaches the loop's exception handler."""
    nonsense = b"\0\xff\xff\0\0\0\0\0\1" + bytes(65535)
    message = await lost(connect, socket_path, lambda peer, _: peer.raw(nonsense))
    assert "the server broke the protocol" in message


async def test_headers_that_are_not_text(connect: Connect, socket_path: Path) -> None:
    block = b"\x88\x40\x01x\x01\xff"  # :status 200, x: 0xff
    frame = len(block).to_bytes(3, "big") + b"\1\4" + (1).to_bytes(4, "big") + block
    message = await lost(connect, socket_path, lambda peer, _: peer.raw(frame))
    assert "the server broke the protocol" in message


async def test_goaway_with_an_error(connect: Connect, socket_path: Path) -> None:
    def end(peer: Peer, stream: int) -> None:
        peer.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=stream)
        peer.flush()

    assert "GOAWAY" in await lost(connect, socket_path, end)


async def test_a_reset_stream_ends_only_its_own_call(connect: Connect, socket_path: Path) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        peer.reset(await peer.request(), ErrorCodes.INTERNAL_ERROR)
        await goes_on_answering(peer)

    async with listening(socket_path, play, silent):
        connection = connect()
        with anyio.fail_after(60):
            with pytest.raises(ConnectionLostError, match=r"the server reset the stream \(code 2\)"):
                await version(connection)
            assert await version(connection) == ANSWER


async def test_a_stream_that_breaks_the_protocol_ends_only_its_own_call(
    connect: Connect, socket_path: Path
) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        # A window update that overflows the stream's window: h2 resets the stream.
        peer.raw(b"\0\0\4\x08\0" + stream.to_bytes(4, "big") + (2**31 - 1).to_bytes(4, "big"))
        await goes_on_answering(peer)

    async with listening(socket_path, play, silent):
        connection = connect()
        with anyio.fail_after(60):
            with pytest.raises(ConnectionLostError, match="broke the protocol on this stream"):
                await version(connection)
            assert await version(connection) == ANSWER


async def test_after_a_graceful_goaway_the_call_finishes_and_the_next_one_connects_anew(
    connect: Connect, socket_path: Path
) -> None:
    """A proxy sends it after its thousandth request; containerd's exit watch must not end by it."""
    retired = anyio.Event()
    finish = anyio.Event()
    closed = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        # h2 would send nothing any more after its own GOAWAY.
        peer.raw(b"\0\0\x08\7\0\0\0\0\0" + stream.to_bytes(4, "big") + bytes(4))
        retired.set()
        await finish.wait()
        peer.headers(stream)
        peer.message(stream, VersionResponse(version="old"))
        peer.trailers(stream)
        await peer.reader.read()
        closed.set()

    async with listening(socket_path, play, answers):
        connection = connect()
        with anyio.fail_after(60):
            first = asyncio.create_task(version(connection))
            await retired.wait()
            await anyio.wait_all_tasks_blocked()
            assert await version(connection) == ANSWER
            finish.set()
            assert (await first).version == "old"
            await closed.wait()


async def test_when_the_numbers_of_streams_are_used_up_the_next_call_connects_anew(
    connect: Connect, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand calls a second use them up in twelve days."""
    monkeypatch.setattr("containerd_aio._transport.protocol.LAST_STREAM", 5)
    ended = anyio.Event()

    async def first(peer: Peer) -> None:
        try:
            await answers(peer)
        finally:
            ended.set()

    async def second(peer: Peer) -> None:
        peer.begin()
        peer.headers(await peer.request(), ("grpc-status", "5"), end=True)
        await peer.next(Event)

    async with listening(socket_path, first, second):
        connection = connect()
        with anyio.fail_after(60):
            for _ in range(3):
                assert await version(connection) == ANSWER
            await ended.wait()
            with pytest.raises(NotFoundError):
                await version(connection)


async def test_a_call_that_goaway_says_was_not_looked_at_is_made_again(
    connect: Connect, socket_path: Path
) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        await peer.request()
        peer.raw(b"\0\0\x08\7\0\0\0\0\0" + bytes(4) + bytes(4))
        await peer.reader.read()

    async with listening(socket_path, play, answers):
        with anyio.fail_after(60):
            assert await version(connect()) == ANSWER


async def test_a_refused_stream_is_made_again_once(connect: Connect, socket_path: Path) -> None:
    calls = 0

    async def refuses(peer: Peer) -> None:
        nonlocal calls
        peer.begin()
        while True:
            stream = await peer.request()
            calls += 1
            peer.reset(stream, ErrorCodes.REFUSED_STREAM)

    async with listening(socket_path, refuses):
        with anyio.fail_after(60), pytest.raises(ConnectionLostError) as caught:
            await version(connect())
    assert str(caught.value) == (
        f"Version/Version of the daemon: the server refused the stream; {socket_path} has not begun with the call"
    )
    assert calls == 2


async def test_calls_at_the_moment_in_which_the_server_dies_write_nothing_to_its_socket(
    connect: Connect, socket_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one finds out, and the others connect anew; asyncio would log each write after that."""
    peers: list[Peer] = []

    async def dies(peer: Peer) -> None:
        peers.append(peer)
        await answers(peer)

    async with listening(socket_path, dies, answers):
        connection = connect()
        assert await version(connection) == ANSWER
        peers[0].writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        with anyio.fail_after(5):
            results = await asyncio.gather(*(version(connection) for _ in range(20)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionLostError, *[VersionResponse] * 19]
    assert "socket.send() raised exception" not in caplog.text


async def test_frames_of_unknown_types_are_passed_over(connect: Connect, socket_path: Path) -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        peer.raw(b"\0\0\3\xfa\0\0\0\0\0abc")
        await goes_on_answering(peer)

    async with listening(socket_path, play):
        with anyio.fail_after(60):
            assert await version(connect()) == ANSWER


async def test_calls_beyond_the_servers_limit_wait_for_their_turn(
    connect: Connect, socket_path: Path
) -> None:
    async def play(peer: Peer) -> None:
        peer.begin({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        await goes_on_answering(peer)

    async with listening(socket_path, play):
        connection = connect()
        with anyio.fail_after(60):
            results = await asyncio.gather(*(version(connection) for _ in range(5)))
    assert results == [ANSWER] * 5


async def test_a_call_that_waits_for_its_turn_when_the_connection_goes_is_made_again(
    connect: Connect, socket_path: Path
) -> None:
    """It was never sent, so nothing is unknown; grpclib would let it wait for ever."""

    async def play(peer: Peer) -> None:
        peer.begin({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        await peer.request()
        await anyio.wait_all_tasks_blocked()
        peer.drop()

    async with listening(socket_path, play, answers):
        connection = connect()
        with anyio.fail_after(60):
            results = await asyncio.gather(*(version(connection) for _ in range(3)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == [
        "ConnectionLostError",
        "VersionResponse",
        "VersionResponse",
    ]


async def test_calls_that_wait_to_write_do_not_hang_when_the_connection_goes(
    connect: Connect, socket_path: Path
) -> None:
    stuffed = anyio.Event()

    async def play(peer: Peer) -> None:
        takes_all_and_reads_nothing(peer)
        await stuffed.wait()
        peer.drop()

    async def closes(peer: Peer) -> None:
        pass

    async with listening(socket_path, play, closes):
        connection = connect()
        await connection.connect()
        large = ReadContentResponse(data=bytes(1 << 20))
        calls = [asyncio.create_task(connection.caller("").unary("a.B/C", large, Empty)) for _ in range(8)]
        await anyio.wait_all_tasks_blocked()
        stuffed.set()
        with anyio.fail_after(60):
            results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {ConnectionLostError}


# --- deadlines, cancellation, closing


async def impatient(connect: Connect, rpc_timeout: float) -> Connection:
    """A connection whose calls have little time; its opening had enough."""
    connection = connect()
    await connection.connect()
    connection.rpc_timeout = rpc_timeout
    return connection


async def test_a_server_that_never_answers_meets_the_deadline(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, silent):
        connection = await impatient(connect, 0.05)
        with anyio.fail_after(60), pytest.raises(DeadlineExceededError) as caught:
            await version(connection, quick=True)
    assert isinstance(caught.value, TimeoutError)
    assert str(caught.value) == (
        "Version/Version of the daemon: containerd gave no answer in 0.05 s (rpc_timeout)"
    )
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_callers_deadline_still_works_after_ours(connect: Connect, socket_path: Path) -> None:
    async def retries_for_ever(connection: Connection) -> None:
        while True:
            with pytest.raises(DeadlineExceededError):
                await version(connection, quick=True)

    async with listening(socket_path, silent):
        connection = await impatient(connect, 0.02)
        with anyio.move_on_after(0.1) as scope:
            await retries_for_ever(connection)
    assert scope.cancelled_caught


async def test_other_calls_have_no_deadline(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, silent):
        connection = await impatient(connect, 0.02)
        with anyio.move_on_after(0.1) as scope:
            await version(connection)
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (4, "context deadline exceeded"),
        (2, "context deadline exceeded: unknown"),
        (2, "x: context deadline exceeded"),
    ],
)
async def test_the_servers_own_deadline_is_the_same(
    connect: Connect, socket_path: Path, status: int, text: str
) -> None:
    def answer(peer: Peer, stream: int) -> None:
        peer.headers(stream, ("grpc-status", str(status)), ("grpc-message", text), end=True)

    assert type(await failure(connect, socket_path, answer)) is DeadlineExceededError


async def test_what_comes_for_a_cancelled_call_is_passed_over(connect: Connect, socket_path: Path) -> None:
    """The server may have answered, or reset the stream, before it hears of our reset."""
    cancel = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        cancel.set()
        await peer.was_reset()
        number = stream.to_bytes(4, "big")
        peer.raw(b"\0\0\1\0\0" + number + b"x" + b"\0\0\4\3\0" + number + bytes(4))
        await goes_on_answering(peer)

    async with listening(socket_path, play):
        connection = connect()
        with anyio.fail_after(60):
            call = asyncio.create_task(version(connection))
            await cancel.wait()
            call.cancel()
            await asyncio.wait([call])
            assert await version(connection) == ANSWER


async def test_a_cancelled_call_is_reset_at_once(connect: Connect, socket_path: Path) -> None:
    cancel = anyio.Event()
    reset = anyio.Event()

    async def play(peer: Peer) -> None:
        peer.begin()
        await peer.request()
        cancel.set()
        assert await peer.was_reset() == ErrorCodes.CANCEL
        reset.set()

    async with listening(socket_path, play):
        call = asyncio.create_task(version(connect()))
        with anyio.fail_after(60):
            await cancel.wait()
            call.cancel()
            await asyncio.wait([call])
            await reset.wait()
    assert call.cancelled()


async def test_closing_fails_the_calls_under_way(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, silent):
        connection = connect()
        calls = [asyncio.create_task(version(connection)) for _ in range(3)]
        await anyio.wait_all_tasks_blocked()
        await connection.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [ClientClosedError] * 3
    assert "outcome is unknown" not in str(results[0])
    assert "Version/Version of the daemon: the client was closed meanwhile" in str(results[0])


async def test_calls_after_closing_fail(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, answers):
        connection = connect()
        assert await version(connection) == ANSWER
        await connection.aclose()
        await connection.aclose()
        with pytest.raises(ClientClosedError, match=r"^Version/Version of the daemon: the client is closed$"):
            await version(connection)
        with pytest.raises(ClientClosedError):
            await connection.connect()


async def test_closing_takes_a_second_where_the_server_reads_no_more(
    connect: Connect, socket_path: Path
) -> None:
    async def play(peer: Peer) -> None:
        takes_all_and_reads_nothing(peer)
        await anyio.sleep_forever()

    async with listening(socket_path, play):
        connection = connect()
        await connection.connect()
        await anyio.wait_all_tasks_blocked()
        request = ReadContentResponse(data=bytes(8 << 20))
        call = asyncio.create_task(connection.caller("").unary("a.B/C", request, Empty))
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(60):
            await connection.aclose()
        with pytest.raises(ClientClosedError):
            await call


async def test_closing_waits_for_what_is_still_to_be_sent(connect: Connect, socket_path: Path) -> None:
    read_again = anyio.Event()

    async def play(peer: Peer) -> None:
        takes_all_and_reads_nothing(peer)
        await read_again.wait()
        cast(asyncio.ReadTransport, peer.writer.transport).resume_reading()
        await peer.reader.read()

    async with listening(socket_path, play):
        connection = connect()
        await connection.connect()
        request = ReadContentResponse(data=bytes(8 << 20))
        call = asyncio.create_task(connection.caller("").unary("a.B/C", request, Empty))
        await anyio.wait_all_tasks_blocked()
        asyncio.get_running_loop().call_later(0.05, read_again.set)
        with anyio.fail_after(60):
            await connection.aclose()
        with pytest.raises(ClientClosedError):
            await call


async def test_another_event_loop_is_refused(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, answers):
        connection = connect()
        await connection.connect()

        def elsewhere(work: Callable[[], object]) -> None:
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                asyncio.run(work())  # type: ignore[arg-type]

        await anyio.to_thread.run_sync(elsewhere, connection.connect)
        await anyio.to_thread.run_sync(elsewhere, lambda: version(connection))
        await anyio.to_thread.run_sync(elsewhere, connection.aclose)
        assert await version(connection) == ANSWER
