"""Every call on its way to a service: counted, delayed or refused, and told which namespace and lease it has.

The generated server classes give a method its request only. What came in the headers stands in a ``ContextVar``
while the method runs; each call has an asyncio task of its own, so calls do not see each other's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar, cast

from grpclib.const import Handler, Status
from grpclib.exceptions import GRPCError

from containerd_aio.testing._statuses import checked_identifier

if TYPE_CHECKING:
    from grpclib._typing import IServable
    from grpclib.server import Stream

F = TypeVar("F")
Serve: TypeAlias = "Callable[[Stream[Any, Any]], Awaitable[None]]"


@dataclass(frozen=True, slots=True)
class Headers:
    """What a call says beside its request; empty where it says nothing."""

    namespace: str
    lease: str


_headers: ContextVar[Headers] = ContextVar("headers")


def namespace_of_call() -> str:
    """Return the namespace that the call under way is made in.

    :raises GRPCError: FAILED_PRECONDITION without one, INVALID_ARGUMENT for one that is no identifier
    """
    namespace = _headers.get().namespace
    if not namespace:
        raise GRPCError(Status.FAILED_PRECONDITION, "namespace is required: failed precondition")
    checked_identifier(namespace, "namespace validation")
    return namespace


def lease_of_call() -> str:
    """Return the lease that the call under way carries, empty without one."""
    return _headers.get().lease


class Fault:
    """Something that goes wrong from the moment it is asked for. ``lift()`` ends it, and so does its ``with`` block."""

    def __init__(self, lift: Callable[[], None]) -> None:
        self._lift = lift

    def lift(self) -> None:
        """Let things go right again; a second call does nothing."""
        self._lift()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lift()


class Faults(Generic[F]):
    """The faults of one kind that are on, oldest first."""

    def __init__(self) -> None:
        self._active: list[F] = []

    def __iter__(self) -> Iterator[F]:
        return iter(self._active)  # a change makes a new list

    def add(self, fault: F) -> Fault:
        """Turn a fault on."""
        self._active = [*self._active, fault]
        return Fault(lambda: self.remove(fault))

    def remove(self, fault: F) -> None:
        """Turn it off, if it is on."""
        self._active = [other for other in self._active if other is not fault]


@dataclass(eq=False, slots=True)
class Delay:
    """Calls of a method that are answered late."""

    method: str
    seconds: float


@dataclass(eq=False, slots=True)
class Hold:
    """Calls of a method that are not answered before it is let go."""

    method: str
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False, slots=True)
class Refusal:
    """Calls of a method that fail; ``times`` is how many more of them, ``None`` all."""

    method: str
    status: Status
    message: str
    times: int | None


class Gate:
    """What each call passes before it reaches its service.

    Methods are named as errors name them: ``Tasks/Get``. ``calls`` counts them by that name.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.delays: Faults[Delay] = Faults()
        self.refusals: Faults[Refusal] = Faults()
        self.holds: Faults[Hold] = Faults()
        self._came: asyncio.Event | None = None

    def hold(self, method: str) -> Fault:
        """Hold the calls of a method until that is lifted."""
        hold = Hold(method)
        fault = self.holds.add(hold)

        def lift() -> None:
            fault.lift()
            hold.let_go.set()

        return Fault(lift)

    async def called(self, method: str, times: int) -> None:
        """Wait until calls of a method have come so many times."""
        while self.calls[method] < times:
            if self._came is None:
                self._came = asyncio.Event()
            await self._came.wait()

    def before(self, services: Iterable[IServable]) -> IServable:
        """Return one service that stands for all of these, behind this gate."""
        handlers: dict[str, Handler] = {}
        for service in services:
            for path, handler in service.__mapping__().items():
                serve: Serve = cast(Any, handler).func  # grpclib's annotation cannot be read
                handlers[path] = handler._replace(func=self._guarded(path, serve))
        return _Services(handlers)

    def _guarded(self, path: str, serve: Serve) -> Serve:
        method = path.rpartition(".")[2]

        async def guarded(stream: Stream[Any, Any]) -> None:
            metadata: Any = stream.metadata or {}
            _headers.set(
                Headers(metadata.get("containerd-namespace", ""), metadata.get("containerd-lease", ""))
            )
            self._count(method)
            for delay in self.delays:
                if delay.method == method:
                    await asyncio.sleep(delay.seconds)
            for hold in self.holds:
                if hold.method == method:
                    await hold.let_go.wait()
            self._check(method)
            await serve(stream)

        return guarded

    def _count(self, method: str) -> None:
        self.calls[method] += 1
        came, self._came = self._came, None
        if came is not None:
            came.set()

    def _check(self, method: str) -> None:
        for refusal in self.refusals:
            if refusal.method == method:
                if refusal.times is not None:
                    refusal.times -= 1
                    if refusal.times <= 0:
                        self.refusals.remove(refusal)
                raise GRPCError(refusal.status, refusal.message)


class _Services:
    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers

    def __mapping__(self) -> dict[str, Handler]:
        return self._handlers
