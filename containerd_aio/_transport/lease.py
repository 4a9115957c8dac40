"""Which lease the calls of this context hold what they make by.

The lease travels in a ``ContextVar``, so child tasks inherit it; it is kept for a connection and a namespace, so
that the lease of one daemon never reaches another. Background tasks begin in an empty context (``supervise``):
they outlive the block.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from containerd_aio.errors import InvalidArgumentError

if TYPE_CHECKING:
    from containerd_aio._transport.connection import Connection

_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")

_leases: ContextVar[Mapping[tuple[Connection, str], str]] = ContextVar(
    "containerd_aio_leases", default=MappingProxyType({})
)


def current_lease(connection: Connection, namespace: str) -> str | None:
    """Return the id of the lease that calls on this connection and namespace send here."""
    return _leases.get().get((connection, namespace))


@contextmanager
def lease_scope(connection: Connection, namespace: str, lease: str) -> Generator[None]:
    """Send ``lease`` with every call of the block on this connection and namespace.

    Tasks started in the block send it too, also after the block has ended. An inner scope hides an outer one. A
    block that is left in another context than it was entered in (a fixture's, say) ends there in silence.

    :raises InvalidArgumentError: if the id cannot stand in a header
    """
    if _HEADER_VALUE.fullmatch(lease) is None:
        raise InvalidArgumentError(
            f"the lease id {lease!r} is not printable ASCII without spaces at its ends"
        )
    token = _leases.set({**_leases.get(), (connection, namespace): lease})
    try:
        yield
    finally:
        with suppress(ValueError):  # the token is of another context, whose variable is not ours to set
            _leases.reset(token)
