"""gRPC's standard health service, which containerd has as well (grpc's doc/health-checking.md)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from containerd_aio._api.grpc.health import v1 as api
from containerd_aio._transport.call import Caller, Incoming

_SERVICE: Final = "grpc.health.v1.Health/"


class Health:
    """Whether a daemon serves. No namespace is needed."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def check(self, service: str = "") -> bool:
        """Tell whether the daemon serves; ``service`` asks for one of its gRPC services, where it tells.

        :raises NotFoundError: if it does not tell for that service
        """
        answer = await self._caller.unary(
            _SERVICE + "Check",
            api.HealthCheckRequest(service=service),
            api.HealthCheckResponse,
            quick=True,
            about=_about(service),
        )
        return _serves(answer)

    def watch(self, service: str = "") -> AbstractAsyncContextManager[AsyncIterator[bool]]:
        """Follow the health: in the block, an iterator that tells how it is now, and then each change.

        A service that the daemon knows nothing of counts as not serving. Leaving the block ends the stream.

        :raises ConnectionLostError: when containerd goes away
        """
        return self._watch(service)

    @asynccontextmanager
    async def _watch(self, service: str) -> AsyncGenerator[AsyncIterator[bool], None]:
        request = api.HealthCheckRequest(service=service)
        async with self._caller.server_stream(
            _SERVICE + "Watch", request, api.HealthCheckResponse, about=_about(service)
        ) as answers:
            yield _Healths(answers)


class _Healths:
    """The answers as plain truth values."""

    def __init__(self, answers: Incoming[api.HealthCheckResponse]) -> None:
        self._answers = answers

    def __aiter__(self) -> _Healths:
        return self

    async def __anext__(self) -> bool:
        return _serves(await anext(self._answers))


def _about(service: str) -> str:
    return f"the service '{service}'" if service else ""


def _serves(answer: api.HealthCheckResponse) -> bool:
    return answer.status == api.HealthCheckResponseServingStatus.SERVING
