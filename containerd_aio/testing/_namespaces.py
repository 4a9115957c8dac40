"""The daemon's Namespaces service, as containerd 1.6 has it."""

from __future__ import annotations

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api._message import Message
from containerd_aio._api.containerd import events
from containerd_aio._api.containerd.services.namespaces import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.testing._calls import namespace_of_call
from containerd_aio.testing._messages import split_path, with_label, without_empty
from containerd_aio.testing._statuses import (
    already_exists,
    checked_identifier,
    checked_labels,
    not_found,
    precondition,
)
from containerd_aio.testing._world import World


class NamespacesService(api.NamespacesBase):
    """The Namespaces service. A change is published in the namespace that the call is made in."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: api.GetNamespaceRequest, /) -> api.GetNamespaceResponse:
        realm = self._world.realms.get(request.name)
        labels = {} if realm is None else realm.labels
        return api.GetNamespaceResponse(namespace=api.Namespace(name=request.name, labels=labels))

    async def list(self, request: api.ListNamespacesRequest, /) -> api.ListNamespacesResponse:
        namespaces = [
            api.Namespace(name=name, labels=realm.labels)
            for name, realm in sorted(self._world.realms.items())
            if realm.exists
        ]
        return api.ListNamespacesResponse(namespaces=namespaces)

    async def create(self, request: api.CreateNamespaceRequest, /) -> api.CreateNamespaceResponse:
        given = request.namespace
        checked_identifier(given.name)
        checked_labels(given.labels, "namespace.Labels")
        known = self._world.realms.get(given.name)
        if known is not None and known.exists:
            raise already_exists(f'namespace "{given.name}"')
        realm = self._world.realm(given.name)
        realm.exists, realm.labels = True, without_empty(given.labels)
        created = events.NamespaceCreate(name=given.name, labels=realm.labels)
        self._publish("/namespaces/create", created)
        return api.CreateNamespaceResponse(namespace=api.Namespace(name=given.name, labels=realm.labels))

    async def update(self, request: api.UpdateNamespaceRequest, /) -> api.UpdateNamespaceResponse:
        given = request.namespace
        realm = self._world.realm(given.name)  # one that is not there is made
        labels = realm.labels
        checked_labels(given.labels, "namespace.Labels")
        for path in request.update_mask.paths or ["labels"]:
            match split_path(path, ("labels",)):
                case "labels", "":
                    labels = without_empty(given.labels)
                case "labels", key:
                    labels = with_label(labels, key, given.labels)
                case _:
                    raise GRPCError(Status.INVALID_ARGUMENT, f'cannot update "{path}" field')
        realm.exists, realm.labels = True, labels
        updated = events.NamespaceUpdate(name=given.name, labels=labels)
        self._publish("/namespaces/update", updated)
        return api.UpdateNamespaceResponse(namespace=api.Namespace())  # so empty it is

    async def delete(self, request: api.DeleteNamespaceRequest, /) -> Empty:
        realm = self._world.realms.get(request.name)
        if realm is None or not realm.exists:
            raise not_found(f'namespace "{request.name}"')
        if contents := realm.contents():
            kinds = ", ".join(contents)
            raise precondition(f'namespace "{request.name}" must be empty, but it still has {kinds}')
        del self._world.realms[request.name]
        self._publish("/namespaces/delete", events.NamespaceDelete(name=request.name))
        return Empty()

    def _publish(self, topic: str, event: Message) -> None:
        try:
            namespace = namespace_of_call()
        except GRPCError as error:
            # The change is made all the same.
            raise GRPCError(Status.UNKNOWN, f"failed publishing event: {error.message}") from None
        self._world.exchange.publish(namespace, topic, event)
