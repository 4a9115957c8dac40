"""Copying into containers and out of them, in each state that a container can be in."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

import containerd_aio
from containerd_aio import (
    Client,
    Container,
    FailedPreconditionError,
    Image,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    spec,
)
from containerd_aio.private_daemon import PrivateDaemon
from tests.copying.trees import (
    SECOND,
    Item,
    Tree,
    directory,
    from_tar,
    hard_link,
    link,
    make_tree,
    member,
    read_tree,
    tar_of,
)
from tests.images.archives import oci_archive, tar
from tests.integration.conftest import cannot_run
from tests.integration.containers import (
    BUSYBOX,
    SLEEP,
    container_of,
    output_of,
    packed,
    seen_by,
    shared_client,
    unpacked,
)

pytestmark = pytest.mark.integration

ROOT_OF_SOURCES = Path(containerd_aio.__file__).parents[1]

STATES = ["no task", "created", "running", "paused", "ended", "not to be seen", "on another host"]

TREE: Tree = {
    "top": Item("directory", 0o755, mtime_ns=1_600_000_000 * SECOND + 123),
    "top/run": Item("file", 0o4755, b"#!/bin/sh\n", uid=1000, gid=50, mtime_ns=1_500_000_000 * SECOND + 7),
    "top/empty": Item("file", 0o600, mtime_ns=SECOND),
    "top/big": Item("file", 0o640, os.urandom(3_000_001), mtime_ns=1_700_000_000 * SECOND),
    "top/gr\u00f6\u00dfe \u2713": Item("file", content=b"x", mtime_ns=2 * SECOND),
    "top/raw\udcff\udc80": Item("file", content=b"y", mtime_ns=3 * SECOND),
    "top/" + "long" * 50: Item("file", content=b"z" * 512, mtime_ns=4 * SECOND),
    "top/same": Item(
        "file", 0o4755, b"", uid=1000, gid=50, mtime_ns=1_500_000_000 * SECOND + 7, same_as="top/run"
    ),
    "top/inner": Item("directory", 0o711, uid=33, gid=33, mtime_ns=5 * SECOND + 5),
    "top/inner/link": Item("link", 0o777, b"../../somewhere", uid=33, mtime_ns=6 * SECOND),
    "top/inner/hollow": Item("directory", 0o1777, mtime_ns=7 * SECOND),
}


def as_busybox_keeps(tree: Tree) -> Tree:
    """A tree as busybox's tar makes it: whole seconds, and of directories and links no time, of links no owner."""
    whole = as_the_daemon_packs(tree)
    for name, item in whole.items():
        if item.kind != "file":
            whole[name] = replace(item, mtime_ns=0)
        if item.kind == "link":
            whole[name] = replace(item, mtime_ns=0, uid=0, gid=0)
    return whole


def as_the_daemon_packs(tree: Tree) -> Tree:
    """A tree as containerd's differ tells of it: whole seconds."""
    return {name: replace(item, mtime_ns=item.mtime_ns // SECOND * SECOND) for name, item in tree.items()}


KEEPING: dict[str, Callable[[Tree], Tree]] = {
    "not to be seen": as_busybox_keeps,
    "on another host": as_the_daemon_packs,
}


def shape(tree: Tree) -> dict[str, tuple[object, ...]]:
    """A tree without what depends on which name of a file comes first."""
    contents = {name: item.content for name, item in tree.items()}
    return {
        name: (item.kind, item.mode, contents[item.same_as or name], item.uid, item.gid, item.mtime_ns)
        for name, item in tree.items()
    }


@pytest.fixture(scope="module")
async def client(daemon: PrivateDaemon) -> AsyncIterator[Client]:
    async with shared_client(daemon) as client:
        yield client


@pytest.fixture(scope="module")
async def image(client: Client, daemon: PrivateDaemon, archive: bytes) -> Image:
    return await unpacked(client, daemon, archive)


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def container(
    client: Client, image: Image, daemon: PrivateDaemon, state: str
) -> AsyncIterator[Container]:
    async with container_of(client, image, state) as made, seen_by(client, daemon, state, made) as container:
        yield container


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


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A directory of this host with the tree in it."""
    if os.geteuid():
        cannot_run("the tree has files of several users")
    (tmp_path / "from").mkdir()
    make_tree(tmp_path / "from", TREE)
    return tmp_path / "from"


async def test_a_tree_goes_in_and_comes_out_as_it_was(container: Container, local: Path, state: str) -> None:
    await container.copy_in(local / "top", "/tmp", preserve=True)
    found = from_tar(await packed(container, "/tmp/top"))
    as_kept = KEEPING.get(state, dict)
    assert shape(as_kept(found)) == shape(as_kept(TREE))
    assert [item.same_as for item in found.values()].count("") == len(TREE) - 1


@pytest.mark.parametrize("state", ["no task", "running", "ended"], indirect=True)
async def test_so_it_is_with_a_snapshotter_that_has_no_overlays(
    client: Client, daemon: PrivateDaemon, image: Image, local: Path, state: str
) -> None:
    async with (
        container_of(client, image, state, snapshotter="native") as made,
        seen_by(client, daemon, state, made) as container,
    ):
        await container.copy_in(local / "top", "/tmp", preserve=True)
        found = from_tar(await packed(container, "/tmp/top"))
        as_kept = KEEPING.get(state, dict)
        assert shape(as_kept(found)) == shape(as_kept(TREE))


async def test_the_container_sees_what_was_copied_before_it_ran(
    client: Client, image: Image, local: Path
) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        await container.copy_in(local / "top", "/srv", preserve=True)
        async with await container.new_task() as task:
            await task.start()
            shown = await output_of(
                container, "stat", "-c", "%a %u %g %s %Y", "/srv/run", "/srv/inner", "/srv/big"
            )
            assert shown.splitlines() == [
                "4755 1000 50 10 1500000000",
                "711 33 33 4096 5",
                "640 0 0 3000001 1700000000",
            ]
            digest = hashlib.sha256(TREE["top/big"].content).hexdigest()
            assert (await output_of(container, "sha256sum", "/srv/big")).split()[0] == digest
            await container.write_file("/srv/late", b"there")
            assert await output_of(container, "cat", "/srv/late") == "there"


@pytest.mark.parametrize(
    "state", ["no task", "running", "ended", "not to be seen", "on another host"], indirect=True
)
async def test_files_are_written_and_read(container: Container) -> None:
    await container.write_file("/etc/app.conf", b"one", mode=0o600, owner="app:staff")
    await container.write_file("etc/app.conf", b"two")
    assert await container.read_file("/etc/app.conf") == b"two"
    [item] = from_tar(await packed(container, "/etc/app.conf")).values()
    assert (item.mode, item.uid, item.gid) == (0o600, 1000, 50)
    await container.write_file("/opt/a/b/new", b"", parents=True)
    assert from_tar(await packed(container, "/opt/.")).keys() - {"", "."} == {"a", "a/b", "a/b/new"}
    assert b"root:x:0:0" in await container.read_file("/etc/../etc/./passwd")
    await container.copy_in(tar_of([link("etc/alias", "/etc/app.conf")]), "/")
    await container.write_file("/etc/alias", b"three")
    assert await container.read_file("/etc/app.conf") == b"three"


@pytest.mark.parametrize("state", ["no task", "running", "not to be seen"], indirect=True)
async def test_what_cannot_be_is_said(container: Container, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(NotFoundError, match=r"'/none' in container '(web|shared)' is not there"):
        await container.read_file("/none")
    with pytest.raises(NotFoundError, match=r"'/none/x' in container '(web|shared)'.* is not there"):
        async with container.copy_out("/none/x"):
            pass
    with pytest.raises(
        NotFoundError, match=r"no directory '/none' in container '(web|shared)'; `parents` makes it"
    ):
        await container.copy_in(tmp_path / "file", "/none/file")
    with pytest.raises(
        NotFoundError, match=r"no directory '/none' in container '(web|shared)'; `parents` makes it"
    ):
        await container.copy_in(tar_of([("x", b"")]), "/none")
    with pytest.raises(FailedPreconditionError, match="'/etc' in container '(web|shared)' is a directory"):
        await container.read_file("/etc")
    with pytest.raises(
        FailedPreconditionError, match=r"'/etc/passwd/?' in container '(web|shared)' is not a directory"
    ):
        await container.copy_in(tmp_path / "file", "/etc/passwd/")
    with pytest.raises(
        FailedPreconditionError, match="'/etc/passwd' in container '(web|shared)' is not a directory"
    ):
        await container.copy_in(tmp_path, "/etc/passwd")
    with pytest.raises(FailedPreconditionError, match="is not a directory"):
        await container.copy_in(tar_of([("x", b"")]), "/etc/passwd")
    with pytest.raises(
        ResourceExhaustedError, match="'/bin/busybox' in container '(web|shared)' has more than 10 bytes"
    ):
        await container.read_file("/bin/busybox", max_size=10)
    with pytest.raises(InvalidArgumentError, match="no valid row for the user 'nobody-else'"):
        await container.write_file("/etc/x", b"", owner="nobody-else")
    with pytest.raises(FileNotFoundError):
        await container.copy_in(tmp_path / "none", "/etc")


async def test_a_local_path_goes_where_docker_cp_puts_it(running: Container, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "inner").write_bytes(b"1")
    (tmp_path / "file").write_bytes(b"2")
    (tmp_path / "alias").symlink_to("file")
    await running.copy_in(tmp_path / "file", "/tmp")
    await running.copy_in(f"{tmp_path}/file", "/tmp/renamed")
    await running.copy_in(tmp_path / "alias", "/tmp/")
    await running.copy_in(tmp_path / "dir", "/tmp")
    await running.copy_in(tmp_path / "dir", "/tmp/fresh")
    await running.copy_in(f"{tmp_path}/dir/.", "/tmp/fresh")
    await running.copy_in(tmp_path / "dir", "/tmp/fresh")
    await running.copy_in(tmp_path / "file", "/tmp/deep/er/", parents=True)
    found = (await output_of(running, "find", "/tmp", "-type", "f")).split()
    assert sorted(found) == [
        "/tmp/alias",
        "/tmp/deep/er/file",
        "/tmp/dir/inner",
        "/tmp/file",
        "/tmp/fresh/dir/inner",
        "/tmp/fresh/inner",
        "/tmp/renamed",
    ]
    assert await output_of(running, "cat", "/tmp/alias") == "2"


async def test_who_owns_a_copy(running: Container, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.chown(tmp_path / "file", 77, 78)
    given = member("given")
    given.uid, given.gid = 3_000_000, 5
    for name, options in {
        "root": {},
        "kept": {"preserve": True},
        "app": {"owner": "app"},
        "numbers": {"owner": "5:6"},
    }.items():
        await running.copy_in(tmp_path / "file", f"/tmp/{name}", **options)  # type: ignore[arg-type]
    await running.copy_in(tar_of([given]), "/tmp")
    await running.copy_in(tar_of([("sub/x", b"")]), "/tmp", owner="www-data:staff")
    paths = [f"/tmp/{name}" for name in ("root", "kept", "app", "numbers", "given", "sub", "sub/x")]
    shown = await output_of(running, "stat", "-c", "%u:%g", *paths)
    assert shown.split() == ["0:0", "77:78", "1000:1000", "5:6", "3000000:5", "33:50", "33:50"]


@pytest.mark.parametrize("state", ["no task", "running", "on another host"], indirect=True)
async def test_directories_that_are_there_stay_as_they_are(container: Container) -> None:
    """Else an archive of ``tmp/x`` would make /tmp the archive's own, as docker's does."""
    await container.copy_in(tar_of([directory("tmp", 0o700), directory("./", 0o700), ("tmp/x", b"1")]), "/")
    found = from_tar(await packed(container, "/tmp"))
    assert found["tmp"].mode == 0o1777
    assert found["tmp/x"].content == b"1"


async def test_a_copy_out_goes_where_docker_cp_puts_it(running: Container, tmp_path: Path) -> None:
    await running.copy_in(
        tar_of([("d/x", b"1"), link("d/to-x", "x"), hard_link("d/y", "d/x"), ("f", b"2")]), "/tmp"
    )
    await running.copy_out_to("/tmp/f", tmp_path)
    await running.copy_out_to("/tmp/f", tmp_path / "renamed")
    await running.copy_out_to("/tmp/d", tmp_path)
    await running.copy_out_to("/tmp/d", f"{tmp_path}/fresh/")
    await running.copy_out_to("/tmp/d/.", tmp_path / "fresh")
    await running.copy_out_to("/tmp/d/to-x", tmp_path / "followed")
    found = read_tree(tmp_path)
    assert {name: item.content for name, item in found.items() if item.kind == "file"} == {
        "f": b"2",
        "renamed": b"2",
        "followed": b"1",
        **{f"{name}/{file}": b"1" for name in ("d", "fresh") for file in ("x", "y")},
    }
    assert found["d/to-x"].content == b"x"
    assert found["d/y"].same_as == "d/x"
    with pytest.raises(NotADirectoryError):
        await running.copy_out_to("/tmp/d", tmp_path / "f")
    with pytest.raises(FileNotFoundError):
        await running.copy_out_to("/tmp/f", tmp_path / "none" / "f")
    with pytest.raises(FileNotFoundError):
        await running.copy_out_to("/tmp/f", f"{tmp_path}/none/")
    with pytest.raises(
        ResourceExhaustedError, match="'/bin' in container '(web|shared)' is larger than 100000 bytes"
    ):
        await running.copy_out_to("/bin", tmp_path, max_size=100_000)


async def test_64_mib_go_through_in_small_pieces(running: Container) -> None:
    block = os.urandom(1 << 20)
    digest = hashlib.sha256(block * 64).hexdigest()
    header = tarfile.TarInfo("big")
    header.size = 64 << 20

    async def archive() -> AsyncIterator[bytes]:
        yield header.tobuf()
        for _ in range(64):
            yield block

    tracemalloc.start()
    try:
        await running.copy_in(archive(), "/tmp")
        async with running.copy_out("/tmp/big") as stream:
            read = 0
            async for chunk in stream:
                read += len(chunk)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert read > 64 << 20
    assert (await output_of(running, "sha256sum", "/tmp/big")).split()[0] == digest


async def test_hundreds_of_files_come_and_go(running: Container, tmp_path: Path) -> None:
    names = [f"d{number % 20}/f{number}" for number in range(300)]
    await running.copy_in(tar_of([(name, name.encode()) for name in names]), "/srv", parents=True)
    await running.copy_out_to("/srv", tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_text() for name in names} == {name: name for name in names}


@pytest.mark.parametrize(
    ("state", "snapshotter"), [("no task", None), ("no task", "native"), ("running", None)]
)
async def test_copies_into_a_new_directory_at_the_same_time_lose_nothing(
    client: Client, image: Image, state: str, snapshotter: str | None
) -> None:
    async with container_of(client, image, state, snapshotter=snapshotter) as container:
        async with anyio.create_task_group() as group:
            for number in range(6):
                archive = tar_of([("new/a/same", b"same"), (f"new/a/{number}", b"1")])
                group.start_soon(container.copy_in, archive, "/tmp")
        found = from_tar(await packed(container, "/tmp/new/a/."))
    assert found.keys() - {"", "."} == {"same", *map(str, range(6))}


async def test_a_task_that_has_ended_is_deleted_while_its_files_are_read(
    client: Client, image: Image
) -> None:
    """What holds the overlay keeps it mounted, and containerd would say "device or resource busy"."""
    async with await client.new_container("web", image=image, args=["true"]) as container:
        async with await container.new_task() as task:
            await task.start()
            await task.wait()
            async with container.copy_out("/bin") as archive:
                data = await archive.receive(100)
                await task.delete()
                data += b"".join([chunk async for chunk in archive])
        assert from_tar(data)["bin/busybox"].content == BUSYBOX.read_bytes()


async def test_a_sparse_file_does_not_fill_a_disk(running: Container, tmp_path: Path) -> None:
    await output_of(running, "dd", "if=/dev/null", "of=/tmp/sparse", "bs=1M", "seek=64")
    await running.copy_out_to("/tmp/sparse", tmp_path)
    status = (tmp_path / "sparse").stat()
    assert status.st_size == 64 << 20
    assert status.st_blocks * 512 < 1 << 20


async def test_links_of_several_names_go_in(running: Container, tmp_path: Path) -> None:
    """As ``cp -al`` makes them, and GNU's tar packs them."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").symlink_to("x")
    os.link(tmp_path / "d" / "a", tmp_path / "d" / "b", follow_symlinks=False)
    await running.copy_in(tmp_path / "d", "/tmp")
    made = await anyio.run_process(["tar", "-c", "-C", str(tmp_path), "d"])
    await running.copy_in(made.stdout, "/srv", parents=True)
    for path in ("/tmp/d/a", "/tmp/d/b", "/srv/d/a", "/srv/d/b"):
        assert await output_of(running, "readlink", path) == "x\n"


@pytest.mark.usefixtures("shared")  # whose task has begun to follow the exits, for all of this file
async def test_an_image_of_one_program_needs_no_tar(client: Client, tmp_path: Path) -> None:
    (tmp_path / "sleep").write_bytes(BUSYBOX.read_bytes())
    (tmp_path / "sleep").chmod(0o755)
    with tarfile.open(tmp_path / "layer", "w") as archive:
        archive.add(tmp_path / "sleep", "sleep")
    [image] = await client.import_images(oci_archive([(tmp_path / "layer").read_bytes()]))
    async with await client.new_container("web", image=image, args=["/sleep", "3600"]) as container:
        await container.write_file("/etc/early", b"1", parents=True)
        async with await container.new_task() as task:
            await task.start()
            await container.write_file("/etc/late", b"2")
            assert await container.read_file("/etc/early") + await container.read_file("/etc/late") == b"12"


async def test_a_read_only_container_says_so(client: Client, image: Image) -> None:
    options = [spec.readonly_rootfs(), spec.tmpfs("/scratch")]
    async with await client.new_container("web", image=image, args=SLEEP, options=options) as container:
        await container.write_file("/etc/early", b"1")
        async with await container.new_task() as task:
            await task.start()
            with pytest.raises(
                FailedPreconditionError, match=r"'/etc/late' in .* its filesystem is read-only"
            ):
                await container.write_file("/etc/late", b"2")
            await container.write_file("/scratch/late", b"3")
            assert await output_of(container, "cat", "/etc/early", "/scratch/late") == "13"


async def test_no_space_is_told(client: Client, image: Image) -> None:
    options = [spec.tmpfs("/small", size=65536)]
    async with (
        await client.new_container("web", image=image, args=SLEEP, options=options) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with pytest.raises(
            ResourceExhaustedError, match=r"'/small/big' in container '(web|shared)' does not fit"
        ):
            await container.write_file("/small/big", b"x" * (1 << 20))
        assert await output_of(container, "ls", "-A", "/small") == ""


async def test_what_is_mounted_comes_with_the_task(client: Client, image: Image, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "hosts").write_bytes(b"127.0.0.1 localhost")
    options = [spec.bind(tmp_path / "volume", "/data"), spec.bind(tmp_path / "hosts", "/etc/hosts")]
    async with await client.new_container("web", image=image, args=SLEEP, options=options) as container:
        for path in ("/data/x", "/run/x", "/proc/x"):
            with pytest.raises(FailedPreconditionError, match=r"lies in the mount .* make the task first"):
                await container.write_file(path, b"")
        with pytest.raises(FailedPreconditionError, match="'/data' lies in the mount '/data'"):
            await container.copy_in(tar_of([("ok", b""), ("data/x", b"")]), "/")
        with pytest.raises(FailedPreconditionError, match="lies in the mount '/proc'"):
            await container.read_file("/proc/self/status")
        async with await container.new_task() as task:
            await task.start()
            await task.kill()
            await task.wait()
            with pytest.raises(FailedPreconditionError, match="'/data' lies in the mount '/data'"):
                await container.copy_in(tar_of([("data/x", b"")]), "/")
        async with await container.new_task() as task:
            await task.start()
            await container.write_file("/data/x", b"1")
            assert (tmp_path / "volume" / "x").read_bytes() == b"1"
            assert await container.read_file("/etc/hosts") == b"127.0.0.1 localhost"
            with pytest.raises(FailedPreconditionError, match="'/etc/hosts' in .* is a mount point"):
                await container.write_file("/etc/hosts", b"")
            with pytest.raises(
                FailedPreconditionError, match="'/data' in container '(web|shared)' is a directory"
            ):
                await container.write_file("/data", b"")


async def test_the_kernel_s_own_files_are_read_one_by_one_and_not_with_the_rest(running: Container) -> None:
    assert await running.read_file("/proc/1/comm") == b"sleep\n"
    found = from_tar(await packed(running, "/"))
    assert found["proc"].kind == "directory"
    assert [name for name in found if name.startswith(("proc/", "sys/"))] == []
    assert found["dev/null"].kind == "device"
    assert "bin/busybox" in found


async def test_a_container_that_is_gone_is_not_found(client: Client, image: Image) -> None:
    container = await client.new_container("web", image=image, args=SLEEP)
    await container.delete()
    with pytest.raises(NotFoundError, match="container 'web'"):
        await container.read_file("/etc/passwd")


def capability_in(data: bytes) -> bytes:
    """What the file of an archive may do as a program."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        [info] = archive.getmembers()
    return info.pax_headers["SCHILY.xattr.security.capability"].encode(errors="surrogateescape")


async def test_a_user_namespace_has_ids_of_its_own(
    daemon_of_its_own: PrivateDaemon, archive: bytes, tmp_path: Path
) -> None:
    def mapped(made: spec.Spec, _: spec.SpecContext) -> spec.Spec:
        linux = made["linux"]
        linux["namespaces"] = [*linux["namespaces"], {"type": "user"}]
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 200_000, "size": 65536}]
        return made

    # The container's root, who is nobody here, must reach its files.
    home = Path(daemon_of_its_own.address).parent
    for place in (home, home / "state"):
        place.chmod(0o711)
    (tmp_path / "cat").write_bytes(BUSYBOX.read_bytes())
    (tmp_path / "cat").chmod(0o755)
    may_read_all = bytes.fromhex("0100000202000000000000000000000000000000")
    os.setxattr(tmp_path / "cat", "security.capability", may_read_all)
    options = [mapped, spec.tmpfs("/tmp"), spec.no_new_privileges(False)]
    async with daemon_of_its_own.client() as client:
        [image] = await client.import_images(archive)
        async with await client.new_container("web", image=image, args=SLEEP, options=options) as container:
            await container.write_file("/etc/early", b"1", owner="7:8")
            await container.write_file("/etc/secret", b"secret", mode=0o600)
            await container.copy_in(tmp_path / "cat", "/opt/early/cat", parents=True)
            with pytest.raises(InvalidArgumentError, match="user namespace has no id 70000"):
                await container.write_file("/etc/x", b"", owner="70000:0")
            async with await container.new_task() as task:
                await task.start()
                await container.write_file("/etc/late", b"2", owner="9:10")
                shown = await output_of(container, "stat", "-c", "%u:%g", "/etc/early", "/etc/late")
                assert shown.split() == ["7:8", "9:10"]
                [item] = from_tar(await packed(container, "/etc/late")).values()
                assert (item.uid, item.gid) == (9, 10)
                with pytest.raises(FailedPreconditionError, match="'/tmp/x' in .*user namespace.*task.run"):
                    await container.write_file("/tmp/x", b"")
                await container.copy_in(tmp_path / "cat", "/opt/late/cat", parents=True)
                for path in ("/opt/early/cat", "/opt/late/cat"):
                    done = await task.run([path, "/etc/secret"], user="1000:1000")
                    assert done.stdout == b"secret", done
                    assert capability_in(await packed(container, path)) == may_read_all


@pytest.fixture
async def layered(client: Client) -> Image:
    """An image whose lower layer has a link to a directory, and a directory that a container will remove."""
    with_busybox = tarfile.TarInfo("bin/busybox")
    program = BUSYBOX.read_bytes()
    with_busybox.size, with_busybox.mode = len(program), 0o755
    lower = tar_of([directory("usr/lib"), link("lib", "usr/lib"), ("gone/old", b"old")])
    upper = with_busybox.tobuf() + program + bytes(-len(program) % 512)
    [image] = await client.import_images(oci_archive([lower, upper + tar({"etc/motd": b"m"})]))
    return image


@pytest.mark.parametrize("state", ["no task", "on another host"])
async def test_a_snapshot_stays_what_it_is_below_a_copy(
    client: Client, daemon: PrivateDaemon, layered: Image, state: str
) -> None:
    """The daemon's differ sees the upper directory only: what lies below it must not be lost, nor come back."""
    async with await client.new_container("web", image=layered, args=["/bin/busybox", *SLEEP]) as container:
        async with await container.new_task() as task:
            await task.start()
            await task.run(["/bin/busybox", "rm", "-r", "/gone"], check=True)
        async with seen_by(client, daemon, state, container) as seen:
            await seen.copy_in(tar_of([("lib/new", b"1"), ("gone/new", b"2"), ("etc/new", b"3")]), "/")
            assert await seen.read_file("/usr/lib/new") == b"1"
        async with await container.new_task() as task:
            await task.start()

            async def shown(*args: str) -> str:
                return (await task.run(["/bin/busybox", *args], check=True)).stdout.decode()

            assert await shown("readlink", "/lib") == "usr/lib\n"
            assert await shown("ls", "/gone", "/etc") == "/etc:\nmotd\nnew\n\n/gone:\nnew\n"


async def test_a_file_s_capabilities_go_with_it(running: Container, tmp_path: Path) -> None:
    """What makes ping work: a copy without them would not say why it does not."""
    (tmp_path / "ping").write_bytes(b"")
    allowed = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(tmp_path / "ping", "security.capability", allowed)
    os.setxattr(tmp_path / "ping", "user.note", b"a")
    await running.copy_in(tmp_path / "ping", "/tmp/ping")
    data = await packed(running, "/tmp/ping")
    assert capability_in(data) == allowed
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        [info] = archive.getmembers()
    assert info.pax_headers["SCHILY.xattr.user.note"] == "a"


@pytest.mark.parametrize("state", ["no task", "running", "not to be seen", "on another host"], indirect=True)
async def test_a_stream_that_is_left_early_leaves_nothing(container: Container, client: Client) -> None:
    async with container.copy_out("/bin") as archive:
        assert len(await archive.receive(300)) == 300
    assert await client.leases.list() == []
    for task in await client.tasks.list():
        assert [info.exec_id for info in await client.tasks.list_pids(task.container_id)] == [None]


async def test_a_source_that_fails_leaves_no_part_of_a_file(running: Container) -> None:
    header = tarfile.TarInfo("half")
    header.size = 9 << 20

    async def archive() -> AsyncIterator[bytes]:
        yield tar_of([("whole", b"1")])[:1024] + header.tobuf()
        for _ in range(4):
            yield bytes(1 << 20)
        assert ".containerd-aio-" in await output_of(running, "ls", "-A", "/tmp")
        raise ConnectionResetError("the upload broke off")

    with pytest.raises(ConnectionResetError, match="the upload broke off"):
        await running.copy_in(archive(), "/tmp")
    assert await output_of(running, "ls", "-A", "/tmp") == "whole\n"
    with pytest.raises(InvalidArgumentError, match="truncated inside of 'half'"):
        await running.copy_in(header.tobuf() + bytes(2 << 20), "/tmp")
    assert await output_of(running, "ls", "-A", "/tmp") == "whole\n"


async def test_from_another_host_a_container_that_runs_is_out_of_reach(
    client: Client, daemon: PrivateDaemon, shared: Container
) -> None:
    async with seen_by(client, daemon, "on another host", shared) as remote:
        with pytest.raises(
            FailedPreconditionError,
            match=r"'shared' cannot be reached while its task is there: containerd is on another host; copy before",
        ):
            await remote.read_file("/etc/passwd")


async def test_what_comes_out_of_one_container_goes_into_another(
    client: Client, image: Image, running: Container
) -> None:
    await running.copy_in(tar_of([("d/x", b"1"), link("d/y", "x")]), "/tmp")
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with running.copy_out("/tmp/d") as archive:
            await container.copy_in(archive, "/opt", parents=True)
        assert await container.read_file("/opt/d/y") == b"1"


UNPRIVILEGED = """
import asyncio, pathlib, sys
from containerd_aio import Client
assert "CapEff:\\t0000000000000000" in pathlib.Path("/proc/self/status").read_text()
address, namespace, directory = sys.argv[1:]

async def main():
    async with Client(address, namespace=namespace, fifo_dir=directory) as client:
        for name in ("shared", "idle"):
            container = await client.load_container(name)
            await container.write_file("/etc/said", name.encode())
            await container.copy_in(directory + "/file", "/etc")
            await container.copy_out_to("/etc/.", directory + "/" + name)

asyncio.run(main())
"""


async def test_a_client_without_any_privilege_copies_by_the_longer_ways(
    client: Client, image: Image, daemon: PrivateDaemon, running: Container, tmp_path: Path
) -> None:
    """Root without capabilities: it may not look into /proc/PID/root, nor see what an overlay hides."""
    (tmp_path / "file").write_bytes(b"local")
    async with await client.new_container("idle", image=image, args=SLEEP) as idle:
        command = ["setpriv", "--bounding-set=-all", sys.executable, "-c", UNPRIVILEGED]
        await anyio.run_process(
            [*command, daemon.address, client.namespace, str(tmp_path)], cwd=ROOT_OF_SOURCES, stderr=None
        )
        for container in (running, idle):
            assert await container.read_file("/etc/said") == container.id.encode()
            assert await container.read_file("/etc/file") == b"local"
            assert (tmp_path / container.id / "said").read_text() == container.id
            assert "root:x:0:0" in (tmp_path / container.id / "passwd").read_text()


async def test_a_gnu_tar_does_as_well_as_busybox_s(client: Client, image: Image, local: Path) -> None:
    libraries = [
        spec.bind(path, path, readonly=True) for path in ("/usr", "/lib", "/lib64") if os.path.isdir(path)
    ]
    async with (
        container_of(client, image, "not to be seen", options=libraries) as container,
        await container.task() as task,
    ):
        assert b"GNU tar" in (await task.run(["tar", "--version"])).stdout
        await container.copy_in(local / "top", "/tmp", preserve=True)
        found = as_the_daemon_packs(from_tar(await packed(container, "/tmp/top")))
        assert shape(found) == shape(as_the_daemon_packs(TREE))
        await container.write_file("/tmp/top/run", b"new")
        assert await container.read_file("/tmp/top/run") == b"new"
