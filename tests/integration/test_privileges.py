"""Who a container's process is, and what that lets it do."""

from __future__ import annotations

from pathlib import Path

import pytest

from containerd_aio import Client, Image, RuncOptions, pipes, spec
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.spec import Spec, SpecContext, SpecOption
from tests.integration.test_exits import eventually, image_in

pytestmark = pytest.mark.integration

LISTEN = ["nc", "-l", "-p", "80"]


def with_ambient(capability: str) -> SpecOption:
    """The capability for a process that is not root."""

    def option(document: Spec, context: SpecContext) -> Spec:
        sets = document["process"]["capabilities"]
        sets["ambient"] = sets["inheritable"] = [capability]
        return document

    return option


async def test_a_user_that_no_file_knows_has_the_group_of_root(client: Client, image: Image) -> None:
    completed = await client.run(image, ["sh", "-c", "id -u; id -g"], options=[spec.user("4321")])
    assert completed.stdout == b"4321\n0\n"


async def test_a_user_of_the_image_has_its_own_group(client: Client, image: Image) -> None:
    completed = await client.run(image, ["sh", "-c", "id -u; id -g"], options=[spec.user("33")])
    assert completed.stdout == b"33\n33\n"


async def test_a_low_port_is_refused_to_a_user_without_privileges(client: Client, image: Image) -> None:
    completed = await client.run(image, LISTEN, options=[spec.user("1000")])
    assert completed.exit_status.code == 1
    assert b"Permission denied" in completed.stderr


async def test_a_low_port_is_given_to_a_user_with_the_ambient_capability(
    client: Client, image: Image
) -> None:
    def listens(pid: int) -> bool:
        lines = (
            Path(f"/proc/{pid}/net/tcp").read_text().splitlines()
            + Path(f"/proc/{pid}/net/tcp6").read_text().splitlines()
        )
        return any(line.split()[1].endswith(":0050") for line in lines if ":" in line.split()[0])

    options = [spec.user("1000"), with_ambient("CAP_NET_BIND_SERVICE")]
    async with (
        await client.new_container("web", image=image, args=LISTEN, options=options) as container,
        await container.new_task() as task,
    ):
        exited = task.wait()
        await task.start()

        async def listening() -> bool:
            return listens(task.pid)

        await eventually(listening)
        await task.kill("KILL")
        assert (await exited).code == 137


@pytest.mark.parametrize("ranges", [1, 2])
async def test_root_of_a_user_namespace_is_somebody_else_outside(
    daemon_of_its_own: PrivateDaemon, archive: bytes, ranges: int
) -> None:
    daemon = daemon_of_its_own

    def with_user_namespace(document: Spec, context: SpecContext) -> Spec:
        linux = document["linux"]
        linux["namespaces"].append({"type": "user"})
        size = 10_000 // ranges
        linux["uidMappings"] = [
            {"containerID": n * size, "hostID": 100_000 + n * 50_000, "size": size} for n in range(ranges)
        ]
        linux["gidMappings"] = [
            {"containerID": n * size, "hostID": 200_000 + n * 50_000, "size": size} for n in range(ranges)
        ]
        return document

    for directory in (Path(daemon.address).parent, Path(daemon.address).parent / "state"):
        directory.chmod(0o711)  # the container's root must reach its files
    script = "id -u; id -g; cat; exit 7"
    async with daemon.client() as client:
        image = await image_in(client, daemon, archive)
        async with (
            await client.new_container(
                "web", image=image, args=["sh", "-c", script], options=[with_user_namespace]
            ) as container,
            await container.new_task(
                stdio=pipes(stdin=True), options=RuncOptions(io_uid=100_000, io_gid=200_000)
            ) as task,
        ):
            exited = task.wait()
            await task.start()
            owner = Path(f"/proc/{task.pid}").stat()
            assert (owner.st_uid, owner.st_gid) == (100_000, 200_000)
            maps = Path(f"/proc/{task.pid}/uid_map").read_text().splitlines()
            assert len(maps) == ranges
            assert task.stdin is not None
            assert task.stdout is not None
            await task.stdin.aclose()
            assert (await exited).code == 7
            assert b"".join([chunk async for chunk in task.stdout]) == b"0\n0\n"
