"""A real containerd for the tests, and the check that they leave nothing behind.

``CONTAINERD_AIO_TEST_CONTAINERD`` is the containerd to test against, a name or a path.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.leaks import Held, ctr, left_in_namespace, remove_namespace

if TYPE_CHECKING:
    from containerd_aio._transport.connection import Connection
    from containerd_aio.client import Client

    from containerd_aio.services import Services

CONTAINERD = os.environ.get("CONTAINERD_AIO_TEST_CONTAINERD", "containerd")


def cannot_run(reason: str) -> NoReturn:
    """Skip the test; in CI, where a skipped test would pass unseen, fail it."""
    if os.environ.get("CI") or os.environ.get("CONTAINERD_AIO_NO_SKIP") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


async def started(daemon: PrivateDaemon) -> PrivateDaemon:
    """``daemon``, entered; where this machine cannot run one, the test is skipped."""
    try:
        return await daemon.__aenter__()
    except (FileNotFoundError, PermissionError) as error:
        cannot_run(str(error))


@pytest.fixture(scope="session")
async def daemon(anyio_backend: object) -> AsyncIterator[PrivateDaemon]:
    """The containerd that all tests share; each test works in a ``namespace`` of its own."""
    daemon = await started(PrivateDaemon(containerd=CONTAINERD))
    try:
        yield daemon
    finally:
        await daemon.__aexit__(None, None, None)


@pytest.fixture
async def daemon_of_its_own() -> AsyncIterator[PrivateDaemon]:
    """A containerd for one test, which may stop, kill, freeze and fill it."""
    daemon = await started(PrivateDaemon(containerd=CONTAINERD))
    try:
        yield daemon
    finally:
        await daemon.__aexit__(None, None, None)


@pytest.fixture
def fifo_dir() -> Iterator[Path]:
    """A new directory for FIFOs; the test fails when one is left in it."""
    with tempfile.TemporaryDirectory(prefix="aio-fifo-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)
        left = [str(path) for path in Path(directory).glob("**/*")]
    if left:
        pytest.fail("left in the FIFO directory:\n" + "\n".join(left), pytrace=False)


@pytest.fixture
async def namespace(daemon: PrivateDaemon) -> AsyncIterator[str]:
    """A new namespace on the shared daemon, with its default snapshotter; nothing may be left in it."""
    name = f"aio-{uuid.uuid4().hex[:12]}"
    label = f"containerd.io/defaults/snapshotter={daemon.snapshotter}"
    ctr(daemon.address, name, "namespaces", "create", name, label)
    yield name
    left = left_in_namespace(daemon.address, name, daemon.snapshotter)
    if not left:
        left = remove_namespace(daemon.address, name)
    if left:
        pytest.fail(f"left in namespace {name}:\n" + "\n".join(left), pytrace=False)


@pytest.fixture
async def connection(daemon: PrivateDaemon) -> AsyncIterator[Connection]:
    """An open connection to the shared daemon."""
    from containerd_aio._transport.connection import Connection

    from containerd_aio._transport.address import Address

    connection = Connection(Address.parse(daemon.address))
    await connection.connect()
    try:
        yield connection
    finally:
        await connection.aclose()


@pytest.fixture
def services(connection: Connection, namespace: str) -> Services:
    """All services of the shared daemon, in the test's own namespace."""
    from containerd_aio.services import Services

    return Services.of(connection.caller(namespace))


@pytest.fixture
async def client(daemon: PrivateDaemon, namespace: str, fifo_dir: Path) -> AsyncIterator[Client]:
    """An open client of the shared daemon, in the test's own namespace, with its FIFOs in ``fifo_dir``."""
    from containerd_aio.client import Client

    async with Client(daemon.address, namespace=namespace, fifo_dir=os.fspath(fifo_dir)) as client:
        yield client


@pytest.fixture(autouse=True)
async def nothing_is_left(anyio_backend: object) -> AsyncIterator[None]:
    """Fails the test that leaves a descriptor or an asyncio task in this process."""
    before = Held.now()
    yield
    left = Held.now().since(before)
    if left:
        pytest.fail("left behind:\n" + "\n".join(left), pytrace=False)
