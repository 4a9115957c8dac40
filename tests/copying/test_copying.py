"""What `Container` refuses before it does anything; the rest is in tests/integration/test_copying.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from containerd_aio import Client, Container, InvalidArgumentError
from containerd_aio.testing import FakeContainerd
from tests.copying.trees import tar_of


@pytest.fixture
async def container(tmp_path: Path) -> AsyncIterator[Container]:
    async with (
        FakeContainerd() as fake,
        Client(fake.address, fifo_dir=tmp_path) as client,
        await client.new_container("web", image="docker.io/library/fake:latest", args=["serve"]) as container,
    ):
        yield container


@pytest.mark.parametrize("path", ["", "a\0b", 5, b"bytes", None])
async def test_a_path_is_text(container: Container, path: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="a path of the container is text that is not empty"):
        await container.read_file(path)
    with pytest.raises(InvalidArgumentError):
        await container.write_file(path, b"")
    with pytest.raises(InvalidArgumentError):
        await container.copy_in(tar_of([("x", b"")]), path)
    with pytest.raises(InvalidArgumentError):
        await container.copy_out_to(path, tmp_path)
    with pytest.raises(InvalidArgumentError):
        async with container.copy_out(path):
            pass


@pytest.mark.parametrize("source", [5, None, [b"chunk"], iter([b"chunk"])])
async def test_a_source_is_a_path_or_an_archive(container: Container, source: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"copy_in\(\) takes a local path, or a tar archive: bytes"
    ):
        await container.copy_in(source, "/")


@pytest.mark.parametrize("path", ["/", "/srv/", "/srv/.", "..", "/srv/.."])
async def test_a_file_is_not_written_to_the_name_of_a_directory(container: Container, path: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is the name of a directory, not of a file"):
        await container.write_file(path, b"")


async def test_bytes_that_are_no_archive_are_refused(container: Container) -> None:
    with pytest.raises(InvalidArgumentError, match="this is not an archive"):
        await container.copy_in(b"hello, world", "/")
    with pytest.raises(InvalidArgumentError, match="the archive is empty"):
        await container.copy_in(b"", "/")


async def test_a_path_can_be_a_path(container: Container) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'/\\ud800' cannot be a path"):
        await container.read_file("/\ud800")


@pytest.mark.parametrize("data", ["text", 5, None, [1]])
async def test_a_file_holds_bytes(container: Container, data: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"holds bytes, not {type(data).__name__}"):
        await container.write_file("/x", data)


@pytest.mark.parametrize("mode", [-1, 0o10000])
async def test_a_mode_is_one_of_a_file(container: Container, mode: int) -> None:
    with pytest.raises(InvalidArgumentError, match="is no mode of a file"):
        await container.write_file("/x", b"", mode=mode)
