"""What a spec from elsewhere asks for beyond the default."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containerd_aio import spec as options
from containerd_aio.spec import Spec, SpecContext, SpecOption, beyond_default, build, default_spec
from containerd_aio.spec.default import DEFAULT_CAPABILITIES
from containerd_aio.types import Mount
from tests.spec.stand_ins import GROUP, PASSWD, Files, image
from tests.spec.test_option import OPTIONS

CONTEXT = SpecContext("web", "example", rootfs=Files({}))

# Options that open something that is closed by default; with which words that is told.
OPENING = {
    "add_capabilities": "capability CAP_SYS_PTRACE",
    "all_devices_allowed": "device rules that do not begin with denying all",
    "ambient_capabilities": "ambient capabilities",
    "bind": "mount of '/srv' at /data",
    "device": "device /dev/null",
    "device_node": "device /dev/fuse",
    "devices": "device /dev/hole",
    "hook": "hooks.poststop",
    "host_devices": "device /dev/null",
    "host_hosts": "mount of '/etc/hosts' at /etc/hosts",
    "host_localtime": "mount of '/etc/localtime' at /etc/localtime",
    "host_namespace": "network namespace of the host",
    "host_network": "network namespace of the host",
    "host_resolv_conf": "mount of '/etc/resolv.conf' at /etc/resolv.conf",
    "linux_namespace": "ipc namespace at '/proc/1/ns/ipc'",
    "masked_paths": "unmasked /proc/keys",
    "network_namespace": "network namespace at '/run/netns/web'",
    "no_new_privileges": "new privileges",
    "parent_cgroup_devices": "device rules that do not begin with denying all",
    "privileged": "unmasked /proc/kcore",
    "rdt": "linux.intelRdt",
    "readonly_paths": "writable /proc/irq",
    "rootfs_path": "root filesystem at '/srv/root'",
    "rootfs_propagation": "rootfsPropagation 'rshared'",
    "selinux_label": "selinuxLabel 'u:r:t:s0'",
    "shim_group": "annotation io.containerd.runc.v2.group",
    "annotations": "annotation a",
    "writable_sysfs": "writable sysfs at /sys",
}
# Options that open nothing: they name, limit, take away, or concern only what is the container's own.
CLOSED = {
    *("additional_gids", "append_groups", "args", "console_size", "cwd", "default_path", "env", "env_file"),
    *("hostname", "domainname", "image_config", "terminal", "umask", "user"),
    *("capabilities", "drop_capabilities", "default_device_rules", "readonly_rootfs"),
    *("cgroup_path", "namespaced_cgroup", "block_io", "cpu_burst", "cpu_quota", "cpu_realtime", "cpu_shares"),
    *("cpus", "cpuset_cpus", "cpuset_mems", "hugepage_limit", "memory_limit", "memory_reservation"),
    *("memory_swap", "oom_score_adj", "pids_limit", "rlimit", "unified"),
    *("cgroupfs", "dev_shm_size", "mounts", "tmpfs", "without_mounts", "without_run_mount"),
    *("sysctls", "time_offsets", "user_namespace"),
    # The default has no profiles, so that these take nothing away from it; `writable_cgroupfs` finds no cgroups.
    *(
        "apparmor_profile",
        "seccomp",
        "seccomp_default",
        "seccomp_file",
        "seccomp_unconfined",
        "writable_cgroupfs",
    ),
    # Begin anew.
    *("compose", "from_default"),
}
# What they open is what this process may, or what is in a spec of somebody else's.
DEPENDING = {"current_capabilities", "from_bytes", "from_file"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_the_default_asks_for_nothing() -> None:
    assert beyond_default(default_spec("web", "example")) == []


def test_every_option_is_judged_here() -> None:
    assert OPENING.keys() | CLOSED | DEPENDING == OPTIONS.keys()
    assert not OPENING.keys() & CLOSED


@pytest.mark.parametrize("name", OPENING)
def test_an_option_that_opens_something_is_told_of(name: str) -> None:
    assert OPENING[name] in beyond_default(OPTIONS[name](default_spec("web", "example"), CONTEXT))


def test_the_capabilities_of_this_process_are_told_of_where_they_are_more() -> None:
    """Those of root are, those of others need not be."""
    built = build(CONTEXT, [options.current_capabilities()])
    more = [each for each in built["process"]["capabilities"]["bounding"] if each not in DEFAULT_CAPABILITIES]
    assert beyond_default(built) == [f"capability {each}" for each in more]


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_an_option_that_opens_nothing_is_not(name: str) -> None:
    context = SpecContext(
        "web", "example", image(cmd=("sh",)), Files({"/etc/passwd": PASSWD, "/etc/group": GROUP})
    )
    assert beyond_default(OPTIONS[name](default_spec("web", "example"), context)) == []


@given(
    names=st.lists(st.sampled_from(sorted(OPENING.keys() | CLOSED)), max_size=5),
    last=st.sampled_from(sorted(OPENING)),
)
def test_no_option_before_hides_what_the_last_one_opens(names: list[str], last: str) -> None:
    context = SpecContext(
        "web", "example", image(cmd=("sh",)), Files({"/etc/passwd": PASSWD, "/etc/group": GROUP})
    )
    built = build(context, [*(OPTIONS[name] for name in names), OPTIONS[last]])
    assert OPENING[last] in beyond_default(built)


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(options.args("sh"), id="args"),
        pytest.param(options.env({"A": "1"}), id="env"),
        pytest.param(options.terminal(), id="terminal"),
        pytest.param(options.user("1:2"), id="user"),
        pytest.param(options.capabilities("KILL"), id="fewer capabilities"),
        pytest.param(options.memory_limit(2**20), id="limits"),
        pytest.param(options.hostname("web"), id="hostname"),
        pytest.param(options.tmpfs("/tmp"), id="tmpfs"),
        pytest.param(options.without_mounts("/sys"), id="fewer mounts"),
        pytest.param(options.readonly_rootfs(), id="read-only root"),
        pytest.param(options.linux_namespace("user"), id="another namespace of its own"),
        pytest.param(options.rlimit("core", 0), id="rlimit"),
        pytest.param(lambda spec, _: {**spec, "hooks": {"poststop": []}}, id="no hooks"),
    ],
)
def test_what_takes_away_or_concerns_only_the_container_is_nothing(option: SpecOption) -> None:
    assert beyond_default(build(CONTEXT, [option])) == []


@pytest.mark.parametrize(
    ("option", "found"),
    [
        pytest.param(options.bind("/etc", "/host"), ["mount of '/etc' at /host"], id="directory of the host"),
        pytest.param(
            options.mounts(Mount("tmpfs", "/etc", "/host", ("rbind",))),
            ["mount of '/etc' at /host"],
            id="bind by its option alone",
        ),
        pytest.param(
            options.mounts(Mount("ext4", "/dev/sda1", "/host")),
            ["mount of '/dev/sda1' at /host"],
            id="filesystem of the host",
        ),
        pytest.param(
            options.mounts(Mount("proc", "proc", "/other")), ["proc at /other"], id="proc without its masks"
        ),
        pytest.param(options.writable_sysfs(), ["writable sysfs at /sys"], id="writable sysfs"),
        pytest.param(
            options.mounts(Mount("cgroup", "cgroup", "/sys/fs/cgroup", ("ro", "rw"))),
            ["writable cgroup at /sys/fs/cgroup"],
            id="writable cgroups",
        ),
        pytest.param(
            options.mounts(Mount("tmpfs", "tmpfs", "/sys", ("remount", "rw"))),
            ["option 'remount' of the mount at /sys"],
            id="what is mounted there made writable",
        ),
        pytest.param(
            options.mounts(Mount("sysfs", "sysfs", "/sys", ("ro", "rrw"))),
            ["option 'rrw' of the mount at /sys"],
            id="writable again",
        ),
        pytest.param(
            options.mounts(Mount("sysfs", "sysfs", "/sys", ("ro", "mode=755,rw"))),
            ["option 'mode=755,rw' of the mount at /sys"],
            id="two options in one",
        ),
        pytest.param(
            options.annotations({"io.kubernetes.cri.sandbox-id": "web"}),
            ["annotation io.kubernetes.cri.sandbox-id"],
            id="another container's shim",
        ),
        pytest.param(
            options.host_namespace("network"), ["network namespace of the host"], id="host's network"
        ),
        pytest.param(
            options.network_namespace("/proc/1/ns/net"),
            ["network namespace at '/proc/1/ns/net'"],
            id="somebody's network",
        ),
        pytest.param(
            options.add_capabilities("SYS_ADMIN"), ["capability CAP_SYS_ADMIN"], id="more capabilities"
        ),
        pytest.param(
            options.compose(options.cgroupfs(), options.writable_cgroupfs()),
            ["writable cgroup at /sys/fs/cgroup"],
            id="writable cgroups by their option",
        ),
        pytest.param(options.oom_score_adj(-1), ["oomScoreAdj -1"], id="killed last"),
        pytest.param(options.rlimit("rtprio", 99), ["rlimit RLIMIT_RTPRIO"], id="realtime"),
        pytest.param(options.rlimit("nice", 0, 40), ["rlimit RLIMIT_NICE"], id="before others"),
        pytest.param(options.rlimit("rtprio", 0), [], id="no realtime"),
        pytest.param(
            options.seccomp({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/agent.sock"}),
            ["linux.seccomp.listenerPath", "linux.seccomp.listenerMetadata"],
            id="listener",
        ),
        pytest.param(
            options.annotations({"run.oci.handler": "wasm"}),
            ["annotation run.oci.handler"],
            id="annotation for a runtime",
        ),
    ],
)
def test_what_an_option_opens_is_listed(option: SpecOption, found: list[str]) -> None:
    assert beyond_default(build(CONTEXT, [option])) == found


@pytest.mark.parametrize("name", ["org.opencontainers.image.ref", "nerdctl/name"])
def test_annotations_that_only_describe_are_nothing(name: str) -> None:
    assert beyond_default(build(CONTEXT, [options.annotations({name: "a"})])) == []


def _set(path: str, value: object) -> Callable[[Any], None]:
    """A change of a spec: ``value`` at the end of ``path``."""
    *parents, last = path.split(".")

    def change(spec: Any) -> None:
        for name in parents:
            spec = spec[int(name)] if isinstance(spec, list) else spec[name]
        spec[int(last) if isinstance(spec, list) else last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        pytest.param("hooks", {"poststop": [{"path": "/bin/sh"}]}, "hooks.poststop", id="hook"),
        pytest.param("Hooks", {"poststop": [{"path": "/bin/sh"}]}, "Hooks", id="hook, as Go reads it too"),
        pytest.param("vm", {}, "vm", id="unknown section"),
        pytest.param("process.Capabilities", {}, "process.Capabilities", id="unknown key of the process"),
        pytest.param("process.scheduler", {}, "process.scheduler", id="scheduler"),
        pytest.param("process.noNewPrivileges", False, "new privileges", id="new privileges"),
        pytest.param("process.noNewPrivileges", 1, "new privileges", id="odd flag"),
        pytest.param(
            "process.rlimits.0.Type", "RLIMIT_NICE", "process.rlimits.Type", id="limit, as Go reads it too"
        ),
        pytest.param("linux.sysctl", {"kernel.panic": "1"}, "sysctl kernel.panic", id="host's parameter"),
        pytest.param(
            "linux.resources.unified",
            {"../../memory.high": "1"},
            "file '../../memory.high' of a cgroup",
            id="file of another cgroup",
        ),
        pytest.param(
            "linux.resources.unified",
            {"cgroup.procs": "1"},
            "file 'cgroup.procs' of a cgroup",
            id="processes of the host into the cgroup",
        ),
        pytest.param(
            "linux.sysctl",
            {"net/../kernel/core_pattern": "|/bin/sh"},
            "sysctl net/../kernel/core_pattern",
            id="host's parameter by a detour",
        ),
        pytest.param("linux.mountLabel", "u:r:t:s0", "mountLabel 'u:r:t:s0'", id="label of the files"),
        pytest.param(
            "annotations",
            {"org.opencontainers.runc.exec.isolated-cpu-affinity-transition": "temporary"},
            "annotation org.opencontainers.runc.exec.isolated-cpu-affinity-transition",
            id="annotation for runc",
        ),
        pytest.param("process.oomScoreAdj", -999, "oomScoreAdj -999", id="never killed"),
        pytest.param("process.oomScoreAdj", "x", "oomScoreAdj 'x'", id="odd score"),
        pytest.param(
            "process.capabilities.ambient", ["CAP_BPF"], "capability CAP_BPF", id="ambient capability"
        ),
        pytest.param(
            "process.capabilities.Ambient", [], "process.capabilities.Ambient", id="unknown capability set"
        ),
        pytest.param("root.path", "/", "root filesystem at '/'", id="host's root"),
        pytest.param("root.path", "rootfs/../..", "root filesystem at 'rootfs/../..'", id="root elsewhere"),
        pytest.param("root.Path", "/", "root.Path", id="root, as Go reads it too"),
        pytest.param(
            "mounts.0.options", ["Bind"], "option 'Bind' of the mount at /proc", id="unknown option"
        ),
        pytest.param("mounts.0.Type", "bind", "mount.Type", id="type, as Go reads it too"),
        pytest.param("linux.devices", [{"path": "/dev/sda"}], "device /dev/sda", id="device"),
        pytest.param("linux.rootfsPropagation", "shared", "rootfsPropagation 'shared'", id="propagation"),
        pytest.param("linux.intelRdt", {}, "linux.intelRdt", id="RDT"),
        pytest.param(
            "linux.seccomp", {"listenerPath": "/s"}, "linux.seccomp.listenerPath", id="seccomp listener"
        ),
        pytest.param("linux.resources.Devices", [], "linux.resources.Devices", id="unknown resource"),
        pytest.param(
            "linux.namespaces.0.Path", "/proc/1/ns/pid", "linux.namespaces.Path", id="path, as Go reads it"
        ),
        pytest.param(
            "linux.resources.devices",
            [],
            "device rules that do not begin with denying all",
            id="no device rules",
        ),
        pytest.param(
            "linux.resources.devices.0.access",
            "m",
            "device rules that do not begin with denying all",
            id="not all denied",
        ),
        pytest.param(
            "linux.resources.devices.0.Allow",
            True,
            "linux.resources.devices.Allow",
            id="rule, as Go reads it",
        ),
    ],
)
def test_what_a_key_opens_is_listed(path: str, value: object, found: str) -> None:
    spec = default_spec("web", "example")
    _set(path, value)(spec)
    assert found in beyond_default(spec)


@pytest.mark.parametrize(
    ("rule", "fine"),
    [
        pytest.param({"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}, True, id="null"),
        pytest.param({"allow": True, "type": "c", "major": 136, "access": "rwm"}, True, id="terminals"),
        pytest.param({"allow": False, "type": "c", "major": 10, "access": "w"}, True, id="denied"),
        pytest.param({"allow": True, "access": "rwm"}, False, id="everything"),
        pytest.param({"allow": True, "type": "b", "major": 1, "minor": 3, "access": "r"}, False, id="block"),
        pytest.param({"allow": True, "type": "c", "major": 1, "minor": 1, "access": "r"}, False, id="memory"),
        pytest.param({"allow": True, "type": "c", "major": 1, "access": "r"}, False, id="all of memory"),
        pytest.param({"allow": True, "type": "c", "major": [1], "minor": {}}, False, id="odd"),
        pytest.param({"type": "c", "major": 1, "minor": 1, "access": "r"}, False, id="unclear"),
    ],
)
def test_a_device_rule_may_allow_what_every_container_has(rule: dict[str, object], fine: bool) -> None:
    spec: Any = default_spec("web", "example")
    spec["linux"]["resources"]["devices"].append(rule)
    found = beyond_default(spec)
    assert found == [] if fine else found[0].startswith("device rule {")


def test_unmasked_and_writable_paths_are_listed() -> None:
    spec = default_spec("web", "example")
    spec["linux"]["maskedPaths"].remove("/proc/kcore")
    spec["linux"]["readonlyPaths"].remove("/proc/sysrq-trigger")
    assert beyond_default(spec) == ["unmasked /proc/kcore", "writable /proc/sysrq-trigger"]


def test_a_spec_of_an_older_containerd_is_not_blamed_for_what_it_did_not_mask() -> None:
    spec = default_spec("web", "example")
    spec["linux"]["maskedPaths"].remove("/sys/devices/virtual/powercap")
    assert beyond_default(spec) == []


def test_a_spec_of_nothing_lacks_what_confines() -> None:
    found = beyond_default({})
    assert "root filesystem at None" in found
    assert "pid namespace of the host" in found
    assert "unmasked /proc/kcore" in found


@pytest.mark.parametrize(
    "path",
    [
        *("hooks", "annotations", "root", "process", "mounts", "linux", "mounts.0", "mounts.0.options"),
        *("mounts.0.type", "mounts.0.destination", "process.capabilities", "process.capabilities.bounding"),
        *("linux.namespaces", "linux.namespaces.0", "linux.namespaces.0.type", "linux.devices"),
        *("linux.maskedPaths", "linux.readonlyPaths", "linux.seccomp", "linux.resources"),
        *("linux.resources.devices", "linux.maskedPaths.0", "linux.sysctl", "linux.resources.unified"),
        *("process.rlimits", "process.rlimits.0", "process.rlimits.0.type"),
    ],
)
def test_what_is_malformed_is_listed(path: str) -> None:
    spec = default_spec("web", "example")
    _set(path, 7)(spec)
    assert any(each.startswith("malformed ") for each in beyond_default(spec))


def _places(value: object, path: str = "") -> list[str]:
    items: list[tuple[object, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    places = [path] if path else []
    for key, inner in items:
        places += _places(inner, f"{path}.{key}" if path else str(key))
    return places


PLACES = sorted(_places(default_spec("web", "example")))


@given(value=JSON, place=st.sampled_from(PLACES))
@settings(max_examples=300)
def test_any_json_is_judged(value: object, place: str) -> None:
    spec = json.loads(json.dumps(default_spec("web", "example")))
    _set(place, value)(spec)
    assert isinstance(beyond_default(spec), list)


def test_any_kind_of_value_is_judged_at_any_place() -> None:
    kinds: list[object] = [None, [], {}, [[]], [{}], {"a": []}, 7, "x", True]
    for place, value in itertools.product(PLACES, kinds):
        spec = json.loads(json.dumps(default_spec("web", "example")))
        _set(place, value)(spec)
        assert isinstance(beyond_default(spec), list), (place, value)


@given(value=JSON)
def test_anything_but_a_default_is_found_wanting(value: Any) -> None:
    spec: Spec = value
    assert beyond_default(spec)
