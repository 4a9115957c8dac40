"""What ``checkpoint`` refuses before it touches a container, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from containerd_aio.cli.app import app
from containerd_aio.cli.checkpoint import CheckpointOrder, take_checkpoint
from containerd_aio.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd
from containerd_aio.types import CheckpointOptions


def test_the_container_has_to_be_said() -> None:
    done = CliRunner().invoke(app, ["checkpoint"])
    assert done.exit_code == 2
    assert "say which container" in done.output


@pytest.mark.parametrize("more", [{"name": "kept"}, {"output": "kept.tar"}])
def test_a_directory_is_no_image(more: dict[str, str]) -> None:
    order = CheckpointOrder(container="web", directory=Path("/images"), **more)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="--to writes into a directory"):
        order.check()


def test_an_archive_that_could_not_be_written_is_refused_before_anything_is_frozen(tmp_path: Path) -> None:
    order = CheckpointOrder(container="web", output=str(tmp_path / "none" / "kept.tar"))
    with pytest.raises(InvalidArgumentError, match=f"there is no directory {tmp_path}/none"):
        order.check()


def test_the_options_are_criu_s() -> None:
    order = CheckpointOrder(container="web", exit=True, tcp=True)
    assert order.options() == CheckpointOptions(exit=True, open_tcp=True)


async def test_the_name_of_the_image_is_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    async with FakeContainerd() as fake, fake.client() as client:
        async with await client.new_container("web", image=FAKE_IMAGE) as container:
            with pytest.raises(NotFoundError, match="has no task"):
                await take_checkpoint(CheckpointOrder(container="web"), address=fake.address, namespace=None)
            async with await container.new_task() as task:
                with pytest.raises(FailedPreconditionError, match="it is created"):
                    await take_checkpoint(
                        CheckpointOrder(container="web"), address=fake.address, namespace=None
                    )
                await task.start()
                order = CheckpointOrder(container="web", name="kept", output=str(tmp_path / "kept.tar"))
                await take_checkpoint(order, address=fake.address, namespace=None)
                order = CheckpointOrder(container="web", directory=tmp_path / "images")
                await take_checkpoint(order, address=fake.address, namespace=None)
        assert (await client.image("kept")).name == "kept"
    assert capsys.readouterr().out.splitlines() == ["kept", str(tmp_path / "images")]
    assert (tmp_path / "kept.tar").stat().st_size > 1000
    assert (tmp_path / "images").is_dir()
