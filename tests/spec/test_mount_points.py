"""The filesystem that a container sees."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build
from containerd_aio.spec.default import default_mounts
from containerd_aio.spec.mount_points import (
    Propagation,
    bind,
    cgroupfs,
    dev_shm_size,
    host_hosts,
    host_localtime,
    host_resolv_conf,
    mounts,
    readonly_rootfs,
    rootfs_path,
    rootfs_propagation,
    tmpfs,
    without_mounts,
    without_run_mount,
    writable_cgroupfs,
    writable_sysfs,
)
from containerd_aio.types import Mount


def test_mounts_come_after_those_that_are_there(context: SpecContext) -> None:
    entries = [Mount("tmpfs", "tmpfs", "/a", ("size=1k",)), Mount("bind", "/b", "/b")]
    assert build(context, [mounts(*entries)])["mounts"] == [
        *default_mounts(),
        {"destination": "/a", "type": "tmpfs", "source": "tmpfs", "options": ["size=1k"]},
        {"destination": "/b", "type": "bind", "source": "/b", "options": []},
    ]


def test_a_destination_may_be_mounted_on_twice(context: SpecContext) -> None:
    built = build(context, [tmpfs("/run"), tmpfs("/run")])
    assert [each["destination"] for each in built["mounts"]].count("/run") == 3


@pytest.mark.parametrize(
    "entry",
    [
        Mount("tmpfs", "tmpfs"),
        Mount("tmpfs", "tmpfs", "relative"),
        Mount("", "tmpfs", "/a"),
        Mount("tmpfs", "a\0b", "/a"),
        Mount("tmpfs", "tmpfs", "/a", ("\0",)),
        Mount("tmpfs", "tmpfs", "/a", "ro"),  # type: ignore[arg-type]
        {"destination": "/a"},
        "/a",
    ],
)
def test_what_is_no_mount_is_refused(entry: Mount) -> None:
    with pytest.raises(InvalidArgumentError, match="mounts: "):
        mounts(entry)


@pytest.mark.parametrize(("readonly", "flag"), [(False, "rw"), (True, "ro")])
def test_a_directory_of_the_host_is_bound(context: SpecContext, readonly: bool, flag: str) -> None:
    built = build(context, [bind(PurePosixPath("/srv"), "/data", readonly=readonly)])
    expected = {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", flag]}
    assert built["mounts"][-1] == expected


@pytest.mark.parametrize(
    ("source", "destination"), [("srv", "/data"), ("/srv", "data"), ("", ""), ("/a\0", "/")]
)
def test_a_bind_without_two_absolute_paths_is_refused(source: str, destination: str) -> None:
    with pytest.raises(InvalidArgumentError, match="bind: "):
        bind(source, destination)


def test_memory_is_mounted(context: SpecContext) -> None:
    assert build(context, [tmpfs("/tmp", size=4096, mode=0o700)])["mounts"][-1] == {
        "destination": "/tmp",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "noexec", "nodev", "mode=700", "size=4096"],
    }
    assert build(context, [tmpfs("/tmp")])["mounts"][-1]["options"][-1] == "mode=1777"


def test_an_impossible_tmpfs_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="tmpfs: 'tmp' is not an absolute path"):
        tmpfs("tmp")
    with pytest.raises(InvalidArgumentError, match="tmpfs: 0 is not between"):
        tmpfs("/tmp", size=0)
    with pytest.raises(InvalidArgumentError, match="tmpfs: 4096 is not between"):
        tmpfs("/tmp", mode=0o10000)


@pytest.mark.parametrize("destination", ["/run", "/run/", "/./run", "//run", "/dev/../run"])
def test_mounts_are_taken_out(context: SpecContext, destination: str) -> None:
    built = build(context, [tmpfs("/run/"), without_mounts(destination, "/nowhere")])
    assert built["mounts"] == default_mounts()[:-1]


def test_taking_out_a_relative_path_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="without_mounts: 'run' is not an absolute path"):
        without_mounts("run")


def test_files_of_the_host_are_shown_read_only(context: SpecContext) -> None:
    built = build(context, [host_resolv_conf(), host_hosts(), host_localtime()])
    for entry, path in zip(
        built["mounts"][-3:], ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"], strict=True
    ):
        assert entry == {"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}


def test_sysfs_can_be_made_writable_and_nothing_else_is(context: SpecContext) -> None:
    built = build(context, [bind("/a", "/a", readonly=True), writable_sysfs()])
    changed = [each for each in built["mounts"] if each not in default_mounts()]
    assert changed == [
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "rw"],
        },
        {"destination": "/a", "type": "bind", "source": "/a", "options": ["rbind", "ro"]},
    ]


def test_run_can_be_the_images_own(context: SpecContext) -> None:
    assert build(context, [without_run_mount()])["mounts"] == default_mounts()[:-1]


def test_cgroups_are_shown_read_only_until_they_are_made_writable(context: SpecContext) -> None:
    flags = ["nosuid", "noexec", "nodev", "relatime"]
    shown = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
    assert build(context, [cgroupfs()])["mounts"][-1] == {**shown, "options": [*flags, "ro"]}
    built = build(context, [cgroupfs(), writable_cgroupfs()])["mounts"]
    assert built == [*default_mounts(), {**shown, "options": [*flags, "rw"]}]
    assert build(context, [cgroupfs("/groups")])["mounts"][-1]["destination"] == "/groups"


def test_shared_memory_has_a_size(context: SpecContext) -> None:
    built = build(context, [dev_shm_size(2**20), dev_shm_size(2**21)])
    [entry] = [each for each in built["mounts"] if each["destination"] == "/dev/shm"]
    assert entry["options"] == ["nosuid", "noexec", "nodev", "mode=1777", f"size={2**21}"]


def test_shared_memory_is_mounted_where_it_is_not(context: SpecContext) -> None:
    [entry] = [each for each in default_mounts() if each["destination"] == "/dev/shm"]
    options = [*(each for each in entry["options"] if not each.startswith("size=")), "size=5"]
    for _ in range(2):
        built = build(context, [without_mounts("/dev/shm"), dev_shm_size(5)])
        assert built["mounts"][-1] == {**entry, "options": options}


def test_the_hosts_shared_memory_has_no_size(context: SpecContext) -> None:
    options = [without_mounts("/dev/shm"), bind("/dev/shm", "/dev/shm"), dev_shm_size(5)]
    with pytest.raises(
        InvalidArgumentError, match="dev_shm_size: 5 is no size of what is mounted at /dev/shm"
    ):
        build(context, options)
    with pytest.raises(InvalidArgumentError, match="dev_shm_size: 0 is not between"):
        dev_shm_size(0)


def test_the_root_can_be_a_directory_of_the_host(context: SpecContext) -> None:
    built = build(context, [readonly_rootfs(), rootfs_path(PurePosixPath("/srv/root"))])
    assert built["root"] == {"path": "/srv/root", "readonly": True}
    with pytest.raises(InvalidArgumentError, match="rootfs_path: 'root' is not an absolute path"):
        rootfs_path("root")


@pytest.mark.parametrize(
    ("before", "propagation", "after"),
    [
        (None, "rshared", "shared"),
        (None, "rslave", None),
        (None, "rprivate", None),
        ("rprivate", "slave", "rslave"),
        ("rprivate", "shared", "shared"),
        ("rshared", "shared", "rshared"),
        ("rshared", "rslave", "rshared"),
        ("rslave", "rprivate", "rslave"),
    ],
)
def test_a_bind_widens_the_propagation_of_the_root_to_what_it_needs(
    context: SpecContext, before: Propagation | None, propagation: Propagation, after: str | None
) -> None:
    options = [rootfs_propagation(before)] if before else []
    built = build(context, [*options, bind("/a", "/b", propagation=propagation)])
    assert built["mounts"][-1]["options"] == ["rbind", "rw", propagation]
    assert built["linux"].get("rootfsPropagation") == after


def test_an_unknown_propagation_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="bind: 'public' is not one of private, rprivate"):
        bind("/a", "/b", propagation="public")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="rootfs_propagation: '' is not one of"):
        rootfs_propagation("")  # type: ignore[arg-type]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_root_can_be_read_only(context: SpecContext, enabled: bool) -> None:
    assert build(context, [readonly_rootfs(enabled)])["root"] == {"path": "rootfs", "readonly": enabled}
