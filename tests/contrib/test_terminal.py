"""The bridge between a process's terminal and a WebSocket: both ways, to the end of either."""

from __future__ import annotations

import json

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from containerd_aio import Client, ProcessLostError, Task, pipes
from containerd_aio.contrib._terminal import PeerGoneError, bridged, terminal_of
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.testing import FakeContainerd


class FakePeer:
    """Who types and watches; its ``messages`` are what it sends."""

    def __init__(self, *messages: bytes | str, takes: int | None = None) -> None:
        self.messages: MemoryObjectSendStream[bytes | str]
        self._inbox: MemoryObjectReceiveStream[bytes | str]
        self.messages, self._inbox = anyio.create_memory_object_stream[bytes | str](1000)
        for message in messages:
            self.messages.send_nowait(message)
        self._takes = takes
        self.shown = b""
        self.told: list[object] = []
        self.closed: tuple[int, str] | None = None
        self._changed = anyio.Event()

    async def receive(self) -> bytes | str:
        try:
            return await self._inbox.receive()
        except anyio.EndOfStream:
            raise PeerGoneError from None

    async def send(self, message: bytes | str) -> None:
        await anyio.lowlevel.checkpoint()
        if self._takes == 0:
            raise PeerGoneError
        if isinstance(message, str):
            self.told.append(json.loads(message))
        else:
            self.shown += message
            self._changed.set()
            self._changed = anyio.Event()

    async def close(self, code: int, reason: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed = code, reason

    async def shows(self, text: bytes) -> None:
        with anyio.fail_after(30):
            while text not in self.shown:
                await self._changed.wait()

    def leaves(self) -> None:
        self.messages.close()

    def __enter__(self) -> FakePeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.messages.close()
        self._inbox.close()


async def test_what_is_typed_arrives_and_what_is_written_is_shown_up_to_the_end(
    fake: FakeContainerd, shell: Task
) -> None:
    await shell.start()
    with FakePeer(b"one ", b"", b"two ") as peer:
        async with anyio.create_task_group() as group:

            async def end() -> None:
                await peer.shows(b"one two ")
                await fake.write(shell, b"x" * 300_000)
                fake.exit(shell, code=3)

            group.start_soon(end)
            ended = await bridged(shell, peer)
    assert ended is not None
    assert ended.code == 3
    assert peer.shown == b"one two " + b"x" * 300_000
    assert peer.told == [{"exit_code": 3}]
    assert peer.closed == (1000, "ended with code 3")


async def test_many_small_messages_at_once_are_not_too_much(fake: FakeContainerd, shell: Task) -> None:
    typed = b"%s." % (b"x" * 900)
    await shell.start()
    with FakePeer(*[typed[at : at + 1] for at in range(len(typed))]) as peer:
        async with anyio.create_task_group() as group:
            group.start_soon(bridged, shell, peer)
            await peer.shows(typed)
            peer.leaves()


async def test_the_size_follows_that_of_the_peer(fake: FakeContainerd, shell: Task) -> None:
    await shell.start()
    with FakePeer('{"resize": [100, 30]}', b"typed") as peer:
        async with anyio.create_task_group() as group:
            group.start_soon(bridged, shell, peer)
            await peer.shows(b"typed")
            assert fake.calls["Tasks/ResizePty"] == 1
            peer.leaves()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "resize",
        "{",
        "[]",
        "[" * 100_000,
        '{"resize": [1]}',
        '{"resize": ["80", "24"]}',
        '{"resize": [0, 24]}',
    ],
    ids=lambda message: message[:20] or "nothing",
)
async def test_a_peer_that_sends_nonsense_is_shown_out_and_the_process_runs_on(
    shell: Task, message: str
) -> None:
    await shell.start()
    with FakePeer(message) as peer:
        assert await bridged(shell, peer) is None
    assert peer.closed is not None
    assert peer.closed[0] == 1008
    assert len(peer.closed[1].encode()) <= 123
    assert (await shell.status()).state == "running"


async def test_a_peer_that_goes_is_noticed_although_the_process_reads_nothing(
    fake: FakeContainerd, client: Client
) -> None:
    async with await client.new_container("deaf", image="fake", args=["deaf"]) as container:
        async with await container.new_task(stdio=pipes(stdin=True, terminal=True)) as deaf:
            await deaf.start()
            with FakePeer(bytes(800_000)) as peer, anyio.fail_after(30):
                async with anyio.create_task_group() as group:
                    group.start_soon(bridged, deaf, peer)
                    await wait_all_tasks_blocked()
                    peer.leaves()
            assert peer.closed is None


async def test_a_peer_that_sends_more_than_the_process_reads_is_shown_out(
    fake: FakeContainerd, client: Client
) -> None:
    async with await client.new_container("deaf", image="fake", args=["deaf"]) as container:
        async with await container.new_task(stdio=pipes(stdin=True, terminal=True)) as deaf:
            await deaf.start()
            with FakePeer(*[bytes(100_000)] * 20) as peer:
                assert await bridged(deaf, peer) is None
            assert peer.closed == (1008, "the process does not read what is typed")


async def test_a_peer_that_takes_nothing_any_more_is_gone(fake: FakeContainerd, shell: Task) -> None:
    await shell.start()
    with FakePeer(b"typed", takes=0) as peer:
        assert await bridged(shell, peer) is None
    assert peer.closed is None


async def test_a_terminal_outlives_a_restart_of_containerd(fake: FakeContainerd, shell: Task) -> None:
    await shell.start()
    with FakePeer(b"before ") as peer:
        async with anyio.create_task_group() as group:
            group.start_soon(bridged, shell, peer)
            await peer.shows(b"before ")
            async with fake.down():
                await peer.messages.send('{"resize": [100, 30]}')
                await peer.messages.send(b"meanwhile ")
                await peer.shows(b"before meanwhile ")
            fake.exit(shell, code=0)
    assert peer.closed == (1000, "ended with code 0")


async def test_an_end_that_cannot_be_learned_closes_the_websocket_and_is_raised(
    fake: FakeContainerd, shell: Task
) -> None:
    await shell.start()
    with FakePeer(b"typed") as peer:
        async with anyio.create_task_group() as group:

            async def lose() -> None:
                await peer.shows(b"typed")
                fake.kill_shim(shell)

            group.start_soon(lose)
            with pytest.raises(ProcessLostError):
                await bridged(shell, peer)
    assert peer.closed == (1011, "containerd failed")


async def test_what_is_typed_to_a_process_that_has_closed_its_input_is_dropped(
    fake: FakeContainerd, shell: Task
) -> None:
    await shell.start()
    assert shell.stdin is not None
    await shell.stdin.aclose()
    with FakePeer(b"typed") as peer:
        async with anyio.create_task_group() as group:

            async def end() -> None:
                await wait_all_tasks_blocked()
                await fake.write(shell, b"written")
                await peer.shows(b"written")
                fake.exit(shell, code=0)

            group.start_soon(end)
            assert await bridged(shell, peer) is not None
    assert b"typed" not in peer.shown


async def test_a_process_without_a_terminal_is_refused(client: Client) -> None:
    async with await client.new_container("plain", image="fake", args=["sh"]) as container:
        for stdio in (pipes(stdin=True), pipes(terminal=True), None):
            async with await container.new_task(stdio=stdio) as task:
                with pytest.raises(InvalidArgumentError, match=r"task 'plain' has no terminal here.*pipes"):
                    terminal_of(task)
