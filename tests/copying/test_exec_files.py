"""A container's files through a tar of its own; on the real one tests/integration/test_copying.py does."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from containerd_aio import (
    Client,
    Container,
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from containerd_aio.testing import FakeContainerd
from tests.copying.trees import Given, directory, from_tar, hard_link, link, read_tree, tar_of

IMAGE = "docker.io/library/fake:latest"
READ = ["tar", "-c", "-f", "-", "-C"]
TOP = directory("./").tobuf()


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        fake.script(["tar"], code=2, stderr=b"tar: no such thing\n")
        yield fake


@pytest.fixture
async def container(fake: FakeContainerd, tmp_path: Path) -> AsyncIterator[Container]:
    """One whose process is not to be seen: the fake's pids are no pids of this machine."""
    async with (
        Client(fake.address, fifo_dir=tmp_path) as client,
        await client.new_container("web", image=IMAGE, args=["serve"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        yield container


def answer(fake: FakeContainerd, where: str, what: str, members: Sequence[Given], **options: object) -> None:
    fake.script([*READ, where, what], stdout=tar_of(members), **options)  # type: ignore[arg-type]


async def test_a_file_is_read(fake: FakeContainerd, container: Container) -> None:
    answer(fake, "/etc", "./motd", [("./motd", b"hello")])
    assert await container.read_file("/etc/motd") == b"hello"


async def test_a_directory_gets_its_name(fake: FakeContainerd, container: Container) -> None:
    members: list[Given] = [directory("./"), ("./a", b"1"), hard_link("./b", "./a")]
    answer(fake, "/srv", ".", members)
    async with container.copy_out("/srv") as archive:
        found = from_tar(b"".join([chunk async for chunk in archive]))
    assert list(found) == ["srv", "srv/a", "srv/b"]
    assert found["srv/b"].same_as == "srv/a"


async def test_what_is_not_there_is_not_found(fake: FakeContainerd, container: Container) -> None:
    answer(fake, "/", ".", [directory("./")])
    with pytest.raises(NotFoundError, match="'/none/at/all' in container 'web' is not there"):
        await container.read_file("/none/at/all")
    with pytest.raises(NotFoundError, match="is not there"):
        await container.read_file("/none/../x")


async def test_a_tar_that_fails_in_the_end_is_heard(fake: FakeContainerd, container: Container) -> None:
    answer(
        fake, "/etc", "./motd", [("./motd", b"hello")], code=1, stderr=b"tar: motd: changed as we read it\n"
    )
    with pytest.raises(
        FailedPreconditionError, match="tar in container 'web' failed: tar: motd: changed as we read"
    ):
        await container.read_file("/etc/motd")


async def test_one_that_is_killed_half_way_is_heard(fake: FakeContainerd, container: Container) -> None:
    whole = tar_of([("./motd", bytes(5000))])
    fake.script([*READ, "/etc", "./motd"], stdout=whole[:2000], code=137)
    with pytest.raises(FailedPreconditionError, match="tar in container 'web' failed: ended with code 137"):
        await container.read_file("/etc/motd")


async def test_one_that_refuses_what_it_gets_is_heard(fake: FakeContainerd, container: Container) -> None:
    answer(fake, "/srv", ".", [directory("./")])
    fake.script(["tar", "-x"], code=2, stderr=b"tar: short read\n")
    with pytest.raises(FailedPreconditionError, match="tar: short read"):
        await container.copy_in(tar_of([("x", bytes(1 << 20))]), "/srv")


async def test_a_container_without_a_tar_says_so(fake: FakeContainerd, container: Container) -> None:
    fake.script(["tar"], fails='exec: "tar": executable file not found in $PATH')
    with pytest.raises(
        FailedPreconditionError,
        match=r"'web' cannot be reached from here: its process \d+ is not to be seen here; nor has it a tar .*not found",
    ):
        await container.read_file("/etc/motd")


def file_called(name: str, content: bytes) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header.tobuf() + content + bytes(-len(content) % 512)


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(file_called("./x/", tar_of([("owned", b"1")])), id="members in a directory's content"),
        pytest.param(file_called("./", tar_of([("owned", b"1")])), id="members in the top's content"),
        pytest.param(tar_of([("./../owned", b"1")]), id="a name that goes up"),
        pytest.param(tar_of([("./f", b"1"), hard_link("./owned", "../secret")]), id="a hard link up"),
        pytest.param(tar_of([hard_link("./owned", "./secret")]), id="a hard link to what was there"),
        pytest.param(tar_of([link("./l", ".."), ("./l/owned", b"1")]), id="behind a link"),
        pytest.param(tar_of([link("./l", "x"), hard_link("./d/owned", "../l")]), id="a link linked up"),
        pytest.param(tar_of([link(".", "..")]), id="a link for the top"),
    ],
)
async def test_an_evil_tar_of_a_container_writes_nothing_beside_the_copy(
    fake: FakeContainerd, container: Container, tmp_path: Path, hostile: bytes
) -> None:
    """What it says is a stranger's word, and where the copy goes is somebody's home."""
    target = tmp_path / "home" / "data"
    target.mkdir(parents=True)
    (tmp_path / "home" / "secret").write_bytes(b"")
    (target / "secret").write_bytes(b"")
    fake.script([*READ, "/srv/data", "."], stdout=hostile + bytes(1024))
    with suppress(ContainerdError):
        await container.copy_out_to("/srv/data", tmp_path / "home")
    assert sorted(os.listdir(tmp_path / "home")) == ["data", "secret"]
    assert "owned" not in [Path(name).name for name in read_tree(tmp_path / "home")]


async def test_what_a_tar_complains_of_moves_no_cursor(fake: FakeContainerd, container: Container) -> None:
    answer(fake, "/etc", "./motd", [("./motd", b"1")], code=1, stderr=b"tar: \x1b[2J\x07no\nmore\n")
    with pytest.raises(FailedPreconditionError, match=r"failed: tar: \?\[2J\?no\nmore$"):
        await container.read_file("/etc/motd")


def device(number: int) -> bytes:
    header = tarfile.TarInfo("./null")
    header.type, header.devmajor = tarfile.CHRTYPE, number
    return header.tobuf(tarfile.GNU_FORMAT)


async def test_a_device_that_none_can_be_is_refused(fake: FakeContainerd, container: Container) -> None:
    fake.script([*READ, "/srv", "."], stdout=TOP + device(1 << 40) + bytes(1024))
    with pytest.raises(
        InvalidArgumentError, match="the container's tar gives 'srv/null' a number that none can"
    ):
        async with container.copy_out("/srv") as archive:
            async for _ in archive:
                pass


def with_attribute(file: str, name: bytes) -> bytes:
    """A file with an attribute of this name; its bytes need not be text."""
    record = b" SCHILY.xattr." + name + b"=1\n"
    record = b"%d" % (len(record) + 2) + record
    header = tarfile.TarInfo("./pax")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    return header.tobuf() + record + bytes(-len(record) % 512) + tarfile.TarInfo(file).tobuf()


@pytest.mark.parametrize("name", [b"user.\xff", b"trusted.overlay.opaque"])
async def test_attributes_that_do_not_travel_are_left_out(
    fake: FakeContainerd, container: Container, name: bytes
) -> None:
    archived = TOP + with_attribute("./x", name) + with_attribute("./y", b"user.own") + bytes(1024)
    fake.script([*READ, "/srv", "."], stdout=archived)
    async with container.copy_out("/srv") as archive:
        data = b"".join([chunk async for chunk in archive])
    with tarfile.open(fileobj=io.BytesIO(data)) as given:
        attributes = {info.name: list(info.pax_headers) for info in given}
    assert attributes == {"srv": [], "srv/x": [], "srv/y": ["SCHILY.xattr.user.own"]}
