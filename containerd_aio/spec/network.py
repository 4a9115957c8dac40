"""The network that a container sees: its own by default, with nothing in it but a loopback that is down."""

from __future__ import annotations

import os

from containerd_aio.spec.mount_points import host_hosts, host_resolv_conf
from containerd_aio.spec.namespaces import host_namespace, joined_namespace
from containerd_aio.spec.option import SpecOption, compose


def host_network() -> SpecOption:
    """Share the host's network: its addresses, its ports, its resolvers and the names that it knows.

    This is `host_namespace` ``("network")`` with `host_resolv_conf` and `host_hosts`, which is what a first
    ``wget`` needs. The container can reach all that listens on the host's loopback. Its host name stays its own.
    """
    return compose(host_namespace("network"), host_resolv_conf(), host_hosts())


def network_namespace(path: str | os.PathLike[str]) -> SpecOption:
    """Join the network namespace at ``path`` (``/run/netns/web``, as ``ip netns add web`` makes it).

    Resolvers and names are the image's own; see `host_resolv_conf`, `host_hosts` and `bind`.

    :raises InvalidArgumentError: if the path is not absolute
    """
    return joined_namespace("network_namespace", "network", path)
