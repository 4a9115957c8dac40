"""Archives and containers that are not to be trusted: nothing is written where it does not belong."""

from __future__ import annotations

import os
import socket
import tarfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    Client,
    Container,
    ContainerdError,
    FailedPreconditionError,
    Image,
    InvalidArgumentError,
    spec,
)
from containerd_aio.private_daemon import PrivateDaemon
from tests.copying.trees import Given, directory, from_tar, hard_link, link, member, read_tree, tar_of
from tests.integration.containers import SLEEP, container_of, output_of, packed, shared_client, unpacked

pytestmark = pytest.mark.integration


def disk(name: str) -> tarfile.TarInfo:
    device = member(name, tarfile.BLKTYPE)
    device.devmajor, device.devminor = 7, 200
    return device


MALICIOUS: dict[str, tuple[list[Given], str]] = {
    "up": ([("../up", b"")], "leads outside"),
    "up inside": ([("a/../../up", b"")], "leads outside"),
    "up after the top": ([("/../up", b"")], "leads outside"),
    "behind a link": ([link("l", "/"), ("l/etc/owned", b"")], "behind the link"),
    "behind a link up": ([link("l", "../.."), ("l/owned", b"")], "behind the link"),
    "behind links": ([link("a", "b"), link("b", "/"), ("a/owned", b"")], "behind the link"),
    "a directory behind a link": ([link("l", "/etc"), directory("l/owned")], "behind the link"),
    "a link behind a link": ([link("l", "/etc"), link("l/owned", "x")], "behind the link"),
    "a device": ([member("d", tarfile.CHRTYPE)], "is a device; devices=True"),
    "a disk": ([member("d", tarfile.BLKTYPE)], "is a device"),
    "a FIFO": ([member("d", tarfile.FIFOTYPE)], "is a FIFO"),
    "a file for the top": ([(".", b"")], "has the name of the directory"),
    "a hard link up": ([hard_link("h", "../../etc/passwd")], "leads outside"),
    "a hard link to nothing": ([hard_link("h", "none")], "not there|that the archive brought"),
    "a hard link behind a link": ([link("l", "/etc"), hard_link("h", "l/passwd")], "behind the link"),
}


@pytest.fixture(scope="module")
async def client(daemon: PrivateDaemon) -> AsyncIterator[Client]:
    async with shared_client(daemon) as client:
        yield client


@pytest.fixture(scope="module")
async def image(client: Client, daemon: PrivateDaemon, archive: bytes) -> Image:
    return await unpacked(client, daemon, archive)


@pytest.fixture(scope="module")
async def shared(client: Client, image: Image) -> AsyncIterator[Container]:
    async with container_of(client, image, "running", name="shared") as container:
        yield container


@pytest.fixture
async def running(shared: Container) -> Container:
    """A container that runs, with nothing in its /tmp and no /srv."""
    await output_of(shared, "rm", "-rf", "/tmp", "/srv")
    await shared.copy_in(tar_of([directory("tmp", 0o1777)]), "/")
    return shared


@pytest.mark.parametrize("state", ["no task", "running"])
async def test_malicious_archives_are_refused(client: Client, image: Image, state: str) -> None:
    async with container_of(client, image, state) as container:
        await container.copy_in(tar_of([directory("srv/at")]), "/")
        for name, (members, message) in MALICIOUS.items():
            with pytest.raises(InvalidArgumentError, match=message):
                await container.copy_in(tar_of(members), "/srv/at")
                pytest.fail(f"{name} was taken")
        with pytest.raises(
            FailedPreconditionError, match="'/srv/at/there' in container 'web' is a directory"
        ):
            await container.copy_in(tar_of([directory("there"), ("there", b"")]), "/srv/at")
        found = from_tar(await packed(container, "/srv"))
        assert {name for name, item in found.items() if item.kind == "file"} == set()
        assert not {"etc/owned", "owned", "up", "srv/up"} & from_tar(await packed(container, "/")).keys()
    assert not any(os.path.lexists(path) for path in ("/owned", "/up", "/etc/owned", "/srv/up"))


async def test_a_tar_of_the_container_s_own_gets_no_malicious_archive(client: Client, image: Image) -> None:
    async with container_of(client, image, "not to be seen") as container:
        for name in ("up", "behind links", "a device", "a hard link up"):
            members, message = MALICIOUS[name]
            with pytest.raises(InvalidArgumentError, match=message):
                await container.copy_in(tar_of(members), "/tmp")
        assert "owned" not in await output_of(container, "find", "/", "-xdev")


async def test_absolute_names_count_from_the_directory(running: Container) -> None:
    await running.copy_in(tar_of([("/etc/passwd", b"mine"), hard_link("same", "/etc/passwd")]), "/tmp")
    assert await output_of(running, "cat", "/tmp/etc/passwd", "/tmp/same") == "minemine"
    assert b"root:x:0:0" in await running.read_file("/etc/passwd")


async def test_devices_come_in_when_asked_for(running: Container) -> None:
    null = member("null", tarfile.CHRTYPE, mode=0o666)
    null.devmajor, null.devminor = 1, 3
    await running.copy_in(tar_of([null, member("fifo", tarfile.FIFOTYPE, mode=0o640)]), "/tmp", devices=True)
    shown = await output_of(running, "stat", "-c", "%F %a %t:%T", "/tmp/null", "/tmp/fifo")
    assert shown.splitlines() == ["character special file 666 1:3", "fifo 640 0:0"]


@pytest.mark.parametrize("state", ["no task", "running", "ended"])
async def test_links_of_a_container_lead_to_places_of_the_container(
    client: Client, image: Image, tmp_path: Path, state: str
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "secret").write_text("the host's")
    up = "../" * 30
    links = [
        link("srv/absolute", str(host)),
        link("srv/relative", f"{up}{host}"),
        link("srv/file", f"{host}/secret"),
        link("srv/proc", f"/proc/self/root{host}"),
    ]
    async with container_of(client, image, state) as container:
        await container.copy_in(tar_of(links), "/")
        for path in ("/srv/absolute/secret", "/srv/relative/secret", "/srv/file", "/srv/proc/secret"):
            with pytest.raises(ContainerdError):
                await container.read_file(path)
        await container.write_file("/srv/absolute/new", b"in", parents=True)
        await container.copy_in(tar_of([("srv/relative/newer", b"in")]), "/")
        await container.write_file("/srv/file", b"in")
        found = from_tar(await packed(container, f"{host}"))
        assert {name for name, item in found.items() if item.content == b"in"} == {
            "host/new",
            "host/newer",
            "host/secret",
        }
    assert read_tree(host).keys() == {"secret"}
    assert (host / "secret").read_text() == "the host's"


async def test_what_lies_in_the_way_is_replaced_and_never_opened(running: Container, tmp_path: Path) -> None:
    """A device that the container made may be a disk of the host; a FIFO would hold us up for ever."""
    await output_of(running, "mknod", "/tmp/disk", "b", "7", "200")
    await output_of(running, "mkfifo", "/tmp/fifo")
    await output_of(running, "ln", "/etc/passwd", "/tmp/shared")
    (tmp_path / "file").write_bytes(b"x")
    for path in ("/tmp/disk", "/tmp/fifo"):
        with pytest.raises(FailedPreconditionError, match="neither a file nor a directory"):
            await running.copy_in(tmp_path / "file", path)
        with pytest.raises(FailedPreconditionError, match="is not a regular file"):
            await running.write_file(path, b"x")
        with pytest.raises(FailedPreconditionError, match="is not a regular file"):
            await running.read_file(path)
    with anyio.fail_after(60):
        await running.copy_in(tar_of([(name, b"new") for name in ("disk", "fifo", "shared")]), "/tmp")
    assert await output_of(running, "cat", "/tmp/disk", "/tmp/fifo", "/tmp/shared") == "newnewnew"
    assert b"root:x:0:0" in await running.read_file("/etc/passwd")


async def test_a_container_that_changes_its_tree_all_the_time_leads_nobody_out(
    client: Client, image: Image, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    swap = f"mkdir -p /srv/d; while :; do mv /srv/d /srv/e; ln -s {host} /srv/d; rm /srv/d; mv /srv/e /srv/d; done"
    async with (
        await client.new_container("web", image=image, args=["sh", "-c", swap]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        archive = tar_of([(f"d/f{number}", b"x") for number in range(20)])
        for _ in range(20):
            with suppress(ContainerdError):  # what it found was gone the moment after
                await container.copy_in(archive, "/srv", parents=True)
        await task.pause()
        found = from_tar(await packed(container, "/"))
        assert [name for name in found if ".containerd-aio" in name] == []
    assert read_tree(host) == {}


EVIL: list[Given] = [
    link("absolute", "/etc/passwd"),
    link("up", "../../etc/passwd"),
    link("just-up", ".."),
    link("sub/up", "../.."),
    link("behind", "sub/../../x"),
    disk("device"),
    member("fifo", tarfile.FIFOTYPE),
]
GOOD: list[Given] = [
    ("file", b"1"),
    ("sub/file", b"2"),
    link("sub/inside", "../file"),
    link("dangling", "none"),
    member("setuid", mode=0o6777),
]


async def test_an_evil_container_writes_nothing_outside_of_the_target(
    running: Container, tmp_path: Path
) -> None:
    for number, evil in enumerate(EVIL):
        await running.copy_in(tar_of([evil, *GOOD]), f"/tmp/t{number}", parents=True, devices=True)
        with pytest.raises(InvalidArgumentError, match="skip_unsafe=True leaves such members out"):
            await running.copy_out_to(f"/tmp/t{number}", tmp_path / f"refused{number}")
        await running.copy_out_to(f"/tmp/t{number}", tmp_path / f"kept{number}", skip_unsafe=True)
        found = read_tree(tmp_path / f"kept{number}")
        assert found.keys() - {"sub"} == {"file", "sub/file", "sub/inside", "dangling", "setuid"}
        assert found["setuid"].mode == 0o755
        assert found["setuid"].uid == os.geteuid()


async def test_links_that_are_there_on_this_host_are_no_way_for_a_copy(
    running: Container, tmp_path: Path
) -> None:
    """Somebody may have them point elsewhere, an earlier copy for instance."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "sub").symlink_to(outside)
    (tmp_path / "target" / "file").symlink_to(outside / "file")
    await running.copy_in(tar_of(GOOD), "/tmp")
    with pytest.raises(NotADirectoryError):
        await running.copy_out_to("/tmp/.", tmp_path / "target")
    assert read_tree(outside) == {}


async def test_sockets_are_left_out_of_a_copy(running: Container, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "dir" / "socket"))
    (tmp_path / "dir" / "file").write_bytes(b"")
    await running.copy_in(tmp_path / "dir", "/tmp")
    assert await output_of(running, "ls", "/tmp/dir") == "file\n"
    with pytest.raises(InvalidArgumentError, match="neither a file nor a directory"):
        await running.copy_in(tmp_path / "dir" / "socket", "/tmp")


async def test_whiteouts_are_refused_where_they_would_remove_files(client: Client, image: Image) -> None:
    async with container_of(client, image, "no task") as container:
        with pytest.raises(InvalidArgumentError, match=r"'\.wh\.passwd' means that a file is removed"):
            await container.copy_in(tar_of([("etc/.wh.passwd", b"")]), "/")
        with pytest.raises(InvalidArgumentError, match="a device 0:0 means that a file is removed"):
            await container.copy_in(tar_of([member("etc/passwd", tarfile.CHRTYPE)]), "/", devices=True)
        assert b"root:x:0:0" in await container.read_file("/etc/passwd")


async def test_what_a_container_calls_things_hinders_no_copy(
    client: Client, image: Image, tmp_path: Path
) -> None:
    """A carriage return in a mount point, and attributes whose names no archive can have."""
    async with (
        await client.new_container(
            "web", image=image, args=SLEEP, options=[spec.tmpfs("/odd\r1 2 3:4 / / rw")]
        ) as container,
        await container.new_task() as task,
    ):
        await task.start()
        await container.write_file("/tmp/file", b"1")
        for name in (b"user.\xff", b"user.a=b"):
            os.setxattr(f"/proc/{task.pid}/root/tmp/file", name, b"value")
        await container.copy_out_to("/tmp/.", tmp_path)
        assert from_tar(await packed(container, "/tmp"))["tmp/file"].content == b"1"
    assert (tmp_path / "file").read_bytes() == b"1"


async def test_a_file_does_not_take_the_place_of_a_device_of_this_host(running: Container) -> None:
    with pytest.raises(FileExistsError, match="it stays: '/dev/null'"):
        await running.copy_out_to("/etc/passwd", "/dev/null")
    assert not os.path.isfile("/dev/null")


def content_as_members(name: str, inside: bytes) -> bytes:
    """A directory by its slash, and an archive as its content, which no directory has."""
    header = tarfile.TarInfo(name)
    header.size = len(inside)
    return header.tobuf() + inside


async def with_tar(container: Container, script: str, archive: bytes) -> None:
    """Give the container a tar of its own that runs this script."""
    program = member("usr/local/bin/tar", mode=0o755)
    program.size = len(script)
    padded = script.encode() + bytes(-len(script) % 512)
    await container.copy_in(program.tobuf() + padded + tar_of([("evil", archive)]), "/")


async def test_an_evil_tar_of_a_container_gets_nothing_out(
    client: Client, image: Image, tmp_path: Path
) -> None:
    """Where the host does not show the files, it is a program of the container that says what they are."""
    home = tmp_path / "home"
    home.mkdir()
    evil = directory("./").tobuf() + content_as_members("./x/", tar_of([(".bashrc", b"owned")]))
    async with container_of(client, image, "not to be seen") as container:
        await with_tar(container, "#!/bin/sh\ncat /evil\n", evil)
        await container.copy_out_to("/srv", home)
    assert read_tree(home).keys() == {"srv", "srv/x"}


@pytest.mark.parametrize(
    ("first", "again", "message"),
    [
        pytest.param(
            directory("./").tobuf(), tar_of([("./f", b"1" * 500)])[:1024] * 50, "larger than", id="files"
        ),
        pytest.param(
            directory("./").tobuf(),
            member("./g", tarfile.XGLTYPE).tobuf() * 500,
            "extended headers",
            id="headers",
        ),
    ],
)
async def test_a_tar_of_a_container_that_never_ends_is_cut_off(
    client: Client, image: Image, tmp_path: Path, first: bytes, again: bytes, message: str
) -> None:
    async with container_of(client, image, "not to be seen") as container:
        await with_tar(
            container, "#!/bin/sh\nhead -c 512 /evil\nwhile tail -c +513 /evil; do :; done\n", first + again
        )
        with pytest.raises(ContainerdError, match=message):
            await container.copy_out_to("/srv", tmp_path, max_size=100_000)
        assert [info.exec_id for info in await (await container.task()).pids()] == [None]
