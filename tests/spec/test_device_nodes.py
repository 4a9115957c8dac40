"""Which devices a container has, and which it may open."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec, SpecContext, build
from containerd_aio.spec.device_nodes import (
    all_devices_allowed,
    default_device_rules,
    device,
    device_node,
    devices,
    host_devices,
    parent_cgroup_devices,
)
from containerd_aio.spec.schema import LinuxDeviceCgroup

DENY_ALL = {"allow": False, "access": "rwm"}


def _rules(spec: Spec) -> list[LinuxDeviceCgroup]:
    return spec["linux"]["resources"]["devices"]


def _allowed(major: int, minor: int, access: str = "rwm", kind: str = "c") -> LinuxDeviceCgroup:
    return {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


def test_a_device_of_the_host_comes_with_its_rule(context: SpecContext) -> None:
    found = os.stat("/dev/null")
    built = build(context, [device("/dev/null", "rw")])
    assert built["linux"]["devices"] == [
        {
            "path": "/dev/null",
            "type": "c",
            "major": 1,
            "minor": 3,
            "fileMode": stat.S_IMODE(found.st_mode),
            "uid": found.st_uid,
            "gid": found.st_gid,
        }
    ]
    assert _rules(built) == [DENY_ALL, _allowed(1, 3, "rw")]


def test_a_device_given_again_is_there_once_with_its_last_rule_last(context: SpecContext) -> None:
    built = build(context, [device("/dev/null"), device("/dev/zero"), device("/dev/null")])
    assert [each["path"] for each in built["linux"]["devices"]] == ["/dev/zero", "/dev/null"]
    assert _rules(built) == [DENY_ALL, _allowed(1, 5), _allowed(1, 3)]


def test_a_rule_keeps_its_say_over_what_came_between(context: SpecContext) -> None:
    forbidden = {"allow": False, "type": "c", "major": 1, "access": "rwm"}

    def forbidding(spec: Spec, context: SpecContext) -> Spec:
        _rules(spec).append(forbidden)  # type: ignore[arg-type]
        return spec

    built = build(context, [device("/dev/null"), forbidding, device("/dev/null")])
    assert _rules(built) == [DENY_ALL, forbidden, _allowed(1, 3)]


def test_a_link_to_a_device_can_be_followed(context: SpecContext, tmp_path: Path) -> None:
    (tmp_path / "nothing").symlink_to("/dev/null")
    with pytest.raises(InvalidArgumentError, match="device: .* is a link to '/dev/null'"):
        device(tmp_path / "nothing")
    [node] = build(context, [device(tmp_path / "nothing", follow_links=True)])["linux"]["devices"]
    assert (node["path"], node["major"], node["minor"]) == (str(tmp_path / "nothing"), 1, 3)


def test_a_device_can_have_another_path_in_the_container(context: SpecContext) -> None:
    [node] = build(context, [devices("/dev/null", "/dev/hole")])["linux"]["devices"]
    assert (node["path"], node["minor"]) == ("/dev/hole", 3)


def test_the_hosts_devices_have_no_rules(context: SpecContext) -> None:
    built = build(context, [host_devices()])
    paths = [each["path"] for each in built["linux"]["devices"]]
    assert "/dev/null" in paths
    assert "/dev/console" not in paths
    assert not [path for path in paths if path.startswith(("/dev/pts", "/dev/shm"))]
    assert len(paths) == len(set(paths))
    assert _rules(built) == [DENY_ALL]


def test_a_directory_is_taken_with_all_devices_below_it(context: SpecContext) -> None:
    """What stands in /dev is fine for that; links and directories of its own are in it, too."""
    built = build(context, [devices("/dev", "/other", "r")])
    nodes = {each["path"]: each for each in built["linux"]["devices"]}
    assert (nodes["/other/null"]["major"], nodes["/other/null"]["minor"]) == (1, 3)
    assert "/other/stdin" not in nodes
    assert "/other/console" not in nodes
    assert not [path for path in nodes if path.startswith(("/other/pts", "/other/shm"))]
    assert _allowed(1, 3, "r") in _rules(built)


def test_a_directory_without_devices_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="devices: .* has no devices in it"):
        devices(tmp_path)
    with pytest.raises(InvalidArgumentError, match="devices: .* No such file"):
        devices(tmp_path / "none")
    with pytest.raises(InvalidArgumentError, match="devices: 'dev' is not an absolute path"):
        devices("/dev", "dev")


def test_a_device_can_be_given_by_its_numbers(context: SpecContext) -> None:
    built = build(context, [device_node("/dev/fuse", "c", 10, 229, "rw", mode=0o600, uid=7, gid=8)])
    assert built["linux"]["devices"] == [
        {
            "path": "/dev/fuse",
            "type": "c",
            "major": 10,
            "minor": 229,
            "fileMode": 0o600,
            "uid": 7,
            "gid": 8,
        }
    ]
    assert _rules(built) == [DENY_ALL, _allowed(10, 229, "rw")]


def test_a_device_can_be_without_a_rule(context: SpecContext) -> None:
    built = build(context, [device_node("/dev/sda", "b", 8, 0, "")])
    assert [each["path"] for each in built["linux"]["devices"]] == ["/dev/sda"]
    assert _rules(built) == [DENY_ALL]


@pytest.mark.parametrize(
    ("path", "kind", "major", "minor"),
    [
        ("fuse", "c", 10, 229),
        ("/f", "p", 1, 1),
        ("/f", "c", -1, 1),
        ("/f", "c", 4096, 1),
        ("/f", "c", 1, 2**20),
    ],
)
def test_what_is_no_device_is_refused(path: str, kind: str, major: int, minor: int) -> None:
    with pytest.raises(InvalidArgumentError, match="device_node: "):
        device_node(path, kind, major, minor)  # type: ignore[arg-type]


@pytest.mark.parametrize("permissions", ["", "x", "rr", "r w", "RW", None])
def test_permissions_that_are_none_are_refused(permissions: str) -> None:
    with pytest.raises(InvalidArgumentError, match="device: "):
        device("/dev/null", permissions)
    with pytest.raises(InvalidArgumentError, match="devices: "):
        devices("/dev/null", "/dev/null", permissions)
    if permissions:
        with pytest.raises(InvalidArgumentError, match="device_node: "):
            device_node("/dev/x", "c", 1, 1, permissions)


def test_the_default_rules_are_those_of_every_container(context: SpecContext) -> None:
    rules = _rules(build(context, [default_device_rules(), default_device_rules()]))
    assert rules[0] == DENY_ALL
    assert {(rule["major"], rule.get("minor")) for rule in rules[1:]} == {
        *((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None)),
    }
    assert len(rules) == 10


def test_everything_can_be_allowed_and_left_to_the_cgroup_above(context: SpecContext) -> None:
    assert _rules(build(context, [device("/dev/null"), all_devices_allowed()])) == [
        {"allow": True, "access": "rwm"}
    ]
    assert "devices" not in build(context, [parent_cgroup_devices()])["linux"]["resources"]
