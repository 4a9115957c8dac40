"""The health service of gRPC."""

from __future__ import annotations

import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.grpc.health import v1 as api
from containerd_aio.errors import NotFoundError
from containerd_aio.services.health import Health
from tests.services.scripted import Scripted
from tests.services.serving import serving

Serving = api.HealthCheckResponseServingStatus


@pytest.mark.parametrize(
    ("status", "serves"),
    [
        (Serving.SERVING, True),
        (Serving.NOT_SERVING, False),
        (Serving.UNKNOWN, False),
        (Serving.SERVICE_UNKNOWN, False),
    ],
)
async def test_check_tells_whether_it_serves(status: Serving, serves: bool) -> None:
    service = Scripted(api.HealthBase, {"Check": api.HealthCheckResponse(status=status)})
    async with serving(service, rpc_timeout=60) as served:
        assert await Health(served.caller).check("grpc.Thing") is serves
        assert served.deadlines("Health/Check") == [True]
    assert service.requests == [("Check", api.HealthCheckRequest(service="grpc.Thing"))]


async def test_an_unknown_service_is_told() -> None:
    service = Scripted(api.HealthBase, {"Check": GRPCError(Status.NOT_FOUND, "unknown service")})
    async with serving(service) as served:
        with pytest.raises(NotFoundError, match="the service 'x'"):
            await Health(served.caller).check("x")


async def test_watch_tells_each_change_and_leaves_nothing_open() -> None:
    changes = [
        api.HealthCheckResponse(status=Serving.SERVING),
        api.HealthCheckResponse(status=Serving.NOT_SERVING),
    ]
    service = Scripted(api.HealthBase, {"Watch": changes}, endless=True)
    async with serving(service) as served, Health(served.caller).watch() as healths:
        assert [await anext(healths), await anext(healths)] == [True, False]
    assert service.requests == [("Watch", api.HealthCheckRequest())]


async def test_watch_ends_when_the_daemon_ends_it() -> None:
    service = Scripted(api.HealthBase, {"Watch": [api.HealthCheckResponse(status=Serving.SERVING)]})
    async with serving(service) as served, Health(served.caller).watch() as healths:
        assert [serves async for serves in healths] == [True]
