"""Image records: all names or none, and names that exist are pointed anew."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from containerd_aio._images.records import all_or_none
from containerd_aio.errors import AlreadyExistsError, NotFoundError, UnavailableError
from containerd_aio.types import Descriptor, ImageInfo
from tests.images.fakes import FakeDaemon, was_cut


def target(digit: str) -> Descriptor:
    return Descriptor("application/vnd.oci.image.manifest.v1+json", "sha256:" + digit * 64, 1)


@pytest.fixture
async def daemon() -> FakeDaemon:
    """A daemon that has the name ``old`` for ``o``, with a label."""
    daemon = FakeDaemon()
    await daemon.images.create(ImageInfo("old", target("0"), labels={"kept": "yes"}))
    daemon.calls.clear()
    return daemon


def names(daemon: FakeDaemon) -> dict[str, Descriptor]:
    return {name: record.target for name, record in daemon.records.items()}


async def record(
    daemon: FakeDaemon, targets: dict[str, Descriptor], *, labels: dict[str, str] | None = None
) -> list[ImageInfo]:
    async with all_or_none(daemon.services.images) as records:
        return await records.store(targets, labels=labels)


async def test_new_names_are_created_and_old_ones_pointed_anew(daemon: FakeDaemon) -> None:
    stored = await record(daemon, {"old": target("1"), "new": target("2")})
    assert [record.name for record in stored] == ["old", "new"]
    assert names(daemon) == {"old": target("1"), "new": target("2")}
    assert daemon.records["old"].labels == {"kept": "yes"}


async def test_labels_are_added_to_those_there_are(daemon: FakeDaemon) -> None:
    await record(daemon, {"old": target("1"), "new": target("1")}, labels={"a": "b"})
    assert daemon.records["old"].labels == {"kept": "yes", "a": "b"}
    assert daemon.records["new"].labels == {"a": "b"}


async def test_a_failure_puts_the_names_back(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    create = daemon.images.create

    async def refuse_second(info: ImageInfo) -> ImageInfo:
        if info.name == "second":
            raise UnavailableError("no room")
        return await create(info)

    monkeypatch.setattr(daemon.images, "create", refuse_second)
    wanted = {"old": target("1"), "first": target("1"), "second": target("1")}
    with pytest.raises(UnavailableError):
        await record(daemon, wanted)
    assert names(daemon) == {"old": target("0")}


async def test_a_failure_after_all_was_stored_puts_the_names_back_too(daemon: FakeDaemon) -> None:
    """As when an import is cancelled while its lease is given back."""

    async def fail_late() -> None:
        async with all_or_none(daemon.services.images) as records:
            await records.store({"old": target("1"), "new": target("1")})
            raise UnavailableError("too late")

    with pytest.raises(UnavailableError):
        await fail_late()
    assert names(daemon) == {"old": target("0")}


@pytest.mark.parametrize("natively", [False, True], ids=["by a scope", "by asyncio"])
async def test_a_cancellation_at_any_step_puts_the_names_back(daemon: FakeDaemon, natively: bool) -> None:
    before = dict(names(daemon))
    wanted = {"old": target("1"), "new": target("1")}
    work = partial(record, daemon, wanted, labels={"a": "b"})
    for step in range(1, 100):
        if not await was_cut(daemon, step, work, natively=natively):
            break
        assert names(daemon) == before, f"after step {step}"
        assert daemon.records["old"].labels == {"kept": "yes"}
    else:
        pytest.fail("it never got through")
    assert step >= 8, "two names are at least eight steps"
    assert names(daemon) == {"old": target("1"), "new": target("1")}


async def test_what_somebody_else_stored_meanwhile_is_not_put_back(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another importer of the same image was faster to finish: its record must survive our failure."""

    async def fail_after_anothers_success(info: ImageInfo) -> ImageInfo:
        await daemon.images.update(ImageInfo("old", target("1")), "target")
        raise UnavailableError("no room")

    monkeypatch.setattr(daemon.images, "create", fail_after_anothers_success)
    with pytest.raises(UnavailableError):
        await record(daemon, {"old": target("1"), "new": target("1")})
    assert names(daemon) == {"old": target("1")}


def raising(error: Exception, times: int, then: Callable[..., Coroutine[Any, Any, ImageInfo]]) -> Any:
    """A method that fails so many times before it does its work."""
    left = [times]

    async def method(*args: Any) -> ImageInfo:
        if left[0]:
            left[0] -= 1
            raise error
        return await then(*args)

    return method


async def test_a_name_that_others_create_and_delete_meanwhile_is_tried_again(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon.images, "update", raising(NotFoundError("gone"), 2, daemon.images.update))
    monkeypatch.setattr(daemon.images, "create", raising(AlreadyExistsError("here"), 2, daemon.images.create))
    await record(daemon, {"old": target("1")})
    assert names(daemon) == {"old": target("1")}


async def test_trying_again_has_an_end(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon.images, "update", raising(NotFoundError("gone"), 99, daemon.images.update))
    monkeypatch.setattr(
        daemon.images, "create", raising(AlreadyExistsError("here"), 99, daemon.images.create)
    )
    with pytest.raises(NotFoundError):
        await record(daemon, {"old": target("1")})
