"""The client of an app is closed after its last user, and takes no new one by then."""

from __future__ import annotations

import logging

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from containerd_aio._transport import completion
from containerd_aio.contrib._shared import SharedClient, shared_client
from containerd_aio.errors import ClientClosedError, ConnectionLostError
from containerd_aio.testing import FakeContainerd


async def test_it_stays_open_until_the_last_request_has_cleaned_up(fake: FakeContainerd) -> None:
    may_leave, is_left = anyio.Event(), anyio.Event()
    steps: list[str] = []

    async def request(shared: SharedClient) -> None:
        with shared.in_use() as client:
            await may_leave.wait()
            await client.containers.list()
            steps.append("a request cleaned up")

    async with anyio.create_task_group() as requests, anyio.create_task_group() as server:

        async def serve() -> None:
            try:
                async with shared_client(fake.client) as shared:
                    requests.start_soon(request, shared)
                    requests.start_soon(request, shared)
                    await wait_all_tasks_blocked()
                    is_left.set()
                    server.cancel_scope.cancel()
            finally:
                steps.append("the client is closed")

        server.start_soon(serve)
        with anyio.CancelScope(shield=True):
            await is_left.wait()
            await wait_all_tasks_blocked()
        may_leave.set()
    assert steps == ["a request cleaned up", "a request cleaned up", "the client is closed"]


async def test_a_request_that_comes_too_late_is_refused(fake: FakeContainerd) -> None:
    async with shared_client(fake.client) as shared:
        pass
    with pytest.raises(ClientClosedError, match="shutting down"), shared.in_use():
        pass


async def test_a_request_that_never_ends_does_not_keep_it_open_for_ever(
    fake: FakeContainerd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(completion, "CLEANUP_SECONDS", 0.01)
    async with shared_client(fake.client) as shared:
        user = shared.in_use()
        client = user.__enter__()
    with pytest.raises(ClientClosedError):
        await client.containers.list()
    with caplog.at_level(logging.WARNING, "containerd_aio.contrib"):
        user.__exit__(None, None, None)
    assert "closed under requests" in caplog.text


async def test_an_app_does_not_start_without_containerd(fake: FakeContainerd) -> None:
    async with fake.down():
        with pytest.raises(ConnectionLostError, match=fake.address):
            async with shared_client(fake.client):
                pass
