"""The default spec is containerd's own."""

from __future__ import annotations

import json

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import default_spec


def test_the_process_is_root_with_few_powers() -> None:
    process = default_spec("web", "example")["process"]
    assert process["user"] == {"uid": 0, "gid": 0}
    assert process["cwd"] == "/"
    assert process["noNewPrivileges"] is True
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    assert not {"args", "env", "terminal"} & process.keys()


def test_fourteen_capabilities_stand_in_three_sets_and_none_is_inherited() -> None:
    """Inheritable ones were CVE-2022-24769."""
    sets = default_spec("web", "example")["process"]["capabilities"]
    assert sets.keys() == {"bounding", "effective", "permitted"}
    assert sets["bounding"] == sets["effective"] == sets["permitted"]
    assert len(set(sets["bounding"])) == 14
    assert "CAP_SYS_ADMIN" not in sets["bounding"]


def test_the_mounts_are_containerds_in_its_order() -> None:
    mounts = default_spec("web", "example")["mounts"]
    assert [(each["destination"], each["type"], each["source"]) for each in mounts] == [
        ("/proc", "proc", "proc"),
        ("/dev", "tmpfs", "tmpfs"),
        ("/dev/pts", "devpts", "devpts"),
        ("/dev/shm", "tmpfs", "shm"),
        ("/dev/mqueue", "mqueue", "mqueue"),
        ("/sys", "sysfs", "sysfs"),
        ("/run", "tmpfs", "tmpfs"),
    ]
    assert mounts[2]["options"] == [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
        "gid=5",
    ]
    assert mounts[5]["options"] == ["nosuid", "noexec", "nodev", "ro"]


def test_the_container_has_namespaces_of_its_own_and_a_cgroup_named_after_it() -> None:
    linux = default_spec("web", "example")["linux"]
    assert linux["namespaces"] == [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")]
    assert linux["cgroupsPath"] == "/example/web"
    assert linux["resources"] == {"devices": [{"allow": False, "access": "rwm"}]}


def test_what_leaks_from_proc_and_sys_is_masked() -> None:
    linux = default_spec("web", "example")["linux"]
    assert "/sys/devices/virtual/powercap" in linux["maskedPaths"]
    assert len(linux["maskedPaths"]) == 11
    assert linux["readonlyPaths"] == [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ]


def test_it_is_json_of_a_version_that_old_runtimes_know() -> None:
    spec = default_spec("web", "example")
    assert json.loads(json.dumps(spec)) == spec
    assert spec["ociVersion"].startswith("1.0.")
    assert spec["root"] == {"path": "rootfs"}


def test_two_specs_share_nothing() -> None:
    first, second = default_spec("web", "example"), default_spec("web", "example")
    first["process"]["capabilities"]["bounding"].clear()
    first["mounts"].clear()
    first["linux"]["namespaces"].clear()
    assert second == default_spec("web", "example")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../init.scope", "a\0b"])
def test_a_name_that_would_leave_its_cgroup_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="the container id"):
        default_spec(name, "example")
    with pytest.raises(InvalidArgumentError, match="the namespace"):
        default_spec("web", name)
