"""One container checkpointed twice, and at once: containerd 1.x fails there by itself, with the task dead."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    AlreadyExistsError,
    CheckpointFailedError,
    CheckpointOptions,
    Client,
    FailedPreconditionError,
    Image,
    ProcessState,
    Task,
)
from containerd_aio._checkpoint.memory import write_memory
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio._session import Session
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.types import AnyValue

pytestmark = pytest.mark.integration

SLEEP = ["sleep", "3600"]
EXIT = CheckpointOptions(exit=True)


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


async def test_checkpoints_at_once_wait_for_each_other(client: Client, image: Image) -> None:
    made: list[Image] = []
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        info = await container.info()
        spec = info.spec
        assert spec is not None
        # What a client has left that was killed in the middle goes too.
        left = AnyValue(spec.type_url, spec.value + b" \n\t\r" * 8)
        await container.update(replace(info, spec=left), "spec")
        async with await container.new_task() as task:
            await task.start()

            async def take() -> None:
                made.append(await task.checkpoint())

            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(take)
            assert (await task.status()).state is ProcessState.RUNNING
            assert (await container.info()).spec == spec
            made.append(await task.checkpoint(options=EXIT))
        assert (await container.info()).spec == spec
        assert len({checkpoint.target.digest for checkpoint in made}) == 4
        for checkpoint in made:
            async with await container.new_task(checkpoint=checkpoint) as task:
                await task.start()


async def test_two_clients_at_once_lose_no_task(
    client: Client, daemon: PrivateDaemon, image: Image, fifo_dir: Path
) -> None:
    """They know nothing of each other. Who ends the task has its image; a failed one has done nothing."""
    made: dict[str, Image] = {}

    async def take(task: Task, name: str, options: CheckpointOptions | None) -> None:
        with suppress(FailedPreconditionError, CheckpointFailedError):  # the other came in between
            made[name] = await task.checkpoint(name, options=options)

    async with (
        Client(daemon.address, namespace=client.namespace, fifo_dir=os.fspath(fifo_dir)) as other,
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        made["first"] = await task.checkpoint("first")  # so that the spec is there already
        theirs = await (await other.load_container("web")).task()
        async with anyio.create_task_group() as group:
            group.start_soon(take, theirs, "theirs", None)
            group.start_soon(take, task, "ours", EXIT)
        ended = ProcessState.STOPPED if "ours" in made else ProcessState.RUNNING
        assert (await task.status()).state is ended
        assert {each.name for each in await client.list_images()} == {image.name, *made}
        await task.delete(kill=True)
        for checkpoint in made.values():
            async with await container.new_task(checkpoint=checkpoint) as restored:
                await restored.start()


async def test_a_memory_whose_call_failed_is_found_all_the_same(
    client: Client, services: Services, image: Image
) -> None:
    """What another client does between our precaution and the call: 1.x writes the memory and fails at the spec."""
    exits = ExitWatcher(services.events, services.tasks, client.namespace)
    session = Session(services, exits, client.namespace, None, lambda: None)
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task() as task:
            await task.start()
            await task.checkpoint("first")
            info = await container.info()
            if (await client.version.get()).release < (2, 0):
                async with services.leases.hold():
                    with pytest.raises(AlreadyExistsError):
                        await services.tasks.checkpoint("web")
            async with services.leases.hold() as lease:
                parts = await write_memory(session, info, EXIT, lease_id=lease.id, status=task.status)
                assert (await task.status()).state is ProcessState.STOPPED
                assert len(parts) == 2
                for part in parts:
                    assert len(await services.content.read_all(part.digest)) == part.size


async def test_a_name_that_is_taken_is_refused_before_the_task_is_touched(
    client: Client, image: Image
) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task() as task:
            await task.start()
            first = await task.checkpoint("mine")
            with pytest.raises(AlreadyExistsError, match="there is an image 'mine' already"):
                await task.checkpoint("mine", options=EXIT)
            assert (await task.status()).state is ProcessState.RUNNING
            assert (await client.image("mine")).target == first.target
