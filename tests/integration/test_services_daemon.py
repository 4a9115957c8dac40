"""What a real containerd tells about itself: version, health, plugins, namespaces."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import anyio
import pytest

from containerd_aio._api.containerd.types import RuntimeRequest
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.typeurl import pack
from containerd_aio.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
)
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.types import NamespaceInfo

pytestmark = pytest.mark.integration


@pytest.fixture
def anywhere(connection: Connection) -> Services:
    """The services without a namespace."""
    return Services.of(connection.caller(""))


async def test_the_version_has_numbers(anywhere: Services) -> None:
    version = await anywhere.version.get()
    assert version.release >= (1, 6)
    assert version.version


async def test_the_daemon_serves(anywhere: Services) -> None:
    assert await anywhere.health.check()
    with pytest.raises(NotFoundError):
        await anywhere.health.check("no.such.Service")
    with anyio.fail_after(60):
        async with anywhere.health.watch() as healths:
            assert await anext(healths)
        async with anywhere.health.watch("no.such.Service") as healths:
            assert not await anext(healths)


async def test_plugins_are_listed_and_chosen(anywhere: Services, daemon: PrivateDaemon) -> None:
    plugins = await anywhere.introspection.plugins()
    assert len(plugins) > 10
    [snapshotter] = await anywhere.introspection.plugins(
        f"type==io.containerd.snapshotter.v1, id=={daemon.snapshotter}"
    )
    assert snapshotter in plugins
    assert snapshotter.init_error is None
    assert snapshotter.platforms[0].os == "linux"


async def test_the_server_says_who_it_is(anywhere: Services, daemon: PrivateDaemon) -> None:
    server = await anywhere.introspection.server()
    assert server.uuid
    if server.pid is not None:  # from 1.7 on
        assert server.pid == daemon.pid
        assert server.pid_namespace == os.stat("/proc/self/ns/pid").st_ino


async def test_a_plugin_tells_about_itself_where_the_daemon_knows_how(anywhere: Services) -> None:
    asked = pack(RuntimeRequest(runtime_path="io.containerd.runc.v2"))
    try:
        plugin, extra = await anywhere.introspection.plugin_info("io.containerd.runtime.v2", "task", asked)
    except NotImplementedByServerError:
        assert (await anywhere.version.get()).release < (2, 0)
    else:
        assert plugin.id == "task"
        assert extra is not None
        assert extra.type_url == "containerd.types.RuntimeInfo"


@pytest.fixture
async def name(anywhere: Services, daemon: PrivateDaemon) -> AsyncIterator[str]:
    """A name for a namespace, which is deleted at the end."""
    name = f"{daemon.namespace}-labels"
    yield name
    if name in {namespace.name for namespace in await anywhere.namespaces.list()}:
        await anywhere.namespaces.delete(name)


async def test_namespaces_have_labels(anywhere: Services, name: str) -> None:
    namespaces = anywhere.namespaces
    assert await namespaces.create(name, {"a.b/c": "d", "e": "f"}) == NamespaceInfo(
        name, {"a.b/c": "d", "e": "f"}
    )
    with pytest.raises(AlreadyExistsError):
        await namespaces.create(name)
    await namespaces.update(name, {"e": "", "g": "h"})
    expected = NamespaceInfo(name, {"a.b/c": "d", "g": "h"})
    assert await namespaces.get(name) == expected
    assert await namespaces.update(name, {}) == expected
    assert expected in await namespaces.list()
    await namespaces.delete(name)
    with pytest.raises(NotFoundError, match=f"namespace '{name}'"):
        await namespaces.delete(name)
    assert await namespaces.get(name) == NamespaceInfo(name)


async def test_a_label_may_have_4096_bytes(anywhere: Services, name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await anywhere.namespaces.create(name, {"a": "b" * 4096})


async def test_a_namespace_in_use_stays(services: Services, namespace: str) -> None:
    async with services.leases.hold():  # else a collection might come in between
        blob = await services.content.write_blob("ref", b"something")
        try:
            with pytest.raises(FailedPreconditionError, match="must be empty"):
                await services.namespaces.delete(namespace)
        finally:
            await services.content.delete(blob)
