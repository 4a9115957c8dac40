"""The daemon's Leases service: what garbage collection must spare."""

from __future__ import annotations

import secrets
import time

from containerd_aio._api.containerd.services.leases import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.testing._collector import collect
from containerd_aio.testing._filters import filters_of, matches, record_field
from containerd_aio.testing._messages import now, without_empty
from containerd_aio.testing._statuses import (
    already_exists,
    checked_labels,
    invalid,
    is_digest,
    not_found,
    unimplemented,
)
from containerd_aio.testing._world import HeldLease, World


class LeasesService(api.LeasesBase):
    """The Leases service. No lease expires in the fake."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: api.CreateRequest, /) -> api.CreateResponse:
        realm = self._world.here()
        lease_id = request.id or f"{time.time_ns() % 10**9:09d}-{secrets.token_urlsafe(3)}"
        checked_labels(request.labels, "lease.Labels")
        if lease_id in realm.leases:
            raise already_exists(f'lease "{lease_id}"')
        lease = api.Lease(id=lease_id, created_at=now(), labels=without_empty(request.labels))
        realm.exists = True
        realm.leases[lease_id] = HeldLease(lease)
        return api.CreateResponse(lease=lease)

    async def delete(self, request: api.DeleteRequest, /) -> Empty:
        realm = self._world.here()
        self._held(request.id)
        del realm.leases[request.id]
        if request.sync:
            collect(self._world, realm)
        return Empty()

    async def list(self, request: api.ListRequest, /) -> api.ListResponse:
        realm, filters = self._world.here(), filters_of(request.filters)
        leases = [
            held.lease
            for lease_id, held in sorted(realm.leases.items())
            if matches(filters, record_field({"id": lease_id}, labels=held.lease.labels))
        ]
        return api.ListResponse(leases=leases)

    async def add_resource(self, request: api.AddResourceRequest, /) -> Empty:
        held = self._held(request.id)
        held.resources.add(_checked(request.resource))
        return Empty()

    async def delete_resource(self, request: api.DeleteResourceRequest, /) -> Empty:
        held = self._held(request.id)
        held.resources.discard(_checked(request.resource))
        return Empty()

    async def list_resources(self, request: api.ListResourcesRequest, /) -> api.ListResourcesResponse:
        held = self._held(request.id)
        resources = [api.Resource(id=id_, type=kind) for kind, id_ in sorted(held.resources)]
        return api.ListResourcesResponse(resources=resources)

    def _held(self, lease_id: str) -> HeldLease:
        held = self._world.here().leases.get(lease_id)
        if held is None:
            raise not_found(f'lease "{lease_id}"')
        return held


def _checked(resource: api.Resource) -> tuple[str, str]:
    match resource.type.split("/"):
        case ["content"]:
            if not is_digest(resource.id):
                raise invalid(f"invalid content resource id {resource.id}: invalid checksum digest format")
        case ["ingests"] | ["snapshots", _]:
            pass
        case ["snapshots"]:
            raise invalid(f"invalid snapshot resource type {resource.type}")
        case _:
            raise unimplemented(f"resource type {resource.type} not supported yet")
    return resource.type, resource.id
