"""What is named on the command line, and several at once."""

from __future__ import annotations

import anyio
import pytest

from containerd_aio.cli.lookup import container_named, each, image_named, task_named
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.testing import FakeContainerd


async def test_what_is_not_there_is_told_with_the_way_out() -> None:
    async with FakeContainerd() as fake, fake.client() as client:
        with pytest.raises(
            NotFoundError, match="no container 'web' in namespace 'default'; `ps --all` shows"
        ):
            await container_named(client, "web")
        with pytest.raises(NotFoundError, match="no image 'app' in namespace 'default'; `images` shows"):
            await image_named(client, "app")
        async with await client.new_container("web", image="fake") as container:
            with pytest.raises(NotFoundError, match="has no task: it is only stored"):
                await task_named(client, "web")
            assert (await container_named(client, "web")).id == "web"
            async with await container.new_task():
                assert (await task_named(client, "web")).id == "web"


async def test_all_are_done_at_once_and_told_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[str] = []
    all_begun = anyio.Event()

    async def act(name: str) -> str:
        begun.append(name)
        if len(begun) == 3:
            all_begun.set()
        await all_begun.wait()
        return f"{name} done"

    with anyio.fail_after(60):
        assert await each(["c", "a", "b", "a"], act) == 0
    assert capsys.readouterr().out == "c done\na done\nb done\n"


async def test_one_that_fails_is_told_and_keeps_no_other_from_being_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def act(name: str) -> str:
        if name == "b":
            raise FailedPreconditionError("b is paused")
        return name

    assert await each(["a", "b", "c"], act) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("a\nc\n", "containerd-aio: b is paused\n")


async def test_what_is_done_first_is_told_first_if_its_turn_has_come(
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = anyio.Event()

    async def act(name: str) -> str:
        if name == "second":
            await second.wait()
        return name

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(each, ["first", "second"], act)
            await anyio.wait_all_tasks_blocked()
            assert capsys.readouterr().out == "first\n"
            second.set()
    assert capsys.readouterr().out == "second\n"


async def test_what_the_system_refuses_for_one_is_done_for_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def act(name: str) -> str:
        if name == "a":
            raise PermissionError(13, "Permission denied", "/var/log/a")
        return name

    assert await each(["a", "b"], act) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("b\n", "containerd-aio: '/var/log/a': Permission denied\n")
