"""What a container without walls is made of."""

from __future__ import annotations

from containerd_aio.spec import (
    SpecContext,
    SpecOption,
    apparmor_profile,
    build,
    cgroupfs,
    current_capabilities,
    default_spec,
    hostname,
    seccomp,
    selinux_label,
)
from containerd_aio.spec.privilege import privileged

CONFINED: list[SpecOption] = [
    cgroupfs(),
    seccomp({"defaultAction": "SCMP_ACT_ALLOW"}),
    apparmor_profile("mine"),
    selinux_label("u:r:t:s0", mount_label="u:r:f:s0"),
]


def test_every_wall_is_taken_away(context: SpecContext) -> None:
    built = build(context, [*CONFINED, privileged()])
    linux, process = built["linux"], built["process"]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([], [])
    assert not {"seccomp", "mountLabel"} & linux.keys()
    assert not {"apparmorProfile", "selinuxLabel"} & process.keys()
    assert process["capabilities"] == build(context, [current_capabilities()])["process"]["capabilities"]
    writable = {each["destination"] for each in built["mounts"] if "rw" in each["options"]}
    assert writable == {"/sys", "/sys/fs/cgroup"}


def test_what_is_no_wall_stays(context: SpecContext) -> None:
    built = build(context, [hostname("web"), privileged()])
    default = default_spec("web", "example")
    assert built["hostname"] == "web"
    assert built["process"]["noNewPrivileges"] is True
    assert built["linux"]["namespaces"] == default["linux"]["namespaces"]
    assert built["linux"]["resources"] == default["linux"]["resources"]
    assert "devices" not in built["linux"]


def test_devices_are_opened_where_that_is_asked_for(context: SpecContext) -> None:
    linux = build(context, [privileged(devices=True)])["linux"]
    assert "/dev/null" in [each["path"] for each in linux["devices"]]
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
