"""Taking a checkpoint: what is in it, and that it is all or nothing, wherever it fails or is cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from itertools import chain, repeat
from typing import Any

import anyio
import pytest
from grpclib.const import Status

from containerd_aio import (
    AlreadyExistsError,
    CheckpointFailedError,
    CheckpointOptions,
    Client,
    ConnectionLostError,
    Container,
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    ProcessState,
    Task,
    UnavailableError,
)
from containerd_aio._checkpoint.index import Checkpoint
from containerd_aio._images.manifest import parse_index
from containerd_aio._transport import completion
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd
from tests.checkpoint.leftovers import left_of_checkpoints
from tests.interrupt import WAYS

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
EXIT = CheckpointOptions(exit=True)
BY_CRIU = CheckpointOptions(
    exit=True, open_tcp=True
)  # which keeps the other ends of connections from knowing


async def parts_of(client: Client, name: str) -> Checkpoint:
    target = (await client.image(name)).target
    return Checkpoint.of(parse_index(await client.content.read_all(target.digest)), about=name)


async def test_a_task_has_its_memory_spec_image_and_files_in_it(client: Client, task: Task) -> None:
    image = await task.checkpoint()
    found = await parts_of(client, image.name)
    assert found.memory is not None
    assert found.config is not None
    assert found.image == (await client.image(FAKE_IMAGE)).target
    assert found.layer is not None
    assert found.image_name == FAKE_IMAGE
    assert found.runtime == "io.containerd.runc.v2"
    assert found.parent == await (await client.image(FAKE_IMAGE)).chain_id()
    assert image.labels == {"containerd.io/checkpoint": "true"}
    assert (await client.content.info(image.target.digest)).labels == {
        f"containerd.io/gc.ref.content.m.{place}": part.digest for place, part in enumerate(found.parts())
    }


async def test_names_that_are_not_given_are_new_and_legal(task: Task) -> None:
    names = [(await task.checkpoint()).name for _ in range(2)]
    assert len(set(names)) == 2
    for name in names:
        assert name.startswith("containerd.io/checkpoint/web:2")
        assert ":" not in name.removeprefix("containerd.io/checkpoint/web:")


@pytest.mark.parametrize("left_out", ["image", "task", "rw", "runtime"])
async def test_what_is_left_out_is_not_in_it(
    client: Client, container: Container, task: Task, left_out: str
) -> None:
    await container.checkpoint("some", **{left_out: False})  # type: ignore[arg-type]
    found = await parts_of(client, "some")
    assert found.config is not None
    there = {"image": found.image, "task": found.memory, "rw": found.layer, "runtime": found.runtime}
    assert {name for name, part in there.items() if part is None} == {left_out}


async def test_the_task_is_frozen_while_files_and_memory_are_taken(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        methods = ("Diff/Diff", "Tasks/Checkpoint", "Images/Create")
        held = [fake.hold(method) for method in methods]
        group.start_soon(task.checkpoint)
        for method, hold in zip(methods, held, strict=True):
            await fake.called(method)
            assert (await task.status()).state is ProcessState.PAUSED
            hold.lift()
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_container_that_runs_is_frozen_also_without_its_memory(
    fake: FakeContainerd, container: Container, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        with fake.hold("Diff/Diff"):
            group.start_soon(lambda: container.checkpoint("files", task=False))
            await fake.called("Diff/Diff")
            assert (await task.status()).state is ProcessState.PAUSED
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_paused_task_stays_paused(task: Task) -> None:
    await task.pause()
    await task.checkpoint()
    assert (await task.status()).state is ProcessState.PAUSED


async def test_exit_ends_the_task(client: Client, container: Container, task: Task) -> None:
    exited = task.wait()
    await container.checkpoint("last", exit=True)
    assert (await exited).code == 137
    assert await left_of_checkpoints(client) == ["image last"]


async def test_another_checkpoint_of_the_same_spec_works(
    fake: FakeContainerd, client: Client, container: Container, task: Task
) -> None:
    """The fake is as 1.6, which fails after the task has ended: the spec's blob is there already."""
    spec = (await container.info()).spec
    fake.calls.clear()
    await task.checkpoint("first")
    assert fake.calls["Containers/Update"] == 0
    await task.checkpoint("second", options=EXIT)
    assert fake.calls["Containers/Update"] == 2
    assert (await container.info()).spec == spec
    configs = [(await parts_of(client, name)).config for name in ("first", "second")]
    assert configs[0] != configs[1]


async def test_checkpoints_of_one_container_wait_for_each_other(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(task.checkpoint)
    assert len(await left_of_checkpoints(client)) == 5
    assert (await task.status()).state is ProcessState.RUNNING


@pytest.mark.parametrize(
    "method",
    [
        "Containers/Get",
        "Snapshots/Stat",
        "Snapshots/View",
        "Snapshots/Mounts",
        "Diff/Diff",
        "Tasks/Pause",
        "Tasks/Checkpoint",
        "Content/Write",
        "Images/Create",
        "Leases/Create",
        "Leases/ListResources",
        "Version/Version",
    ],
)
@pytest.mark.parametrize("found", [ProcessState.RUNNING, ProcessState.PAUSED])
async def test_a_failure_leaves_all_as_it_was(
    fake: FakeContainerd, client: Client, container: Container, task: Task, method: str, found: ProcessState
) -> None:
    if found is ProcessState.PAUSED:
        await task.pause()
    spec = (await container.info()).spec
    fake.calls.clear()
    with fake.refuse(method, Status.INTERNAL, "out of order"):
        try:
            await task.checkpoint("broken")
        except ContainerdError:
            assert await left_of_checkpoints(client) == []
        else:
            assert method == "Tasks/Pause"  # which a paused task needs not
            assert found is ProcessState.PAUSED
    assert fake.calls[method] > 0 or found is ProcessState.PAUSED
    assert (await task.status()).state is found
    assert (await container.info()).spec == spec


@pytest.mark.parametrize("cancelled", WAYS)
@pytest.mark.parametrize("found", [ProcessState.RUNNING, ProcessState.PAUSED])
async def test_cancelled_anywhere_all_is_as_it_was(
    client: Client, container: Container, task: Task, cancelled: Cancel, found: ProcessState
) -> None:
    await task.checkpoint("first")
    spec = (await container.info()).spec
    if found is ProcessState.PAUSED:
        await task.pause()
    at = 0
    while await cancelled(task.checkpoint("late"), at):
        assert await left_of_checkpoints(client) == ["image first"]
        assert (await task.status()).state is found
        assert (await container.info()).spec == spec
        at += 1
    assert at > 10


@pytest.mark.parametrize("cancelled", WAYS)
async def test_cancelled_anywhere_a_task_that_ended_has_its_image(
    client: Client, container: Container, cancelled: Cancel
) -> None:
    at, ends = 0, set[ProcessState]()
    while True:
        async with await container.new_task() as task:
            await task.start()
            if not await cancelled(task.checkpoint("late", options=EXIT), at):
                break
            state = (await task.status()).state
            ends.add(state)
            left = await left_of_checkpoints(client)
            assert left == ([] if state is ProcessState.RUNNING else ["image late"])
            if left:
                await client.images.delete("late")
        at += 1
    assert ends == {ProcessState.RUNNING, ProcessState.STOPPED}


@pytest.mark.parametrize(
    "method", ["Tasks/Checkpoint", "Content/Info", "Content/Write", "Images/Create", "Tasks/Kill"]
)
@pytest.mark.parametrize("found", [ProcessState.RUNNING, ProcessState.PAUSED])
async def test_nothing_is_killed_before_the_image_is_safe(
    fake: FakeContainerd, client: Client, task: Task, method: str, found: ProcessState
) -> None:
    if found is ProcessState.PAUSED:
        await task.pause()
    with fake.refuse(method, Status.INTERNAL, "out of order"), pytest.raises(ContainerdError):
        await task.checkpoint("late", options=EXIT)
    assert (await task.status()).state is found
    assert await left_of_checkpoints(client) == []


async def test_a_kill_whose_outcome_is_not_known_leaves_the_image(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        with fake.hold("Tasks/Kill"):

            async def take() -> None:
                with pytest.raises(UnavailableError) as caught:
                    await task.checkpoint("late", options=EXIT)
                assert (
                    "task 'web' may have ended, so its checkpoint stays: image 'late'"
                    in caught.value.__notes__
                )

            group.start_soon(take)
            await fake.called("Tasks/Kill")
            faults = [fake.refuse(method) for method in ("Tasks/Kill", "Tasks/Get")]
    for fault in faults:
        fault.lift()
    assert await left_of_checkpoints(client) == ["image late"]


@pytest.mark.parametrize("status", [Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE])
async def test_a_kill_that_was_not_answered_may_come_late_and_leaves_the_image(
    fake: FakeContainerd, client: Client, task: Task, status: Status
) -> None:
    """The task still lives when it is looked at."""
    with fake.refuse("Tasks/Kill", status, "gone"), pytest.raises(ContainerdError) as caught:
        await task.checkpoint("late", options=EXIT)
    assert "its checkpoint stays: image 'late'" in caught.value.__notes__[0]
    assert await left_of_checkpoints(client) == ["image late"]


async def test_somebody_who_thaws_it_before_its_end_is_noticed(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        with fake.hold("Images/Create"):

            async def take() -> None:
                with pytest.raises(FailedPreconditionError, match="somebody resumed task 'web'"):
                    await task.checkpoint("late", options=EXIT)

            group.start_soon(take)
            await fake.called("Images/Create")
            await task.resume()
    assert (await task.status()).state is ProcessState.RUNNING
    assert await left_of_checkpoints(client) == []


async def test_a_task_that_criu_ended_for_nothing_is_owned_up_to(fake: FakeContainerd, task: Task) -> None:
    with fake.refuse("Images/Create", Status.INTERNAL, "out of order"):
        with pytest.raises(ContainerdError) as caught:
            await task.checkpoint("late", options=BY_CRIU)
    assert caught.value.__notes__ == ["task 'web' may have ended, and there is no checkpoint of it"]


async def test_a_task_that_criu_may_have_ended_is_owned_up_to(fake: FakeContainerd, task: Task) -> None:
    """containerd goes while CRIU works, which may go on to its end, and that of the task."""
    async with anyio.create_task_group() as group:
        with fake.hold("Tasks/Checkpoint"):

            async def take() -> None:
                with pytest.raises(ConnectionLostError) as caught:
                    await task.checkpoint("late", options=BY_CRIU)
                assert "task 'web' may have ended, and there is no checkpoint of it" in caught.value.__notes__

            group.start_soon(take)
            await fake.called("Tasks/Checkpoint")
            async with fake.down():
                fake.exit(task, 137)
                await anyio.wait_all_tasks_blocked()


async def test_criu_that_failed_to_end_it_is_no_end_of_it(fake: FakeContainerd, task: Task) -> None:
    with fake.refuse("Tasks/Checkpoint", Status.UNKNOWN, "criu failed"):
        with pytest.raises(CheckpointFailedError) as caught:
            await task.checkpoint("late", options=BY_CRIU)
    assert not hasattr(caught.value, "__notes__")
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_name_that_was_taken_meanwhile_loses_nothing(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    with fake.refuse("Images/Create", Status.ALREADY_EXISTS, "image late: already exists", times=1):
        with pytest.raises(AlreadyExistsError):
            await task.checkpoint("late", options=EXIT)
    assert (await task.status()).state is ProcessState.RUNNING
    with fake.refuse("Images/Create", Status.ALREADY_EXISTS, "image late: already exists", times=1):
        with pytest.raises(AlreadyExistsError) as caught:
            await task.checkpoint("late", options=BY_CRIU)
    [image] = await client.list_images('labels."containerd.io/checkpoint"')
    assert image.name.startswith("containerd.io/checkpoint/web:")
    assert caught.value.__notes__ == [
        f"task 'web' may have ended, so its checkpoint stays: image '{image.name}'"
    ]


class Bounds:
    """How long a call that was given up may go on: the first one not at all, the others as long as it takes."""

    def __init__(self) -> None:
        self._seconds = chain([0], repeat(600))

    def __radd__(self, now: float) -> float:
        return now + next(self._seconds)


async def test_what_criu_has_ended_is_stored_however_late_criu_was(
    fake: FakeContainerd,
    client: Client,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Cancelled, and the time that CRIU is given is over just when it is done."""
    async with anyio.create_task_group() as group:
        with fake.hold("Images/Create"):
            scope = anyio.CancelScope()

            async def take() -> None:
                with scope:
                    await task.checkpoint("late", options=BY_CRIU)

            group.start_soon(take)
            await fake.called("Images/Create")
            monkeypatch.setattr(completion, "CLEANUP_SECONDS", Bounds())
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert (await task.status()).state is ProcessState.STOPPED
    assert await left_of_checkpoints(client) == ["image late"]
    assert "its checkpoint stays: image 'late'" in caplog.text


async def test_an_image_that_is_stored_just_when_the_time_is_over_is_removed(
    fake: FakeContainerd, client: Client, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Create that is given up in the middle may be done all the same, and nobody would know of the image."""
    async with anyio.create_task_group() as group:
        with fake.hold("Images/Create"):
            scope = anyio.CancelScope()

            async def take() -> None:
                with scope:
                    await task.checkpoint("late", options=EXIT)

            group.start_soon(take)
            await fake.called("Images/Create")
            monkeypatch.setattr(completion, "CLEANUP_SECONDS", Bounds())
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert fake.calls["Images/Delete"] == 1
    assert await left_of_checkpoints(client) == []
    assert (await task.status()).state is ProcessState.RUNNING


async def test_somebody_who_resumes_the_task_meanwhile_is_noticed(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        with fake.hold("Tasks/Checkpoint"):

            async def take() -> None:
                with pytest.raises(FailedPreconditionError, match="somebody resumed task 'web'"):
                    await task.checkpoint("late")

            group.start_soon(take)
            await fake.called("Tasks/Checkpoint")
            await task.resume()
    assert await left_of_checkpoints(client) == []
    assert (await task.status()).state is ProcessState.RUNNING


async def test_somebody_who_resumes_it_while_its_files_are_taken_is_noticed(
    fake: FakeContainerd, client: Client, container: Container, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        with fake.hold("Diff/Diff"):

            async def take() -> None:
                with pytest.raises(FailedPreconditionError, match="somebody resumed task 'web'"):
                    await container.checkpoint("files", task=False)

            group.start_soon(take)
            await fake.called("Diff/Diff")
            await task.resume()
    assert await left_of_checkpoints(client) == []


async def test_criu_that_fails_is_told_with_the_way_out(fake: FakeContainerd, task: Task) -> None:
    with fake.refuse("Tasks/Checkpoint", Status.UNKNOWN, "criu failed: type NOTIFY errno 0: unknown"):
        with pytest.raises(CheckpointFailedError) as caught:
            await task.checkpoint()
    assert str(caught.value) == (
        "task 'web' could not be checkpointed: criu failed: type NOTIFY errno 0;"
        " client.checkpoint_support() tells whether it can be here"
    )
    assert caught.value.subject == "task 'web'"


async def test_a_task_that_ends_meanwhile_is_named_as_ended(fake: FakeContainerd, task: Task) -> None:
    async with anyio.create_task_group() as group:
        with fake.hold("Tasks/Checkpoint"):

            async def take() -> None:
                with pytest.raises(FailedPreconditionError, match="task 'web' is stopped"):
                    await task.checkpoint()

            group.start_soon(take)
            await fake.called("Tasks/Checkpoint")
            fake.exit(task)


@pytest.mark.parametrize(
    ("ref", "options"),
    [pytest.param("", None, id="no name"), pytest.param("  ", None, id="a blank one")],
)
async def test_a_name_that_is_none_is_refused_before_any_call(
    fake: FakeContainerd, task: Task, ref: str, options: CheckpointOptions | None
) -> None:
    fake.calls.clear()
    with pytest.raises(InvalidArgumentError, match="must not be empty"):
        await task.checkpoint(ref, options=options)
    assert fake.calls.total() == 0


async def test_exit_without_memory_is_refused(container: Container, task: Task) -> None:
    with pytest.raises(InvalidArgumentError, match="task=True"):
        await container.checkpoint("none", task=False, exit=True)
    assert (await task.status()).state is ProcessState.RUNNING


async def test_an_image_that_is_another_one_by_now_is_refused(
    client: Client, container: Container, task: Task
) -> None:
    """The files fit only the image that they were made on."""
    info = await client.images.get(FAKE_IMAGE)
    manifest = parse_index(await client.content.read_all(info.target.digest)).manifests[0]
    await client.leases.create(id="held")
    other = await client.snapshotter("overlayfs").prepare("other")
    assert other
    await client.snapshotter("overlayfs").commit("elsewhere", "other")
    await client.snapshotter("overlayfs").remove("web")
    await client.snapshotter("overlayfs").prepare("web", parent="elsewhere")
    assert manifest is not None
    with pytest.raises(FailedPreconditionError, match="was not made from what"):
        await task.checkpoint("none")
    await container.checkpoint("without", image=False)
