"""What the fake tells about itself: Version, Introspection, Health."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd.services.introspection import v1 as api
from containerd_aio._api.containerd.services.version import v1 as version
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._api.grpc.health import v1 as health
from containerd_aio.testing._filters import filters_of, matches, record_field
from containerd_aio.testing._world import SNAPSHOTTERS

VERSION = "1.6.20"
_PLUGINS = (
    *(("io.containerd.snapshotter.v1", name) for name in SNAPSHOTTERS),
    ("io.containerd.content.v1", "content"),
    ("io.containerd.metadata.v1", "bolt"),
    ("io.containerd.runtime.v2", "task"),
    ("io.containerd.service.v1", "tasks-service"),
)
_SERVING = health.HealthCheckResponse(status=health.HealthCheckResponseServingStatus.try_value(1))


class VersionService(version.VersionBase):
    """The Version service: the version whose manners the fake has."""

    async def version(self, request: Empty, /) -> version.VersionResponse:
        return version.VersionResponse(version=VERSION, revision="fake")


class IntrospectionService(api.IntrospectionBase):
    """The Introspection service, as containerd 1.6 has it: no pid, no PluginInfo."""

    def __init__(self) -> None:
        self._uuid = str(uuid.uuid4())

    async def plugins(self, request: api.PluginsRequest, /) -> api.PluginsResponse:
        filters = filters_of(request.filters)
        found = [
            api.Plugin(type=kind, id=name)
            for kind, name in _PLUGINS
            if matches(filters, record_field({"type": kind, "id": name}))
        ]
        return api.PluginsResponse(plugins=found)

    async def server(self, request: Empty, /) -> api.ServerResponse:
        return api.ServerResponse(uuid=self._uuid)


class HealthService(health.HealthBase):
    """The Health service: serving, as long as it can answer."""

    async def check(self, request: health.HealthCheckRequest, /) -> health.HealthCheckResponse:
        if request.service:
            raise GRPCError(Status.NOT_FOUND, "unknown service")
        return _SERVING

    async def watch(self, request: health.HealthCheckRequest, /) -> AsyncIterator[health.HealthCheckResponse]:
        yield _SERVING
        await asyncio.get_running_loop().create_future()  # it never changes
