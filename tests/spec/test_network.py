"""The network that a container sees."""

from __future__ import annotations

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build, host_namespace
from containerd_aio.spec.network import host_network, network_namespace


def test_the_hosts_network_comes_with_its_names(context: SpecContext) -> None:
    built = build(context, [host_network()])
    assert "network" not in [each["type"] for each in built["linux"]["namespaces"]]
    assert [each["destination"] for each in built["mounts"][-2:]] == ["/etc/resolv.conf", "/etc/hosts"]


def test_a_network_namespace_is_joined_instead_of_made(context: SpecContext) -> None:
    built = build(context, [host_namespace("network"), network_namespace("/run/netns/web")])
    namespaces = built["linux"]["namespaces"]
    assert namespaces[-1] == {"type": "network", "path": "/run/netns/web"}
    assert [each["type"] for each in namespaces].count("network") == 1


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="network_namespace: 'web' is not an absolute path"):
        network_namespace("web")
