"""What ``restore`` refuses, and where it finds a checkpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpclib.const import Status

from containerd_aio import Client
from containerd_aio.cli.log_files import VARIABLE
from containerd_aio.cli.restore import RestoreOrder, restore_container
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.errors import InvalidArgumentError, NotFoundError, StartFailedError
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    """A fake with a checkpoint ``kept``."""
    async with FakeContainerd() as fake, fake.client() as client:
        async with await client.new_container("web", image=FAKE_IMAGE) as container:
            async with await container.new_task() as task:
                await task.start()
                await task.checkpoint("kept")
        yield fake


async def restored(fake: FakeContainerd, order: RestoreOrder) -> int:
    signals = SignalsCaught()
    return await restore_container(order, address=fake.address, namespace=None, grace=0, signals=signals)


async def test_it_is_left_running_with_a_log(
    fake: FakeContainerd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert await restored(fake, RestoreOrder(source="kept", id="again", detach=True)) == 0
    assert capsys.readouterr().out == "again\n"
    assert (tmp_path / "default" / "again.log").exists()
    async with Client(fake.address) as client:
        container = await client.load_container("again")
        assert (await (await container.task()).status()).state == "running"


async def test_an_archive_will_do(
    fake: FakeContainerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    async with fake.client() as client:
        await client.export_images(tmp_path / "kept.tar", "kept")
        await client.export_images(tmp_path / "two.tar", "kept", FAKE_IMAGE)
        await client.images.delete("kept")
    assert await restored(fake, RestoreOrder(source=str(tmp_path / "kept.tar"), detach=True)) == 0
    with pytest.raises(InvalidArgumentError, match="holds 2 images"):
        await restored(fake, RestoreOrder(source=str(tmp_path / "two.tar"), detach=True))


async def test_what_cannot_be_is_said(fake: FakeContainerd) -> None:
    with pytest.raises(InvalidArgumentError, match="leave one out"):
        await restored(fake, RestoreOrder(source="kept", detach=True, interactive=True))
    with pytest.raises(NotFoundError, match="there is no image 'none'"):
        await restored(fake, RestoreOrder(source="none", detach=True))
    with pytest.raises(InvalidArgumentError, match="is no checkpoint"):
        await restored(fake, RestoreOrder(source=FAKE_IMAGE, detach=True))


async def test_a_failed_restore_leaves_nothing(
    fake: FakeContainerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with fake.refuse("Tasks/Start", Status.UNKNOWN, "OCI runtime restore failed: criu failed"):
        with pytest.raises(StartFailedError, match="criu failed"):
            await restored(fake, RestoreOrder(source="kept", id="again", detach=True))
    async with Client(fake.address) as client:
        assert await client.list_containers() == []
    assert list((tmp_path / "default").iterdir()) == []
