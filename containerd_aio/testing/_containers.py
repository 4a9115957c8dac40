"""The daemon's Containers service: records, with the daemon's validation and masks."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd import events
from containerd_aio._api.containerd.services.containers import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.testing._filters import Field, filters_of, matches, record_field
from containerd_aio.testing._messages import now, split_path, with_label, without_empty
from containerd_aio.testing._statuses import (
    already_exists,
    checked_identifier,
    checked_labels,
    invalid,
    not_found,
)
from containerd_aio.testing._world import World


class ContainersService(api.ContainersBase):
    """The Containers service."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: api.GetContainerRequest, /) -> api.GetContainerResponse:
        realm = self._world.here()
        if request.id not in realm.containers:
            raise not_found(f'container "{request.id}" in namespace "{realm.name}"')
        return api.GetContainerResponse(container=realm.containers[request.id])

    async def list(self, request: api.ListContainersRequest, /) -> api.ListContainersResponse:
        return api.ListContainersResponse(containers=self._listed(request))

    async def list_stream(
        self, request: api.ListContainersRequest, /
    ) -> AsyncIterator[api.ListContainerMessage]:
        for container in self._listed(request):
            yield api.ListContainerMessage(container=container)

    async def create(self, request: api.CreateContainerRequest, /) -> api.CreateContainerResponse:
        realm, container = self._world.here(), request.container
        _validate(container, "create container failed validation")
        if container.id in realm.containers:
            raise already_exists(f'container "{container.id}"')
        container.labels = without_empty(container.labels)
        container.created_at = container.updated_at = now()
        realm.exists = True
        realm.containers[container.id] = container
        runtime = events.ContainerCreateRuntime(name=container.runtime.name)
        if container.runtime.is_set("options"):
            runtime.options = container.runtime.options
        created = events.ContainerCreate(id=container.id, image=container.image, runtime=runtime)
        self._world.publish(realm, "/containers/create", created)
        return api.CreateContainerResponse(container=container)

    async def update(self, request: api.UpdateContainerRequest, /) -> api.UpdateContainerResponse:
        realm, given = self._world.here(), request.container
        if not given.id:
            raise GRPCError(Status.INVALID_ARGUMENT, "Container.ID required")
        stored = realm.containers.get(given.id)
        if stored is None:
            raise not_found(f'container "{given.id}"')
        paths = request.update_mask.paths
        if not paths:
            if given.snapshotter != stored.snapshotter:
                raise invalid("container.Snapshotter field is immutable")
            if given.runtime.name != stored.runtime.name:
                raise invalid("container.Runtime.Name field is immutable")
            paths = ["labels", "spec", "extensions", "image", "snapshotkey"]
        updated = stored.__copy__()
        for path in paths:
            _take(path, given, updated)
        _validate(updated, "update failed validation")
        updated.updated_at = now()
        realm.containers[given.id] = updated
        event = events.ContainerUpdate(
            id=updated.id, image=updated.image, labels=updated.labels, snapshot_key=updated.snapshot_key
        )
        self._world.publish(realm, "/containers/update", event)
        return api.UpdateContainerResponse(container=updated)

    async def delete(self, request: api.DeleteContainerRequest, /) -> Empty:
        realm = self._world.here()
        if realm.containers.pop(request.id, None) is None:
            raise not_found(f"container {request.id}")
        self._world.publish(realm, "/containers/delete", events.ContainerDelete(id=request.id))
        return Empty()

    def _listed(self, request: api.ListContainersRequest) -> builtins.list[api.Container]:
        realm, filters = self._world.here(), filters_of(request.filters)
        return [
            container
            for _, container in sorted(realm.containers.items())
            if matches(filters, _field(container))
        ]


def _validate(container: api.Container, about: str) -> None:
    checked_identifier(container.id, f"{about}: container.ID")
    for name in container.extensions:
        if not name:
            raise invalid(f"{about}: container.Extension keys must not be zero-length")
    checked_labels(container.labels, f"{about}: containers.Labels")
    if not container.runtime.name:
        raise invalid(f"{about}: container.Runtime.Name must be set")
    if not container.is_set("spec"):
        raise invalid(f"{about}: container.Spec must be set")
    if container.snapshot_key and not container.snapshotter:
        raise invalid(f"{about}: container.Snapshotter must be set if container.SnapshotKey is set")


def _take(path: str, given: api.Container, stored: api.Container) -> None:
    match split_path(path, ("labels", "extensions")):
        case "labels", "":
            stored.labels = without_empty(given.labels)
        case "labels", key:
            stored.labels = with_label(stored.labels, key, given.labels)
        case "extensions", "":
            stored.extensions = given.extensions
        case "extensions", key:
            stored.extensions = {**stored.extensions, key: given.extensions[key]}
        case "spec", _:
            stored.spec = given.spec
        case "image", _:
            stored.image = given.image
        case "snapshotkey", _:
            stored.snapshot_key = given.snapshot_key
        case _:
            raise invalid(f'cannot update "{path}" field on "{given.id}"')


def _field(container: api.Container) -> Field:
    fields = {"id": container.id, "runtime.name": container.runtime.name, "image": container.image}
    return record_field(fields, labels=container.labels)
