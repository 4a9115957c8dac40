"""The tour of a checkpoint, as a reader would type it in."""

from __future__ import annotations

from pathlib import Path

import pytest

from containerd_aio import CheckpointOptions, Client, Image, pipes
from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


async def test_the_tour(
    client: Client, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed: list[object] = []
    print = printed.append

    print(await client.checkpoint_support())  # criu 4.1.1 works on this kernel (6.12)

    count = ["sh", "-c", "i=0; while read line; do i=$((i+1)); echo $i; done"]
    async with await client.new_container("counter", image=image, args=count) as container:
        async with await container.new_task(stdio=pipes(stdin=True)) as task:
            await task.start()
            await task.stdin.send(b"\n")  # type: ignore[union-attr]
            print(await task.stdout.receive())  # type: ignore[union-attr] # b'1\n'
            checkpoint = await task.checkpoint("counter", options=CheckpointOptions(exit=True))
    await client.export_images("counter.tar", checkpoint)  # import_images() takes it to another host

    async with await client.restore("elsewhere", checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint, stdio=pipes(stdin=True)) as task:
            await task.start()
            await task.stdin.send(b"\n")  # type: ignore[union-attr]
            print(await task.stdout.receive())  # type: ignore[union-attr] # b'2\n'

    assert "works on this kernel" in str(printed[0])
    assert printed[1:] == [b"1\n", b"2\n"]
    assert (tmp_path / "counter.tar").exists()
