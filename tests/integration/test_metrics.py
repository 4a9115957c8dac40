"""What tasks use, as the cgroup of a real one counts it."""

from __future__ import annotations

import pytest

from containerd_aio import Client, Image, InvalidArgumentError, NotFoundError, spec
from tests.integration.test_exits import SLEEP, begun

pytestmark = pytest.mark.integration

MIB = 1 << 20
BURN = ["timeout", "1", "sh", "-c", "while :; do :; done"]


async def test_work_is_counted_and_held_back_by_the_quota(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP, options=[spec.cpus(0.05)]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        before = await task.metrics()
        await task.run(BURN)
        after = await task.metrics()
        assert before.timestamp_ns is not None
        assert after.timestamp_ns is not None
        used = after.cpu.usage_ns - before.cpu.usage_ns
        assert 0 < used < (after.timestamp_ns - before.timestamp_ns) / 2
        assert after.cpu.periods >= after.cpu.throttled_periods > 0
        assert after.cpu.throttled_ns > 0
        assert after.cgroup_version == before.cgroup_version
        assert after.data.type_url == f"io.containerd.cgroups.v{after.cgroup_version}.Metrics"


async def test_memory_is_counted_and_what_the_kernel_killed_for_want_of_it(
    client: Client, image: Image
) -> None:
    options = [spec.memory_limit(16 * MIB), spec.memory_swap(16 * MIB)]
    async with (
        await client.new_container("web", image=image, args=SLEEP, options=options) as container,
        await container.new_task() as task,
    ):
        await task.start()
        metrics = await task.metrics()
        assert metrics.memory.limit == 16 * MIB
        assert 0 < metrics.memory.working_set <= metrics.memory.usage < 16 * MIB
        assert metrics.memory.oom_kills == 0
        assert (await task.run(["tail", "-c", "100m", "/dev/zero"])).exit_status.code == 137
        assert (await task.metrics()).memory.oom_kills == 1


async def test_limits_are_changed_live_and_those_that_cannot_be_are_refused_with_the_reason(
    client: Client, image: Image
) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        await begun(task)
        before = await task.metrics()
        assert (before.memory.limit, before.pids.limit, before.pids.current) == (None, None, 1)
        await task.update(spec.resources(memory=64 * MIB, pids=20, cpus=0.5), annotations={"a": "b"})
        after = await task.metrics()
        assert (after.memory.limit, after.pids.limit) == (64 * MIB, 20)
        done = await task.run(["sh", "-c", "for n in $(seq 30); do sleep 9 >&- 2>&- & done"])
        assert b"can't fork" in done.stderr
        await task.kill("KILL", all=True)
        await task.wait()

    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.update(spec.resources(pids=9))  # before it was started
        assert (await task.metrics()).pids.limit == 9
        await task.start()
        with pytest.raises(
            InvalidArgumentError, match=r"task 'web' cannot have these limits: .*cpuset\.cpus"
        ):
            await task.update(spec.resources(cpuset_cpus="0-4000"))
        await task.pause()
        await task.update(spec.resources(pids=8))
        assert (await task.metrics()).pids.limit == 8


async def test_all_tasks_are_told_at_once_and_a_deleted_one_no_more(client: Client, image: Image) -> None:
    async with (
        await client.new_container("one", image=image, args=SLEEP) as one,
        await client.new_container("two", image=image, args=SLEEP) as two,
        await one.new_task() as first,
        await two.new_task() as second,
    ):
        await first.start()
        await second.start()
        await begun(second)
        await first.kill()
        await first.wait()
        told = {metrics.id: metrics for metrics in await client.tasks.metrics()}
        assert {id: metrics.pids.current for id, metrics in told.items()} == {"one": 0, "two": 1}
        loaded = await two.task()
        await second.delete(kill=True)
        for task in (second, loaded):
            with pytest.raises(NotFoundError, match="two"):
                await task.metrics()
        assert [metrics.id for metrics in await client.tasks.metrics()] == ["one"]
