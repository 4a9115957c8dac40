"""The shims of containers: what they leave behind, how they weigh, and that they outlive containerd."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest

from containerd_aio import Client, Image, ProcessState, pipes
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.test_exits import SLEEP, eventually, image_in, shim_of

pytestmark = pytest.mark.integration


def bundle_of(daemon: PrivateDaemon, namespace: str, id: str) -> Path:
    [bundle] = Path(daemon.address).parent.glob(f"state/io.containerd.runtime.v2.task/{namespace}/{id}")
    return bundle


def socket_of(bundle: Path) -> Path:
    """Where the shim listens: containerd 2 writes it down in one file, older ones in another."""
    told = bundle / "bootstrap.json"
    address = json.loads(told.read_text())["address"] if told.exists() else (bundle / "address").read_text()
    return Path(str(address).strip().removeprefix("unix://"))


def pipes_of(pid: int) -> int:
    """How many pipes and FIFOs a process holds."""
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        count += target.startswith("pipe:") or "fifo" in target or target.endswith("/log")
    return count


async def test_a_task_leaves_neither_pipes_nor_sockets_of_its_shim(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    daemon = daemon_of_its_own
    async with daemon.client() as client:
        image = await image_in(client, daemon, archive)
        before = pipes_of(daemon.pid)
        held: list[int] = []
        for _ in range(3):
            async with await client.new_container("web", image=image, args=SLEEP) as container:
                async with await container.new_task(stdio=pipes(stdin=True)) as task:
                    await task.start()
                    socket = socket_of(bundle_of(daemon, client.namespace, "web"))
                    assert socket.exists()
                    held.append(pipes_of(daemon.pid))

            async def is_clean(socket: Path = socket) -> bool:
                return not socket.exists() and pipes_of(daemon.pid) == before

            await eventually(is_clean)
        assert held == held[:1] * 3


async def test_a_shim_is_one_step_easier_to_kill_than_containerd(
    client: Client, image: Image, daemon: PrivateDaemon
) -> None:
    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        assert score(shim_of(task)) == min(score(daemon.pid) + 1, 1000)


async def test_a_restarted_containerd_finds_its_shims_and_their_logs(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    """A stop in order, not a crash: the wait goes on over it, and what a shim says is in the new log."""
    daemon = daemon_of_its_own
    async with daemon.client() as client:
        image = await image_in(client, daemon, archive)
        async with (
            await client.new_container("web", image=image, args=["cat"]) as container,
            await container.new_task(stdio=pipes(stdin=True)) as task,
        ):
            await task.start()
            exited = task.wait()
            await daemon.stop()
            await daemon.start()
            with anyio.fail_after(60):
                loaded = await container.task()
            assert (loaded.pid, (await loaded.status()).state) == (task.pid, ProcessState.RUNNING)
            assert not exited.done()

            log = os.open(bundle_of(daemon, client.namespace, "web") / "log", os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(log, b"a line that a shim could have written\n")
            finally:
                os.close(log)

            async def told() -> bool:
                return "a line that a shim could have written" in daemon.log

            await eventually(told)
            assert task.stdin is not None
            assert task.stdout is not None
            await task.stdin.send(b"its streams are whole")
            assert await task.stdout.receive() == b"its streams are whole"
            await loaded.kill()
            with anyio.fail_after(60):
                assert (await exited).code == 137
            assert not Path(f"/proc/{task.pid}").exists()
