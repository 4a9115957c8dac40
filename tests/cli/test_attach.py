"""What can be attached to, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from containerd_aio.cli.attach import attach_to
from containerd_aio.errors import ContainerdError, FailedPreconditionError, NotFoundError
from containerd_aio.stdio import Stdio, log_file, null
from containerd_aio.testing import FakeContainerd


async def refused(stdio: Stdio, exec_id: str | None = None) -> ContainerdError:
    """How attaching to a running task, or an exec in it, is refused."""
    async with (
        FakeContainerd() as fake,
        fake.client() as client,
        await client.new_container("web", image="fake") as container,
        await container.new_task(stdio=stdio) as task,
    ):
        await task.start()
        where = {"address": fake.address, "namespace": client.namespace}
        with pytest.raises(ContainerdError) as caught:
            await attach_to("web", exec_id, **where, stdin=False, detach_keys="")
    return caught.value


async def test_nobody_waits_in_silence_for_what_goes_to_a_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "web.log"
    error = await refused(log_file(log))
    assert str(error) == f"task 'web' writes to the log file '{log}': `logs -f` shows it"
    assert type(error) is FailedPreconditionError


async def test_nobody_waits_in_silence_for_what_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    error = await refused(null())
    assert str(error) == "task 'web' is connected with nothing: there is nothing to attach to"


async def test_an_exec_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    error = await refused(null(), "sh")
    assert str(error) == "task 'web' has no exec 'sh'"
    assert type(error) is NotFoundError
