"""What a container has of its own, and how it is called."""

from __future__ import annotations

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build
from containerd_aio.spec.namespaces import (
    domainname,
    host_namespace,
    hostname,
    linux_namespace,
)
from containerd_aio.spec.schema import LinuxNamespace, Spec


def _namespaces(spec: Spec) -> list[LinuxNamespace]:
    return spec["linux"]["namespaces"]


def test_a_namespace_of_the_host_is_not_listed(context: SpecContext) -> None:
    built = build(context, [host_namespace("network"), host_namespace("user")])
    assert _namespaces(built) == [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]


def test_a_namespace_can_be_added_and_joined(context: SpecContext) -> None:
    built = build(context, [linux_namespace("cgroup"), linux_namespace("ipc", path="/proc/42/ns/ipc")])
    assert _namespaces(built)[-2:] == [{"type": "cgroup"}, {"type": "ipc", "path": "/proc/42/ns/ipc"}]
    assert len(_namespaces(built)) == 6


@pytest.mark.parametrize("kind", ["", "net", "NETWORK", "cgroup2", 1])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"host_namespace: .* is not"):
        host_namespace(kind)
    with pytest.raises(InvalidArgumentError, match=r"linux_namespace: .* is not"):
        linux_namespace(kind)


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="linux_namespace: '' is not an absolute path"):
        linux_namespace("ipc", path="")


@pytest.mark.parametrize("name", ["web", "web-1.example.org", "my_web", "1", "a" * 64])
def test_a_container_is_called(context: SpecContext, name: str) -> None:
    built = build(context, [hostname(name), domainname(name)])
    assert (built["hostname"], built["domainname"]) == (name, name)


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "-web", "web-", ".", "web.", "a b", "a/b", "wéb", "web\n", "a\0", 7]
)
def test_what_cannot_be_a_host_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="hostname: "):
        hostname(name)
    with pytest.raises(InvalidArgumentError, match="domainname: "):
        domainname(name)
