"""Fixtures for tests of programs that use this library; pytest finds them by itself.

* ``containerd``: a `PrivateDaemon` for the whole session, which shares nothing with the system's. Needs root,
  containerd and runc.
* ``containerd_client``: a `Client` of it, in a namespace that is new for each test.
* ``fake_containerd``: a `FakeContainerd` for one test, in memory; for any user, and for what goes wrong.

The last two are async fixtures: for tests that anyio's pytest plugin runs (it comes with anyio), or pytest-asyncio
in its auto mode. ``containerd`` serves both, and tests that are not async.

Where ``containerd`` cannot run, its tests are skipped, unless ``--containerd-program=PROGRAM`` asks for one: then they fail,
as they should in CI.

pytest imports this module at every start, also where nobody uses it: so it imports nothing of the library before a
fixture is asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from containerd_aio.client import Client
    from containerd_aio.private_daemon import PrivateDaemon
    from containerd_aio.testing import FakeContainerd


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("containerd").addoption(
        "--containerd-program",
        metavar="PROGRAM",
        help="the containerd of the fixture 'containerd', a name on PATH or a path; where it cannot run, tests fail "
        "(without this option they are skipped)",
    )


@pytest.fixture(scope="session")
def containerd(request: pytest.FixtureRequest) -> Iterator[PrivateDaemon]:
    """A private containerd for the session: do not stop it; ``containerd.client()`` makes a client for any loop.

    Its containers, mounts and files are gone when the session ends.
    """
    from anyio.from_thread import start_blocking_portal

    from containerd_aio.private_daemon import PrivateDaemon

    program: str | None = request.config.getoption("--containerd-program")
    with ExitStack() as stack:
        # A loop of its own: that of the tests may be another one in each module.
        portal = stack.enter_context(start_blocking_portal())
        daemon = PrivateDaemon(containerd=program or "containerd")
        try:
            stack.enter_context(portal.wrap_async_context_manager(daemon))
        except (FileNotFoundError, PermissionError) as error:
            if program is not None:
                raise
            pytest.skip(str(error))
        yield daemon


@pytest.fixture
async def containerd_client(containerd: PrivateDaemon) -> AsyncIterator[Client]:
    """A client of ``containerd`` in a new namespace; at the end the containers there are killed and removed."""
    async with containerd.client() as root:
        client = root.with_namespace(f"aio-{secrets.token_hex(6)}")
        labels = {
            "containerd.io/defaults/snapshotter": containerd.snapshotter
        }  # as the daemon's own namespace has
        await client.namespaces.create(client.namespace, labels)
        try:
            yield client
        finally:
            for container in await client.list_containers():
                await container.delete(kill=True)


@pytest.fixture
async def fake_containerd() -> AsyncIterator[FakeContainerd]:
    """A containerd in memory; ``fake_containerd.client()`` makes a client of it, to be entered."""
    from containerd_aio.testing import FakeContainerd

    async with FakeContainerd() as fake:
        yield fake
