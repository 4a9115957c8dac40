"""containerd's Leases service: what garbage collection must spare until work is done.

Blobs and snapshots that nothing refers to are removed by the next collection, which may come at any time
between two calls. ``hold()`` makes a lease for a block of code: every call made in it, on the same connection
and namespace, adds what it touches to the lease. The lease goes when the block ends, however it ends.
"""

from __future__ import annotations

import logging
import math
import secrets
import string
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from containerd_aio._api.containerd.services.leases import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.call import Caller
from containerd_aio._transport.completion import completed, shielded
from containerd_aio._transport.convert import timestamp_ns
from containerd_aio._transport.lease import current_lease, lease_scope
from containerd_aio.errors import ContainerdError, InvalidArgumentError, NotFoundError
from containerd_aio.types import Lease, LeaseResource

EXPIRE_LABEL: Final = "containerd.io/gc.expire"
"""The label that ends a lease: a time in RFC 3339."""

DAY: Final = 86_400.0

_SERVICE: Final = "containerd.services.leases.v1.Leases/"
_LETTERS: Final = string.ascii_letters + string.digits
_log = logging.getLogger("containerd_aio")


class Leases:
    """The leases of one namespace."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create(
        self,
        *,
        id: str | None = None,
        labels: Mapping[str, str] | None = None,
        expires_in: float | None = DAY,
    ) -> Lease:
        """Make a lease and return it; a random id is chosen where none is given.

        ``expires_in`` (seconds) becomes the label ``containerd.io/gc.expire``, unless ``labels`` has that one
        already; ``None`` makes a lease that only ``delete()`` ends. If cancelled, the lease may exist.

        :raises InvalidArgumentError: if the id cannot travel in a header, or ``expires_in`` is not positive
        :raises AlreadyExistsError: if a lease of that id exists
        """
        return await self._create(_create_request(id, labels, expires_in))

    async def delete(self, lease_id: str, *, sync: bool = False) -> None:
        """Delete a lease; what it alone held is removed by the next collection.

        With ``sync`` a collection runs now, and the call returns when it is done.

        :raises NotFoundError: if there is no such lease
        """
        await self._caller.unary(
            _SERVICE + "Delete", api.DeleteRequest(id=lease_id, sync=sync), Empty, about=_about(lease_id)
        )

    async def add_resource(self, lease_id: str, resource: LeaseResource) -> None:
        """Have a lease hold one thing more. The thing need not exist yet.

        :raises NotFoundError: if there is no such lease
        :raises InvalidArgumentError: if the resource's type and id do not fit each other
        :raises NotImplementedByServerError: if this containerd does not know the type
        """
        request = api.AddResourceRequest(id=lease_id, resource=_to_resource(resource))
        await self._caller.unary(_SERVICE + "AddResource", request, Empty, about=_about(lease_id))

    async def delete_resource(self, lease_id: str, resource: LeaseResource) -> None:
        """Have a lease let go of one thing; one that it does not hold is no error.

        :raises NotFoundError: if there is no such lease
        :raises InvalidArgumentError: if the resource's type and id do not fit each other
        :raises NotImplementedByServerError: if this containerd does not know the type
        """
        request = api.DeleteResourceRequest(id=lease_id, resource=_to_resource(resource))
        await self._caller.unary(_SERVICE + "DeleteResource", request, Empty, about=_about(lease_id))

    async def list_resources(self, lease_id: str) -> list[LeaseResource]:
        """Return what a lease holds.

        :raises NotFoundError: if there is no such lease
        """
        answer = await self._caller.unary(
            _SERVICE + "ListResources",
            api.ListResourcesRequest(id=lease_id),
            api.ListResourcesResponse,
            quick=True,
            about=_about(lease_id),
        )
        return [LeaseResource(type=resource.type, id=resource.id) for resource in answer.resources]

    @asynccontextmanager
    async def hold(
        self,
        *,
        id: str | None = None,
        labels: Mapping[str, str] | None = None,
        expires_in: float | None = DAY,
        sync: bool = False,
    ) -> AsyncGenerator[Lease, None]:
        """Make a lease, hold with it all that the block touches, and delete it when the block ends.

        With ``sync`` a collection runs then, and takes at once what nothing else holds.

        Inside of another ``hold()`` on the same connection and namespace the outer lease serves: it is what the
        block gets, the options count for nothing, and nothing is deleted at the inner end. Tasks that the block
        starts inherit the lease; leave none behind that still needs it.

        The deletion cannot be cancelled and takes 15 s at most. If it fails, the lease ends at its expiry; that
        is told in a note on the block's exception, or logged. If ``hold()`` is cancelled while containerd makes
        the lease, that is waited for (15 s at most too) and the lease deleted. Where making it ended in
        ``ConnectionLostError``, it may exist.

        :raises InvalidArgumentError: as ``create()``
        :raises AlreadyExistsError: if a lease of that id exists
        """
        outer = current_lease(self._caller.connection, self._caller.namespace)
        if outer is not None:
            yield Lease(outer)
            return
        lease = await self._make(_create_request(id, labels, expires_in))
        try:
            with lease_scope(self._caller.connection, self._caller.namespace, lease.id):
                yield lease
        except BaseException as error:
            if problem := await self._release(lease.id, sync=sync):
                error.add_note(problem)
            raise
        if problem := await self._release(lease.id, sync=sync):
            _log.warning("%s", problem)

    async def _make(self, request: api.CreateRequest) -> Lease:
        """Create a lease; if cancelled meanwhile, delete what was made.

        The call comes to its end before that: a Delete could overtake it in containerd, and only its answer
        tells whether a lease of an id that the caller chose is ours.
        """
        made: list[Lease] = []

        async def create() -> None:
            made.append(await self._create(request))

        try:
            await completed(create)
        except BaseException as error:
            for lease in made:
                if problem := await self._release(lease.id):
                    error.add_note(problem)
            raise
        return made[0]

    async def _create(self, request: api.CreateRequest) -> Lease:
        answer = await self._caller.unary(
            _SERVICE + "Create", request, api.CreateResponse, about=_about(request.id)
        )
        return _lease_from(answer.lease)

    async def _release(self, lease_id: str, *, sync: bool = False) -> str | None:
        """Delete a lease, come what may; return what went wrong, or ``None``. A lease that is gone is success."""
        problem = "containerd did not answer in time"
        try:
            if await shielded(lambda: self.delete(lease_id, sync=sync)):
                return None
        except NotFoundError:
            return None
        except ContainerdError as error:
            problem = str(error)
        return f"lease {lease_id!r} was not deleted and stays until it expires: {problem}"

    async def list(self, *filters: str) -> list[Lease]:
        """Return the leases that match any of the filters (fields ``id``, ``labels.<key>``); all without one.

        :raises InvalidArgumentError: if a filter cannot be parsed
        """
        answer = await self._caller.unary(
            _SERVICE + "List", api.ListRequest(filters=[*filters]), api.ListResponse, quick=True
        )
        return [_lease_from(lease) for lease in answer.leases]


def random_lease_id() -> str:
    """Return a new id such as ``706512345-x4Tz``: the clock's nanosecond and four random characters.

    Go's client writes base64url there; letters and digits alone keep the id an identifier.
    """
    return f"{time.time_ns() % 10**9}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"


def _about(lease_id: str) -> str:
    return f"lease '{lease_id}'"


def _create_request(
    id: str | None, labels: Mapping[str, str] | None, expires_in: float | None
) -> api.CreateRequest:
    lease_id = random_lease_id() if id is None else _check_lease_id(id)
    return api.CreateRequest(id=lease_id, labels=_with_expiry(labels, expires_in))


def _check_lease_id(lease_id: str) -> str:
    if not lease_id or not lease_id.isascii() or not lease_id.isprintable() or lease_id != lease_id.strip():
        raise InvalidArgumentError(
            f"the lease id {lease_id!r} cannot travel in a header: use printable ASCII characters"
        )
    return lease_id


def _with_expiry(labels: Mapping[str, str] | None, expires_in: float | None) -> dict[str, str]:
    result = dict(labels or {})
    if expires_in is None or EXPIRE_LABEL in result:
        return result
    if not 0 < expires_in < math.inf:
        raise InvalidArgumentError(f"a lease cannot expire in {expires_in} seconds; None is for never")
    try:
        # Rounded up: the label has whole seconds, and a lease must not end early.
        expiry = datetime.fromtimestamp(math.ceil(time.time() + expires_in), UTC)
    except (OverflowError, ValueError) as error:
        raise InvalidArgumentError(f"{expires_in} seconds from now is no date; None is for never") from error
    return {**result, EXPIRE_LABEL: expiry.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _lease_from(message: api.Lease) -> Lease:
    return Lease(id=message.id, labels=dict(message.labels), created_at_ns=timestamp_ns(message.created_at))


def _to_resource(resource: LeaseResource) -> api.Resource:
    return api.Resource(id=resource.id, type=resource.type)
