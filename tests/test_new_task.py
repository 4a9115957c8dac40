"""Making a task: what is stored and refused before Create, and that nothing stays of one that was refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpclib.const import Status

from containerd_aio import (
    AlreadyExistsError,
    Client,
    InvalidArgumentError,
    StartFailedError,
    null,
    pipes,
    spec,
)
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd

CREATE = "Tasks/Create"


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeContainerd, tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(fake.address, namespace="default", fifo_dir=tmp_path) as client:
        yield client


async def test_the_spec_says_what_the_task_has_a_terminal_or_none(client: Client) -> None:
    async with await client.new_container("web", image=FAKE_IMAGE) as container:
        for stdio in (pipes(terminal=True), null(), pipes(terminal=True)):
            async with await container.new_task(stdio=stdio):
                process = (await container.spec())["process"]
                assert process.get("terminal", False) is stdio.terminal


async def test_the_spec_is_stored_only_where_that_changes(fake: FakeContainerd, client: Client) -> None:
    async with await client.new_container("web", image=FAKE_IMAGE) as container:
        before = fake.calls["Containers/Update"]
        for _ in range(2):
            async with await container.new_task(stdio=pipes()):
                assert fake.calls["Containers/Update"] == before


async def test_a_label_of_selinux_cannot_end_in_the_options_of_a_mount(
    fake: FakeContainerd, client: Client
) -> None:
    changed = spec.default_spec("db", client.namespace)
    changed["process"]["args"] = ["true"]
    changed["linux"]["mountLabel"] = 'x",lowerdir="/'
    async with await client.new_container("db", image=FAKE_IMAGE, spec=changed) as container:
        with pytest.raises(InvalidArgumentError, match="mountLabel .* holds a quote"):
            await container.new_task()
        assert fake.calls[CREATE] == 0


async def test_a_container_without_files_is_refused_before_any_call(
    fake: FakeContainerd, client: Client
) -> None:
    bare = spec.default_spec("web", client.namespace)
    bare["process"]["args"] = ["true"]
    async with await client.new_container("web", spec=bare) as container:
        with pytest.raises(
            InvalidArgumentError, match="container 'web' has no root filesystem: give rootfs="
        ):
            await container.new_task()
        assert fake.calls[CREATE] == 0


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (Status.UNKNOWN, StartFailedError, "task 'web' could not be started: no such file"),
        (Status.ALREADY_EXISTS, AlreadyExistsError, "container 'web' has a task already"),
    ],
)
async def test_nothing_stays_of_a_task_that_is_refused(
    fake: FakeContainerd, client: Client, tmp_path: Path, status: Status, kind: type[Exception], text: str
) -> None:
    async with await client.new_container("web", image=FAKE_IMAGE) as container:
        with fake.refuse(CREATE, status, "no such file", times=1), pytest.raises(kind, match=text):
            await container.new_task(stdio=pipes(stdin=True))
        assert list(tmp_path.iterdir()) == []
        async with await container.new_task(stdio=pipes(stdin=True)) as task:
            await task.start()


async def test_a_task_that_could_not_be_made_leaves_no_terminal_to_the_next_one(
    fake: FakeContainerd, client: Client
) -> None:
    """The spec was changed for it, and stays as it is stored."""
    async with await client.new_container("web", image=FAKE_IMAGE) as container:
        with fake.refuse(CREATE, Status.UNKNOWN, times=1), pytest.raises(StartFailedError):
            await container.new_task(stdio=pipes(terminal=True))
        async with await container.new_task(stdio=pipes()):
            assert (await container.spec())["process"].get("terminal", False) is False
