"""containerd's Namespaces service. Most namespaces come to be by being used; only labels need this service.

A change is called for in the namespace that is changed, whatever the client's own is: the events of changes then
belong to it, as containerd's do when it deletes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from containerd_aio._api.containerd.services.namespaces import v1 as api
from containerd_aio._api.google.protobuf import Empty, FieldMask
from containerd_aio._transport.call import Caller
from containerd_aio.types import NamespaceInfo
from containerd_aio.types.identifier import check_identifier

_SERVICE: Final = "containerd.services.namespaces.v1.Namespaces/"


class Namespaces:
    """The namespaces of a daemon. The namespace of the client makes no difference here."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get(self, name: str) -> NamespaceInfo:
        """Return a namespace. One that does not exist comes back without labels: containerd makes no difference."""
        answer = await self._caller.unary(
            _SERVICE + "Get",
            api.GetNamespaceRequest(name=name),
            api.GetNamespaceResponse,
            quick=True,
            about=_about(name),
        )
        return _namespace_from(answer.namespace)

    async def list(self) -> list[NamespaceInfo]:
        """Return all namespaces. (containerd takes a filter here, and ignores it.)"""
        answer = await self._caller.unary(
            _SERVICE + "List", api.ListNamespacesRequest(), api.ListNamespacesResponse, quick=True
        )
        return [_namespace_from(namespace) for namespace in answer.namespaces]

    async def create(self, name: str, labels: Mapping[str, str] | None = None) -> NamespaceInfo:
        """Make a namespace and return it.

        :raises InvalidArgumentError: if the name is no identifier, or a label is too long (4096 bytes)
        :raises AlreadyExistsError: if it exists
        """
        check_identifier("namespace", name)
        request = api.CreateNamespaceRequest(namespace=api.Namespace(name=name, labels=dict(labels or {})))
        answer = await self._inside(name).unary(
            _SERVICE + "Create", request, api.CreateNamespaceResponse, about=_about(name)
        )
        return _namespace_from(answer.namespace)

    async def update(self, name: str, labels: Mapping[str, str]) -> NamespaceInfo:
        """Set these labels, leave the others, and return the namespace; an empty value removes the label.

        A namespace that does not exist is made (seen on containerd 1.6).

        :raises InvalidArgumentError: if the name is no identifier, or a label is too long
        """
        if not labels:
            return await self.get(name)  # an empty mask would stand for all labels, and remove them
        request = api.UpdateNamespaceRequest(
            namespace=api.Namespace(name=name, labels=dict(labels)),
            update_mask=FieldMask(paths=[f"labels.{key}" for key in labels]),
        )
        await self._inside(name).unary(
            _SERVICE + "Update", request, api.UpdateNamespaceResponse, quick=True, about=_about(name)
        )
        return await self.get(name)  # 1.6 answers an empty namespace

    async def delete(self, name: str) -> None:
        """Delete an empty namespace.

        :raises FailedPreconditionError: if there is anything in it
        :raises NotFoundError: if there is no such namespace
        """
        await self._inside(name).unary(
            _SERVICE + "Delete", api.DeleteNamespaceRequest(name=name), Empty, about=_about(name)
        )

    def _inside(self, name: str) -> Caller:
        # The header decides of which namespace the event of a change is. Without one containerd makes the
        # change, cannot publish it, and fails with UNKNOWN.
        return self._caller.connection.caller(name)


def _about(name: str) -> str:
    return f"namespace '{name}'"


def _namespace_from(message: api.Namespace) -> NamespaceInfo:
    return NamespaceInfo(message.name, dict(message.labels))
