"""containerd's Introspection service: which plugins a daemon has, and which daemon it is."""

from __future__ import annotations

from typing import Final

from containerd_aio._api.containerd.services.introspection import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import any_from, platform_from, timestamp_ns, to_any
from containerd_aio.filters import parse
from containerd_aio.types import AnyValue, Deprecation, PluginInfo, ServerInfo

_SERVICE: Final = "containerd.services.introspection.v1.Introspection/"


class Introspection:
    """What a daemon tells about itself. No namespace is needed."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def plugins(self, *filters: str) -> list[PluginInfo]:
        """Return the plugins that match any of the filters; all without one. Their fields: ``type``, ``id``.

        :raises InvalidArgumentError: if a filter cannot be parsed
        """
        for text in filters:
            parse(text)
        request = api.PluginsRequest(filters=[*filters])
        answer = await self._caller.unary(_SERVICE + "Plugins", request, api.PluginsResponse, quick=True)
        return [_plugin_from(plugin) for plugin in answer.plugins]

    async def server(self) -> ServerInfo:
        """Return the daemon's identity. ``uuid`` stays the same over restarts on the same root."""
        answer = await self._caller.unary(_SERVICE + "Server", Empty(), api.ServerResponse, quick=True)
        return ServerInfo(
            uuid=answer.uuid,
            pid=answer.pid or None,
            pid_namespace=answer.pidns or None,
            deprecations=tuple(
                Deprecation(warning.id, warning.message, timestamp_ns(warning.last_occurrence))
                for warning in answer.deprecations
            ),
        )

    async def plugin_info(
        self, type: str, id: str, options: AnyValue | None = None
    ) -> tuple[PluginInfo, AnyValue | None]:
        """Return a plugin, and what it tells about itself where it does.

        For the runtime (type ``io.containerd.runtime.v2``, id ``task``) give ``containerd.types.RuntimeRequest``
        as options; the answer is a ``containerd.types.RuntimeInfo``.

        :raises NotImplementedByServerError: before containerd 2.0
        :raises NotFoundError: if there is no such plugin
        """
        answer = await self._caller.unary(
            _SERVICE + "PluginInfo",
            api.PluginInfoRequest(type=type, id=id, options=to_any(options)),
            api.PluginInfoResponse,
            quick=True,
            about=f"plugin '{type}.{id}'",
        )
        return _plugin_from(answer.plugin), any_from(answer.extra)


def _plugin_from(message: api.Plugin) -> PluginInfo:
    init_error = None
    if message.is_set("init_err"):
        init_error = message.init_err.message or f"status {message.init_err.code}"
    return PluginInfo(
        type=message.type,
        id=message.id,
        requires=tuple(message.requires),
        platforms=tuple(map(platform_from, message.platforms)),
        capabilities=tuple(message.capabilities),
        exports=dict(message.exports),
        init_error=init_error,
    )
