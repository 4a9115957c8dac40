"""A real containerd for the tests, and the check that they leave nothing behind.

``CONTAINERD_AIO_TEST_CONTAINERD`` is the containerd to test against, a name or a path.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import pytest

from containerd_aio.cli.busybox import busybox_archive
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.leaks import (
    DEFAULT_FIFO_DIR,
    Held,
    ctr,
    fifos_in,
    left_in_namespace,
    left_on_host,
    remove_namespace,
)

if TYPE_CHECKING:
    from containerd_aio._transport.connection import Connection
    from containerd_aio.client import Client
    from containerd_aio.image import Image
    from containerd_aio.services import Services
    from containerd_aio.task import Task

CONTAINERD = os.environ.get("CONTAINERD_AIO_TEST_CONTAINERD", "containerd")

# In CI a skipped test would pass unseen, and nobody else makes FIFOs.
STRICT = bool(os.environ.get("CI")) or os.environ.get("CONTAINERD_AIO_NO_SKIP") == "1"

# Seconds; a test that has failed, and so has closed nothing, takes longer by them.
GRACE = 2.0

FETCH = Path(__file__).with_name("containerd_fetch.sh")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs CRIU waits until it is fetched."""
    for item in items:
        if "criu" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300))


def cannot_run(reason: str) -> NoReturn:
    """Skip the test; in CI, fail it."""
    if STRICT:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@asynccontextmanager
async def private_daemon(**options: Any) -> AsyncIterator[PrivateDaemon]:
    """A daemon of which nothing may be left at the end; a skipped test where this machine cannot run one."""
    daemon = PrivateDaemon(**options)
    try:
        await daemon.__aenter__()
    except (FileNotFoundError, PermissionError) as error:
        cannot_run(str(error))
    home = os.path.dirname(daemon.address)
    try:
        yield daemon
    finally:
        await daemon.__aexit__(None, None, None)
        if left := left_on_host(home, daemon.namespace):
            pytest.fail("left by the daemon:\n" + "\n".join(left), pytrace=False)


async def crash(daemon: PrivateDaemon) -> None:
    """Kill it, and wait for its end: until then its socket may take one more connection."""
    daemon.kill()
    await daemon.stop()


@pytest.fixture(scope="session")
async def daemon(anyio_backend: object) -> AsyncIterator[PrivateDaemon]:
    """The containerd that all tests share; each test works in a ``namespace`` of its own."""
    async with private_daemon(containerd=CONTAINERD) as daemon:
        yield daemon


@pytest.fixture
async def daemon_of_its_own() -> AsyncIterator[PrivateDaemon]:
    """A containerd for one test, which may stop, kill, freeze and fill it."""
    async with private_daemon(containerd=CONTAINERD) as daemon:
        yield daemon


def fetched(what: str) -> Path:
    """The directory that ``containerd_fetch.sh`` has filled with a containerd, or with CRIU.

    That is done once, in ``$CONTAINERD_AIO_TEST_CACHE``, else in the user's cache directory.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    directory = os.environ.get("CONTAINERD_AIO_TEST_CACHE") or os.path.join(cache, "containerd-aio")
    path = Path(directory, what)
    path.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([FETCH, path, what], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        cannot_run(f"cannot fetch {what}: {done.stderr.strip()}")
    return path


@pytest.fixture(scope="session")
def containerd_versions() -> Mapping[str, str]:
    """The path of a containerd of each other version, as ``{"1.7": "/.../bin/containerd"}``."""
    found = {}
    for suite in ("trixie", "forky"):
        path = fetched(suite)
        release = ".".join((path / "VERSION").read_text().split(".")[:2])
        found[release] = os.fspath(path / "bin" / "containerd")
    return found


@pytest.fixture(scope="session")
def criu() -> Mapping[str, str]:
    """The environment in which a daemon finds a CRIU that works on this kernel, for ``PrivateDaemon(env=...)``.

    Debian 12's own does not on Linux 6.
    """
    return {"PATH": f"{fetched('criu') / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture(scope="session")
async def criu_daemon(anyio_backend: object, criu: Mapping[str, str]) -> AsyncIterator[PrivateDaemon]:
    """As ``daemon``, with CRIU. A file whose tests take checkpoints has it for its ``daemon``."""
    async with private_daemon(containerd=CONTAINERD, env=criu) as daemon:
        yield daemon


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
    from containerd_aio._transport.address import Address
    from containerd_aio._transport.connection import Connection

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


@pytest.fixture(scope="session")
def archive() -> bytes:
    """An OCI archive of a busybox image, made from this machine's static busybox."""
    try:
        return busybox_archive()
    except InvalidArgumentError as error:
        cannot_run(str(error))


@pytest.fixture(scope="session")
def archive_path(archive: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in a file, for ``ctr``."""
    path = tmp_path_factory.mktemp("archive") / "busybox.tar"
    path.write_bytes(archive)
    return path


@pytest.fixture
async def image(client: Client, daemon: PrivateDaemon, archive: bytes) -> Image:
    """The busybox image, imported and unpacked in the test's namespace."""
    [image] = await client.import_images(archive)
    await image.unpack(daemon.snapshotter)
    return image


@dataclass(frozen=True, slots=True)
class Shared:
    """A client, an image, and a task that only sleeps, to add execs to."""

    client: Client
    image: Image
    host: Task
    fifo_dir: str


@pytest.fixture(scope="module")
async def shared(daemon: PrivateDaemon, archive: bytes) -> AsyncIterator[Shared]:
    """What the tests of a file share, in a namespace of its own: making it anew takes longer than most of them."""
    from containerd_aio.client import Client

    namespace = f"aio-{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory(prefix="aio-fifo-") as fifo_dir:
        async with Client(daemon.address, namespace=namespace, fifo_dir=fifo_dir) as client:
            [image] = await client.import_images(archive)
            await image.unpack(daemon.snapshotter)
            async with (
                await client.new_container("host", image=image, args=["sleep", "36000"]) as container,
                await container.new_task() as host,
            ):
                await host.start()
                yield Shared(client, image, host, fifo_dir)
        left = left_in_namespace(daemon.address, namespace, daemon.snapshotter)
        left += [f"FIFO {path}" for path in Path(fifo_dir).glob("**/*")]
        left = left or remove_namespace(daemon.address, namespace)
    if left:
        pytest.fail(f"left in namespace {namespace}:\n" + "\n".join(left), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def no_fifo_is_left(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """In CI, fails the last of the processes that run tests if one has left a FIFO where they are by default.

    While several run, the FIFOs of one test are no fault of another's.
    """
    if not STRICT or worker_id == "master":
        yield  # each test is looked at by itself
        return
    ended = tmp_path_factory.getbasetemp().parent / "ended"
    ended.mkdir(exist_ok=True)
    before = fifos_in(DEFAULT_FIFO_DIR)
    yield
    (ended / worker_id).touch()
    if len(list(ended.iterdir())) == int(os.environ["PYTEST_XDIST_WORKER_COUNT"]):
        left = fifos_in(DEFAULT_FIFO_DIR) - before
        if left:
            pytest.fail("left in the FIFO directory:\n" + "\n".join(sorted(left)), pytrace=False)


@pytest.fixture(autouse=True)
async def nothing_is_left(anyio_backend: object, without_debug: None, worker_id: str) -> AsyncIterator[None]:
    """Fails the test that leaves a descriptor or an asyncio task in this process, in CI also a FIFO.

    What was closed may need some turns of the event loop to be gone, as the pipes of a program that has ended do.
    """
    fifo_dirs = (DEFAULT_FIFO_DIR,) if STRICT and worker_id == "master" else ()
    before = Held.now(*fifo_dirs)
    yield
    left = Held.now(*fifo_dirs).since(before)
    with anyio.move_on_after(GRACE):
        while left:
            await anyio.sleep(0.01)
            left = Held.now(*fifo_dirs).since(before)
    if left:
        pytest.fail("left behind:\n" + "\n".join(left), pytrace=False)
