"""containerd's Containers service: the records of containers. A record is no process; that is the Tasks service's.

A record without a spec is the one thing to guard against: some daemons store it, and crash when a task is made of
it (``Tasks.Create``, seen on 1.7 and 2.1).
"""

from __future__ import annotations

import builtins
from typing import Final

import anyio

from containerd_aio._api.containerd.services.containers import v1 as api
from containerd_aio._api.google.protobuf import Empty, FieldMask
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import any_from, timestamp_ns, to_any
from containerd_aio.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    NotImplementedByServerError,
)
from containerd_aio.filters import parse
from containerd_aio.types import ContainerInfo, Runtime
from containerd_aio.types.identifier import check_identifier

_SERVICE: Final = "containerd.services.containers.v1.Containers/"


class Containers:
    """The containers of one namespace."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get(self, id: str) -> ContainerInfo:
        """Return the record of a container.

        :raises NotFoundError: if there is none of that id
        """
        answer = await self._caller.unary(
            _SERVICE + "Get",
            api.GetContainerRequest(id=id),
            api.GetContainerResponse,
            quick=True,
            about=_about(id),
        )
        return _container_from(answer.container)

    async def list(self, *filters: str) -> list[ContainerInfo]:
        """Return the containers that match any of the filters; all without one.

        Their fields: ``id``, ``runtime.name``, ``image``, ``labels.<key>``.

        :raises InvalidArgumentError: if a filter cannot be parsed
        :raises DeadlineExceededError: if the list is not complete in ``rpc_timeout``
        """
        for text in filters:
            parse(text)
        request = api.ListContainersRequest(filters=[*filters])
        limit = self._caller.connection.rpc_timeout
        with anyio.move_on_after(limit):
            try:
                return await self._list_stream(request)
            except NotImplementedByServerError:
                return await self._list(request)
        method = _SERVICE + "ListStream"
        raise DeadlineExceededError(
            f"Containers/ListStream: containerd gave no answer in {limit} s (rpc_timeout)", method=method
        )

    async def _list_stream(self, request: api.ListContainersRequest) -> builtins.list[ContainerInfo]:
        # One message for each container: a List of many would not fit into its one message of 16 MiB.
        method = _SERVICE + "ListStream"
        async with self._caller.server_stream(method, request, api.ListContainerMessage) as messages:
            return [_container_from(message.container) async for message in messages]

    async def _list(self, request: api.ListContainersRequest) -> builtins.list[ContainerInfo]:
        answer = await self._caller.unary(_SERVICE + "List", request, api.ListContainersResponse, quick=True)
        return [_container_from(container) for container in answer.containers]

    async def create(self, info: ContainerInfo) -> ContainerInfo:
        """Store a record and return it as stored; times in ``info`` do not count.

        :raises InvalidArgumentError: without a spec, for an illegal id, and for what containerd refuses
        :raises AlreadyExistsError: if the id is taken
        """
        check_identifier("container id", info.id)
        _check_spec(info)
        answer = await self._caller.unary(
            _SERVICE + "Create",
            api.CreateContainerRequest(container=_to_container(info)),
            api.CreateContainerResponse,
            about=_about(info.id),
        )
        return _container_from(answer.container)

    async def update(self, info: ContainerInfo, *fields: str) -> ContainerInfo:
        """Change a record and return it as stored.

        ``fields`` names what is taken from ``info``: ``labels``, ``labels.<key>`` (an empty value removes the
        label), ``extensions``, ``extensions.<key>``, ``spec``, ``image``, ``snapshotkey``. Without any, all of
        these are replaced. Nothing tells whether somebody else changed the record meanwhile.

        :raises InvalidArgumentError: for a field that cannot be changed, or a spec that would be removed
        :raises NotFoundError: if there is none of that id
        """
        if not fields or "spec" in fields:
            _check_spec(info)
        request = api.UpdateContainerRequest(container=_to_container(info))
        if fields:
            request.update_mask = FieldMask(paths=[*fields])
        answer = await self._caller.unary(
            _SERVICE + "Update", request, api.UpdateContainerResponse, quick=True, about=_about(info.id)
        )
        return _container_from(answer.container)

    async def delete(self, id: str) -> None:
        """Delete a record. containerd does not look whether a task runs: delete that one first.

        :raises NotFoundError: if there is none of that id
        """
        await self._caller.unary(
            _SERVICE + "Delete", api.DeleteContainerRequest(id=id), Empty, about=_about(id)
        )


def _about(id: str) -> str:
    return f"container '{id}'"


def _check_spec(info: ContainerInfo) -> None:
    if info.spec is None or not info.spec.value:
        raise InvalidArgumentError(
            f"container '{info.id}' needs a spec: containerd may crash when a task is made without one"
        )


def _container_from(message: api.Container) -> ContainerInfo:
    extensions = {name: any_from(value) for name, value in message.extensions.items()}
    return ContainerInfo(
        id=message.id,
        runtime=Runtime(message.runtime.name, any_from(message.runtime.options)),
        spec=any_from(message.spec),
        image=message.image or None,
        labels=dict(message.labels),
        snapshotter=message.snapshotter or None,
        snapshot_key=message.snapshot_key or None,
        extensions={name: value for name, value in extensions.items() if value is not None},
        sandbox=message.sandbox or None,
        created_at_ns=timestamp_ns(message.created_at),
        updated_at_ns=timestamp_ns(message.updated_at),
    )


def _to_container(info: ContainerInfo) -> api.Container:
    return api.Container(
        id=info.id,
        labels=dict(info.labels),
        image=info.image or "",
        runtime=api.ContainerRuntime(name=info.runtime.name, options=to_any(info.runtime.options)),
        spec=to_any(info.spec),
        snapshotter=info.snapshotter or "",
        snapshot_key=info.snapshot_key or "",
        extensions={name: to_any(value) for name, value in info.extensions.items()},
        sandbox=info.sandbox or "",
    )
