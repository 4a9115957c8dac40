"""``containerd-aio events``, as a person or a script uses it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from containerd_aio import Client, Image
from containerd_aio.events import TaskOOM, TaskStart, UnknownEvent
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.services.events import Events

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "containerd_aio", "events"]


class Lines:
    """The lines of a pipe, taken one by one."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._rest = ""

    async def next(self) -> str:
        """Return the next line; ``""`` at the end."""
        while "\n" not in self._rest:
            await anyio.wait_readable(self.descriptor)
            data = os.read(self.descriptor, 65_536)
            if not data:
                break
            self._rest += data.decode()
        line, _, self._rest = self._rest.partition("\n")
        return line

    def waiting(self) -> int:
        """How many bytes nobody has read."""
        found = array("i", [0])
        fcntl.ioctl(self.descriptor, termios.FIONREAD, found)
        return found[0]


@dataclass(frozen=True)
class Watch:
    """A running command."""

    process: Process
    stdout: Lines
    stderr: Lines

    async def heard(self, events: Events) -> None:
        """Publish until it shows something, then until it shows the last: it is live, and has shown all."""
        shown, sent = "", ""
        while not shown:
            sent = f"probe-{os.urandom(6).hex()}"
            await events.publish("/example/probe", TaskOOM(sent))
            with anyio.move_on_after(0.1):
                shown = await self.stdout.next()
        while sent not in shown:
            shown = await self.stdout.next()


@asynccontextmanager
async def watching(address: str, *args: str) -> AsyncIterator[Watch]:
    """Run the command; at the end of the block it is killed, if it is still there."""
    with pipe() as (stdout, write_stdout), pipe() as (stderr, write_stderr):
        command = [*COMMAND, "--address", address, *args]
        async with await anyio.open_process(command, stdout=write_stdout, stderr=write_stderr) as process:
            os.close(write_stdout)
            os.close(write_stderr)
            try:
                with anyio.fail_after(60):
                    yield Watch(process, Lines(stdout), Lines(stderr))
            finally:
                if process.returncode is None:
                    process.kill()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe, both ends of which may be closed in the block."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            with suppress(OSError):
                os.close(end)


async def ended(args: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    with anyio.fail_after(60):
        return await anyio.run_process([*COMMAND, *args], check=False)


async def test_a_line_has_time_namespace_topic_and_json(
    client: Client, daemon: PrivateDaemon, services: Services, image: Image, namespace: str
) -> None:
    """The filter is that of the message of 2017, which today's daemons refuse; it is quoted for them."""
    everything = f"topic~=/tasks/.+,namespace=={namespace}"
    async with watching(daemon.address, everything, "topic==/example/probe") as watch:
        await watch.heard(services.events)
        await client.run(image, ["sh", "-c", "exit 4"])
        line = ""
        while "/tasks/exit" not in line:
            line = await watch.stdout.next()
        time, where, topic, payload = line.split(" ", 3)
        assert time.endswith("Z")
        assert (where, topic) == (namespace, "/tasks/exit")
        assert json.loads(payload)["exit_status"] == 4


async def test_json_is_one_object_a_line(daemon: PrivateDaemon, services: Services, namespace: str) -> None:
    async with watching(daemon.address, "--json", f"namespace=={namespace}") as watch:
        await watch.heard(services.events)
        await services.events.publish("/example/start", TaskStart("web", 7))
        await services.events.publish("/example/thing", UnknownEvent("example.Thing", b"\xff"))
        start, thing = [json.loads(await watch.stdout.next()) for _ in range(2)]
    assert start.pop("timestamp").endswith("Z")
    assert start == {
        "namespace": namespace,
        "topic": "/example/start",
        "type": "containerd.events.TaskStart",
        "event": {"container_id": "web", "pid": 7},
    }
    assert (thing["type"], thing["event"]["value"]) == ("example.Thing", "/w==")


async def test_all_namespaces_are_shown_and_nobodys_knocks(
    daemon: PrivateDaemon, services: Services, namespace: str
) -> None:
    other = Services.of(services.caller.connection.caller(f"{namespace}-other"))
    async with watching(daemon.address) as watch:
        await watch.heard(services.events)
        async with services.events.subscribe(), other.events.subscribe():
            await other.events.publish("/example/last", TaskOOM("web"))
        while "/example/last" not in (line := await watch.stdout.next()):
            assert "containerd-aio" not in line
        assert line.split(" ")[1] == f"{namespace}-other"


async def test_it_publishes_nothing_itself(daemon: PrivateDaemon, services: Services) -> None:
    async with services.events.stream("topic~=attached", 'topic=="/example/last"') as everything:
        async with watching(daemon.address) as watch:
            await watch.heard(services.events)
        await services.events.publish("/example/last", TaskOOM("web"))
        assert (await anext(everything)).topic == "/example/last"


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_it_survives_a_restart_and_tells_the_gap_on_stderr(
    daemon_of_its_own: PrivateDaemon, how: str
) -> None:
    async with (
        daemon_of_its_own.client() as client,
        watching(daemon_of_its_own.address, 'topic~="^/example/"') as watch,
    ):
        await watch.heard(client.events)
        for _ in range(2):
            if how == "killed":
                daemon_of_its_own.kill()
            else:
                await daemon_of_its_own.stop()
            await daemon_of_its_own.start()
            said = await watch.stderr.next()
            assert said.startswith("# events from 20")
            assert " are missing: " in said
            await client.events.publish("/example/last", TaskOOM("web"))
            assert "/example/last" in await watch.stdout.next()
        watch.process.send_signal(signal.SIGINT)
        assert await watch.process.wait() == 130
        assert await watch.stderr.next() == ""


async def test_a_bad_filter_is_refused_with_a_caret_under_the_fault() -> None:
    """Before anybody is asked: there is no containerd at this address."""
    done = await ended(["--address", "/nowhere/containerd.sock", "topic=/tasks/exit"])
    assert done.returncode == 1
    assert done.stdout == b""
    complaint, text, caret = done.stderr.decode().splitlines()
    assert complaint.startswith("containerd-aio: not a filter")
    assert text[caret.index("^")] == "="


async def test_a_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = await ended(["--address", str(tmp_path / "none.sock")])
    assert done.returncode == 1
    assert b"start containerd" in done.stderr


async def test_it_ends_quietly_as_soon_as_nobody_reads(daemon: PrivateDaemon, services: Services) -> None:
    """No further event is needed to find out."""
    async with watching(daemon.address) as watch:
        await watch.heard(services.events)
        os.close(watch.stdout.descriptor)
        assert await watch.process.wait() == 141
        assert await watch.stderr.next() == ""


async def test_head_gets_its_lines(daemon: PrivateDaemon, services: Services, namespace: str) -> None:
    script = f'set -o pipefail; {sys.executable} -m containerd_aio events "$@" | head -2'
    args = ["--address", daemon.address, f"namespace=={namespace}"]
    async with await anyio.open_process(["bash", "-c", script, "bash", *args]) as process:
        with anyio.fail_after(60):
            while process.returncode is None:
                await services.events.publish("/example/start", TaskStart("web", 7))
                with anyio.move_on_after(0.05):
                    await process.wait()
        assert process.stdout is not None
        assert process.stderr is not None
        lines = (await process.stdout.receive()).decode().splitlines()
        assert [line.split(" ", 2)[2] for line in lines] == [
            '/example/start {"container_id":"web","pid":7}',
            '/example/start {"container_id":"web","pid":7}',
        ]
        with pytest.raises(anyio.EndOfStream):
            await process.stderr.receive()
        assert process.returncode == 141


async def test_a_reader_that_stands_still_does_not_keep_ctrl_c_away(
    daemon: PrivateDaemon, services: Services
) -> None:
    """The pipe is full, and the next line would block. (Half of its 64 KiB are lost to how lines fill pages.)"""
    async with watching(daemon.address) as watch:
        await watch.heard(services.events)
        while watch.stdout.waiting() < 30_000:
            await services.events.publish("/example/thing", UnknownEvent("example.Thing", bytes(3000)))
        for _ in range(10):
            await services.events.publish("/example/thing", UnknownEvent("example.Thing", bytes(3000)))
        watch.process.send_signal(signal.SIGINT)
        assert await watch.process.wait() == 130


async def test_a_file_can_be_written_to(daemon: PrivateDaemon, services: Services, tmp_path: Path) -> None:
    path = tmp_path / "events"
    with path.open("wb") as file:
        async with await anyio.open_process([*COMMAND, "--address", daemon.address], stdout=file) as process:
            with anyio.fail_after(60):
                while path.stat().st_size == 0:
                    await services.events.publish("/example/start", TaskStart("web", 7))
                    with anyio.move_on_after(0.05):
                        await process.wait()
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 130
    assert path.read_text().splitlines()[-1].endswith('/example/start {"container_id":"web","pid":7}')
