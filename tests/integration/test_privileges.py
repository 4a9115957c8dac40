"""Who a container's process is, and what that lets it do."""

from __future__ import annotations

from pathlib import Path

import pytest

from containerd_aio import Client, Image, spec
from tests.integration.conftest import Shared
from tests.integration.test_exits import eventually

pytestmark = pytest.mark.integration

LISTEN = ["nc", "-l", "-p", "80"]


@pytest.fixture
def client(shared: Shared) -> Client:
    return shared.client


@pytest.fixture
def image(shared: Shared) -> Image:
    return shared.image


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

    options = [spec.user("1000"), spec.ambient_capabilities("CAP_NET_BIND_SERVICE")]
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
