"""Options are pure, and run from left to right."""

from __future__ import annotations

import copy
import inspect
import json
import re
import tempfile
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio import spec
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec, SpecContext, SpecOption
from containerd_aio.types import Mount
from tests.spec.stand_ins import GROUP, PASSWD, Files, image

MKDIR_REFUSED = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}


def _of_file(option: Callable[[str], SpecOption], content: str) -> SpecOption:
    """What ``option`` makes of a file that is gone when it is applied."""
    with tempfile.NamedTemporaryFile("w", prefix="aio-option-") as file:
        file.write(content)
        file.flush()
        return option(file.name)


OPTIONS: dict[str, SpecOption] = {
    "add_capabilities": spec.add_capabilities("SYS_PTRACE"),
    "additional_gids": spec.additional_gids("web"),
    "all_devices_allowed": spec.all_devices_allowed(),
    "ambient_capabilities": spec.ambient_capabilities("SYS_PTRACE"),
    "annotations": spec.annotations({"a": "b"}),
    "apparmor_profile": spec.apparmor_profile("mine"),
    "append_groups": spec.append_groups("wheel", 7),
    "args": spec.args("sleep", "60"),
    "bind": spec.bind("/srv", "/data"),
    "block_io": spec.block_io(weight=10, read_bps={"8:0": 1}),
    "capabilities": spec.capabilities("KILL"),
    "cgroup_path": spec.cgroup_path("/example/other"),
    "cgroupfs": spec.cgroupfs(),
    "compose": spec.compose(spec.hostname("web"), spec.terminal()),
    "console_size": spec.console_size(80, 24),
    "cpu_burst": spec.cpu_burst(1000),
    "cpu_quota": spec.cpu_quota(50_000),
    "cpu_realtime": spec.cpu_realtime(1000),
    "cpu_shares": spec.cpu_shares(512),
    "cpus": spec.cpus(1.5),
    "cpuset_cpus": spec.cpuset_cpus("0-1"),
    "cpuset_mems": spec.cpuset_mems("0"),
    "current_capabilities": spec.current_capabilities(),
    "cwd": spec.cwd("/srv"),
    "default_device_rules": spec.default_device_rules(),
    "default_path": spec.default_path(),
    "dev_shm_size": spec.dev_shm_size(4096),
    "device": spec.device("/dev/null"),
    "device_node": spec.device_node("/dev/fuse", "c", 10, 229),
    "devices": spec.devices("/dev/null", "/dev/hole", "r"),
    "domainname": spec.domainname("example"),
    "drop_capabilities": spec.drop_capabilities("MKNOD"),
    "env": spec.env({"A": "1", "B": None}),
    "env_file": _of_file(spec.env_file, "A=1\n"),
    "from_bytes": spec.from_bytes('{"hostname": "web", "linux": {"seccomp": {}}}'),
    "from_default": spec.from_default(),
    "from_file": _of_file(spec.from_file, '{"mounts": [{"destination": "/a"}]}'),
    "hook": spec.hook("poststop", "/bin/tidy", "--all", env=["A=1"]),
    "host_devices": spec.host_devices(),
    "host_hosts": spec.host_hosts(),
    "host_localtime": spec.host_localtime(),
    "host_namespace": spec.host_namespace("network"),
    "host_network": spec.host_network(),
    "host_resolv_conf": spec.host_resolv_conf(),
    "hostname": spec.hostname("web"),
    "hugepage_limit": spec.hugepage_limit(2**21, 0),
    "image_config": spec.image_config(["--serve"]),
    "linux_namespace": spec.linux_namespace("ipc", path="/proc/1/ns/ipc"),
    "masked_paths": spec.masked_paths("/proc/kcore"),
    "memory_limit": spec.memory_limit(2**26),
    "memory_reservation": spec.memory_reservation(2**20),
    "memory_swap": spec.memory_swap(-1),
    "mounts": spec.mounts(Mount("tmpfs", "tmpfs", "/tmp", ("size=64k",))),
    "namespaced_cgroup": spec.namespaced_cgroup(),
    "network_namespace": spec.network_namespace("/run/netns/web"),
    "no_new_privileges": spec.no_new_privileges(False),
    "oom_score_adj": spec.oom_score_adj(500),
    "parent_cgroup_devices": spec.parent_cgroup_devices(),
    "pids_limit": spec.pids_limit(10),
    "privileged": spec.privileged(devices=True),
    "rdt": spec.rdt("gold"),
    "readonly_paths": spec.readonly_paths("/proc/sys"),
    "readonly_rootfs": spec.readonly_rootfs(),
    "rlimit": spec.rlimit("nofile", 4096),
    "rootfs_path": spec.rootfs_path("/srv/root"),
    "rootfs_propagation": spec.rootfs_propagation("rshared"),
    "seccomp": spec.seccomp({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [MKDIR_REFUSED]}),
    "seccomp_default": spec.seccomp_default(),
    "seccomp_file": _of_file(spec.seccomp_file, '{"defaultAction": "SCMP_ACT_LOG"}'),
    "seccomp_unconfined": spec.seccomp_unconfined(),
    "selinux_label": spec.selinux_label("u:r:t:s0", mount_label="u:r:f:s0"),
    "shim_group": spec.shim_group("pod"),
    "sysctls": spec.sysctls({"net.ipv4.ip_forward": 1}),
    "terminal": spec.terminal(),
    "time_offsets": spec.time_offsets(boottime=5),
    "tmpfs": spec.tmpfs("/tmp", size=4096),
    "umask": spec.umask(0o27),
    "unified": spec.unified({"memory.high": "max"}),
    "user": spec.user("web:wheel"),
    "user_namespace": spec.user_namespace([(0, 100_000, 65_536)]),
    "without_mounts": spec.without_mounts("/run"),
    "without_run_mount": spec.without_run_mount(),
    "writable_cgroupfs": spec.writable_cgroupfs(),
    "writable_sysfs": spec.writable_sysfs(),
}
# They take nothing of the spec that they are given.
WHOLE = {"from_bytes", "from_default", "from_file"}
# Each time they are applied there is one thing more.
APPENDING = {
    *("bind", "mounts", "tmpfs", "cgroupfs", "hook"),
    *("host_hosts", "host_localtime", "host_network", "host_resolv_conf"),
}
# So that there is something to take away.
CONFINED = [
    spec.hostname("before"),
    spec.cgroup_path("/other"),
    spec.cgroupfs(),
    spec.seccomp({"defaultAction": "SCMP_ACT_ALLOW"}),
    spec.apparmor_profile("before"),
    spec.selinux_label("before", mount_label="before"),
]
NOT_OPTIONS = {
    *("SpecContext", "SpecOption", "Spec", "Rootfs", "UnreadableRootfs", "LinuxResources"),
    *("RootfsNeeded", "RootfsUnreadableError"),
    *("beyond_default", "build", "default_spec", "open_rootfs", "process_for_exec", "resources"),
}


def _context() -> SpecContext:
    files = Files({"/etc/passwd": PASSWD, "/etc/group": GROUP})
    return SpecContext("web", "example", image(entrypoint=("/bin/web",), user="web"), files)


def test_every_option_is_in_these_tests() -> None:
    assert OPTIONS.keys() == set(spec.__all__) - NOT_OPTIONS


def test_every_option_is_in_the_overview() -> None:
    overview = re.findall(r"`([a-z_]+)`", spec.__doc__ or "")
    assert set(overview) == OPTIONS.keys() | {"resources"}
    assert len(overview) == len(set(overview))


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_something(name: str) -> None:
    """Else the tests of purity would say nothing about it."""
    before = spec.build(_context(), CONFINED)
    assert OPTIONS[name](before, _context()) != before


@given(names=st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6), last=st.sampled_from(sorted(OPTIONS)))
def test_an_option_leaves_the_spec_it_is_given_as_it_was(names: list[str], last: str) -> None:
    before = spec.build(_context(), [OPTIONS[name] for name in names])
    kept = copy.deepcopy(before)
    OPTIONS[last](before, _context())
    assert before == kept


def _changed(before: Spec, after: Spec) -> set[tuple[str, str]]:
    """The sections that differ, and which key of each; no key for what is no object."""
    found: set[tuple[str, str]] = set()
    one, other = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
    for section in one.keys() | other.keys():
        left, right = one.get(section, {}), other.get(section, {})
        if isinstance(left, dict) and isinstance(right, dict):
            keys = left.keys() | right.keys()
            found |= {(section, key) for key in keys if left.get(key) != right.get(key)}
        elif left != right:
            found.add((section, ""))
    return found


def _touched(name: str) -> set[tuple[str, str]]:
    """What the option changes of specs that are known."""
    known: list[Spec] = [spec.build(_context(), CONFINED), spec.default_spec("web", "example"), {}]
    return set().union(*(_changed(before, OPTIONS[name](before, _context())) for before in known))


@given(
    names=st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6),
    last=st.sampled_from(sorted(OPTIONS.keys() - WHOLE)),
)
def test_an_option_keeps_the_parts_that_are_not_its_own(names: list[str], last: str) -> None:
    before = spec.build(_context(), [*(OPTIONS[name] for name in names)])
    assert _changed(before, OPTIONS[last](before, _context())) <= _touched(last)


@given(
    names=st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6),
    last=st.sampled_from(sorted(OPTIONS.keys() - APPENDING)),
)
def test_an_option_applied_twice_is_as_one_applied_once(names: list[str], last: str) -> None:
    once = spec.build(_context(), [*(OPTIONS[name] for name in names), OPTIONS[last]])
    assert OPTIONS[last](once, _context()) == once


@given(names=st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6))
def test_options_can_be_used_again_and_give_the_same_json(names: list[str]) -> None:
    options = [OPTIONS[name] for name in names]
    first = spec.build(_context(), options)
    assert spec.build(_context(), options) == first
    assert json.loads(json.dumps(first)) == first


@pytest.mark.parametrize("name", OPTIONS)
def test_changing_what_an_option_returned_does_not_change_the_option(name: str) -> None:
    before = spec.default_spec("web", "example")
    first = OPTIONS[name](before, _context())
    expected = copy.deepcopy(first)
    _wreck(first)
    assert OPTIONS[name](spec.default_spec("web", "example"), _context()) == expected


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_fits_on_a_spec_of_nothing(name: str) -> None:
    """A spec may come from another client; sections may be absent, or null in its JSON."""
    nothing: Spec = json.loads(
        '{"process": null, "root": null, "linux": null, "mounts": null, "annotations": null, "hooks": null}'
    )
    after = OPTIONS[name](nothing, _context())
    assert {key: value for key, value in after.items() if value is not None} == OPTIONS[name]({}, _context())


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - WHOLE))
def test_an_option_keeps_what_it_does_not_know(name: str) -> None:
    strange: Spec = json.loads('{"vm": {"a": 1}, "process": {"b": 2}, "linux": {"c": 3}, "root": {"d": 4}}')
    after = json.loads(json.dumps(OPTIONS[name](strange, _context())))
    assert after["vm"] == {"a": 1}
    assert (after["process"]["b"], after["linux"]["c"], after["root"]["d"]) == (2, 3, 4)


def test_options_run_from_left_to_right(context: SpecContext) -> None:
    built = spec.build(context, [spec.hostname("first"), spec.hostname("second")])
    assert built["hostname"] == "second"


@pytest.mark.parametrize("other", [None, [spec.terminal()], "terminal"])
def test_only_options_are_composed(other: object) -> None:
    with pytest.raises(InvalidArgumentError, match="is not an option"):
        spec.compose(spec.terminal(), other)  # type: ignore[arg-type]


def test_composed_options_are_one_option(context: SpecContext) -> None:
    both = spec.compose(spec.hostname("first"), spec.compose(spec.cwd("/a"), spec.hostname("second")))
    built = spec.build(context, [both])
    assert (built["hostname"], built["process"]["cwd"]) == ("second", "/a")


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_what_makes_an_option_is_not_taken_for_one(name: str) -> None:
    """All of ours, whatever they take; `compose` is called for any ``options=``."""
    with pytest.raises(
        InvalidArgumentError, match=rf"^{name} is not an option but .* call it, {name}\(\.\.\.\)$"
    ):
        spec.compose(getattr(spec, name))
    assert callable(spec.compose(OPTIONS[name]))


def test_what_makes_an_option_of_the_users_own_is_told_to_be_called(context: SpecContext) -> None:
    def sized(width: int, height: int) -> SpecOption:
        return spec.console_size(width, height)

    def named(name: str) -> SpecOption:
        return spec.hostname(name)

    with pytest.raises(InvalidArgumentError, match=r"^named is not an option but what makes one"):
        spec.build(context, [named])  # type: ignore[list-item]
    wrong: Any = lambda first, second: named  # noqa: E731
    with pytest.raises(InvalidArgumentError, match=r"returned another function, not the new spec: call it"):
        spec.build(context, [wrong])
    wrong = lambda first, second: "web"  # noqa: E731
    with pytest.raises(InvalidArgumentError, match="returned 'web', not the new spec"):
        spec.build(context, [wrong])
    with pytest.raises(InvalidArgumentError, match="console_size"):
        spec.build(context, [sized])  # type: ignore[list-item]


def flags() -> list[tuple[str, str]]:
    """Each option with each of its parameters that is true or false."""
    found = []
    for name in OPTIONS:
        for parameter in inspect.signature(getattr(spec, name)).parameters.values():
            if parameter.annotation == "bool":
                found.append((name, parameter.name))
    return found


@pytest.mark.parametrize(("name", "flag"), flags())
@pytest.mark.parametrize("value", ["false", 0, None])
def test_a_flag_is_true_or_false_and_nothing_that_counts_as_such(name: str, flag: str, value: object) -> None:
    paths = {"bind": ("/srv", "/data"), "device": ("/dev/null",)}
    with pytest.raises(InvalidArgumentError, match=f"^{name}: .* is neither True nor False"):
        getattr(spec, name)(*paths.get(name, ()), **{flag: value})


def test_flags_are_found() -> None:
    assert {"bind", "device", "no_new_privileges", "privileged", "readonly_rootfs"} <= {
        name for name, _ in flags()
    }


def test_an_option_that_forgets_its_return_is_told_so(context: SpecContext) -> None:
    def forgetful(spec: Spec, context: SpecContext) -> Spec:
        spec["hostname"] = "web"
        return None  # type: ignore[return-value]

    with pytest.raises(InvalidArgumentError, match=r"forgetful.* returned None"):
        spec.build(context, [forgetful])


def test_an_option_that_needs_files_asks_for_them() -> None:
    """Whoever builds the spec catches this, prepares the snapshot and builds again."""
    with pytest.raises(spec.RootfsNeeded, match=r"/etc/passwd .* give uid:gid"):
        spec.build(SpecContext("web", "example"), [spec.user("web")])


def _wreck(value: object) -> None:
    """Empty every list and dict in ``value``, the innermost first."""
    clear: Callable[[], None]
    if isinstance(value, dict):
        for each in value.values():
            _wreck(each)
        clear = value.clear
    elif isinstance(value, list):
        for each in value:
            _wreck(each)
        clear = value.clear
    else:
        return
    clear()
