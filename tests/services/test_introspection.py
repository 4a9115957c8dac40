"""The Introspection service: what is asked of containerd, and what becomes of its answers."""

from __future__ import annotations

import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd import types as shared
from containerd_aio._api.containerd.services.introspection import v1 as api
from containerd_aio._api.google.protobuf import Any, Empty, Timestamp
from containerd_aio._api.google.rpc import Status as RpcStatus
from containerd_aio.errors import InvalidArgumentError, NotImplementedByServerError
from containerd_aio.services.introspection import Introspection
from containerd_aio.types import AnyValue, Deprecation, Platform, PluginInfo, ServerInfo
from tests.services.scripted import Scripted
from tests.services.serving import serving


async def test_plugins_are_returned_with_why_they_do_not_work() -> None:
    answer = api.PluginsResponse(
        plugins=[
            api.Plugin(
                type="io.containerd.snapshotter.v1",
                id="overlayfs",
                requires=["io.containerd.content.v1"],
                platforms=[shared.Platform(os="linux", architecture="amd64")],
                exports={"root": "/var/lib"},
                capabilities=["rebase"],
            ),
            api.Plugin(type="t", id="btrfs", init_err=RpcStatus(code=2, message="no btrfs: skip plugin")),
            api.Plugin(type="t", id="mute", init_err=RpcStatus(code=2)),
        ]
    )
    service = Scripted(api.IntrospectionBase, {"Plugins": answer})
    async with serving(service, rpc_timeout=60) as served:
        assert await Introspection(served.caller).plugins("type==t", "id==overlayfs") == [
            PluginInfo(
                "io.containerd.snapshotter.v1",
                "overlayfs",
                ("io.containerd.content.v1",),
                (Platform("linux", "amd64"),),
                ("rebase",),
                {"root": "/var/lib"},
            ),
            PluginInfo("t", "btrfs", init_error="no btrfs: skip plugin"),
            PluginInfo("t", "mute", init_error="status 2"),
        ]
        assert served.deadlines("Plugins") == [True]
    assert service.requests == [("Plugins", api.PluginsRequest(filters=["type==t", "id==overlayfs"]))]


async def test_a_bad_filter_is_refused_before_any_call() -> None:
    service = Scripted(api.IntrospectionBase, {})
    async with serving(service) as served:
        with pytest.raises(InvalidArgumentError, match="not a filter"):
            await Introspection(served.caller).plugins("type=t")
    assert service.requests == []


@pytest.mark.parametrize(
    ("answer", "info"),
    [
        pytest.param(api.ServerResponse(uuid="u"), ServerInfo("u"), id="containerd 1.6"),
        pytest.param(
            api.ServerResponse(
                uuid="u",
                pid=7,
                pidns=4026531836,
                deprecations=[
                    api.DeprecationWarning(id="d", message="m", last_occurrence=Timestamp(seconds=1)),
                    api.DeprecationWarning(id="e", message="n"),
                ],
            ),
            ServerInfo("u", 7, 4026531836, (Deprecation("d", "m", 10**9), Deprecation("e", "n"))),
            id="containerd 2",
        ),
    ],
)
async def test_the_server_tells_who_it_is(answer: api.ServerResponse, info: ServerInfo) -> None:
    service = Scripted(api.IntrospectionBase, {"Server": answer})
    async with serving(service) as served:
        assert await Introspection(served.caller).server() == info
    assert service.requests == [("Server", Empty())]


async def test_a_plugin_tells_about_itself() -> None:
    answer = api.PluginInfoResponse(
        plugin=api.Plugin(type="io.containerd.runtime.v2", id="task"),
        extra=Any(type_url="containerd.types.RuntimeInfo", value=b"x"),
    )
    service = Scripted(api.IntrospectionBase, {"PluginInfo": answer})
    asked = AnyValue("containerd.types.RuntimeRequest", b"y")
    async with serving(service) as served:
        assert await Introspection(served.caller).plugin_info("io.containerd.runtime.v2", "task", asked) == (
            PluginInfo("io.containerd.runtime.v2", "task"),
            AnyValue("containerd.types.RuntimeInfo", b"x"),
        )
    assert service.requests == [
        (
            "PluginInfo",
            api.PluginInfoRequest(
                type="io.containerd.runtime.v2",
                id="task",
                options=Any(type_url="containerd.types.RuntimeRequest", value=b"y"),
            ),
        )
    ]


async def test_a_plugin_may_have_nothing_to_tell() -> None:
    service = Scripted(
        api.IntrospectionBase, {"PluginInfo": api.PluginInfoResponse(plugin=api.Plugin(type="t", id="i"))}
    )
    async with serving(service) as served:
        assert await Introspection(served.caller).plugin_info("t", "i") == (PluginInfo("t", "i"), None)


async def test_an_old_daemon_does_not_know_the_call() -> None:
    service = Scripted(
        api.IntrospectionBase, {"PluginInfo": GRPCError(Status.UNIMPLEMENTED, "unknown method")}
    )
    async with serving(service) as served:
        with pytest.raises(NotImplementedByServerError, match=r"plugin 't\.i'"):
            await Introspection(served.caller).plugin_info("t", "i")
