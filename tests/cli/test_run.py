"""``run`` given up at each of its awaits: it leaves nothing, or what it has told of."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

from containerd_aio.cli.log_files import LOG_FILE_LABEL, VARIABLE
from containerd_aio.cli.order import Order
from containerd_aio.cli.run import run_container
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, StartFailedError
from containerd_aio.testing import FakeContainerd
from tests.interrupt import WAYS

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
IMAGE = "fake"


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "logs"))
    return tmp_path / "logs"


async def run(fake: FakeContainerd, order: Order, signals: SignalsCaught | None = None) -> int:
    where = {"address": fake.address, "namespace": None}
    return await run_container(order, **where, grace=0, signals=signals or SignalsCaught())


@pytest.mark.parametrize("cancelled", WAYS)
async def test_given_up_at_any_moment_a_detached_container_is_there_only_if_its_id_was_told(
    cancelled: Cancel, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeContainerd() as fake, fake.client() as client:
        told, at = "", 0
        while not told:
            await cancelled(run(fake, Order(image=IMAGE, id="web", args=["serve"], detach=True)), at)
            told = capsys.readouterr().out
            assert [each.id for each in await client.list_containers()] == told.split(), at
            assert [path.stem for path in logs.rglob("*.log")] == told.split(), at
            at += 1
        assert at > 5
        container = await client.load_container("web")
        assert (await container.labels())[LOG_FILE_LABEL] == str(logs / "default" / "web.log")


@pytest.mark.parametrize("cancelled", WAYS)
async def test_given_up_at_any_moment_a_container_in_the_foreground_is_gone(
    cancelled: Cancel, tmp_path: Path
) -> None:
    async with FakeContainerd() as fake, fake.client() as client:
        fake.script(["work"], code=3)
        order = Order(image=IMAGE, args=["work"], log=tmp_path / "log")
        at = 0
        while await cancelled(run(fake, order), at):
            assert await client.list_containers() == []
            assert await client.tasks.list() == []
            at += 1
        assert at > 5
        assert await client.list_containers() == []


async def test_a_signal_on_the_way_ends_it_with_the_signal_s_code(tmp_path: Path) -> None:
    signals = SignalsCaught()
    async with FakeContainerd() as fake, fake.client() as client:
        with fake.delay("Containers/Create", 0.05), anyio.fail_after(60):
            async with anyio.create_task_group() as group:

                async def interrupt() -> None:
                    await fake.called("Containers/Create")
                    os.kill(os.getpid(), signal.SIGTERM)

                group.start_soon(interrupt)
                with signals.ending():
                    await run(fake, Order(image=IMAGE, args=["work"], log=tmp_path / "log"), signals)
                    pytest.fail("it went on")
        assert signals.ended_by is signal.SIGTERM
        assert await client.list_containers() == []


async def test_the_log_of_a_container_that_is_there_is_left_alone(logs: Path) -> None:
    order = Order(image=IMAGE, id="web", args=["serve"], detach=True)
    async with FakeContainerd() as fake:
        await run(fake, order)
        [log] = logs.rglob("*.log")
        log.write_text("kept")
        with pytest.raises(AlreadyExistsError, match="`rm web` removes it, --id takes another id"):
            await run(fake, order)
        assert log.read_text() == "kept"


async def test_a_start_that_fails_leaves_nothing(logs: Path) -> None:
    async with FakeContainerd() as fake, fake.client() as client:
        fake.script(["serve"], fails="no such file or directory")
        with pytest.raises(StartFailedError):
            await run(fake, Order(image=IMAGE, id="web", args=["serve"], detach=True))
        assert await client.list_containers() == []
        assert list(logs.rglob("*.log")) == []


@pytest.mark.parametrize(
    ("order", "error"),
    [
        pytest.param(Order(image="none"), NotFoundError, id="no such image"),
        pytest.param(Order(image=IMAGE, memory="lots"), InvalidArgumentError, id="no size"),
        pytest.param(Order(image=IMAGE, id="../web", detach=True), InvalidArgumentError, id="no id"),
        pytest.param(Order(image=IMAGE, detach=True, remove=True), InvalidArgumentError, id="-d --rm"),
        pytest.param(Order(image=IMAGE, private=True), InvalidArgumentError, id="--private --address"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_made(
    order: Order, error: type[Exception], logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTAINERD_ADDRESS", raising=False)
    async with FakeContainerd() as fake:
        with pytest.raises(error):
            await run(fake, order)
        assert fake.calls["Containers/Create"] == 0
    assert not logs.exists()
