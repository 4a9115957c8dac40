"""What a spec that somebody else wrote asks for beyond what a container gets by default.

A checkpoint brings its container's spec with it, and the runtime does what a spec says, as root on the host: it
calls hooks, binds directories, joins namespaces. So this is a list of what is harmless, and everything else is
reported, also what is merely unknown: Go's JSON decoder takes ``"Hooks"`` for ``"hooks"``, and runtimes read
annotations of their own.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator
from typing import Final, TypeAlias, cast

from containerd_aio.spec import schema
from containerd_aio.spec.cgroup import is_limit
from containerd_aio.spec.default import (
    DEFAULT_CAPABILITIES,
    DEFAULT_NAMESPACES,
    MASKED_PATHS,
    READONLY_PATHS,
)
from containerd_aio.spec.device_nodes import COMMON_DEVICES
from containerd_aio.spec.kernel import is_namespaced

_Object: TypeAlias = dict[str, object]

_SECTIONS: Final = frozenset(schema.Spec.__annotations__)
_PROCESS: Final = frozenset(schema.Process.__annotations__)
_CAPABILITIES: Final = frozenset(schema.Capabilities.__annotations__)
_RLIMIT: Final = frozenset(schema.Rlimit.__annotations__)
_ROOT: Final = frozenset(schema.Root.__annotations__)
_MOUNT: Final = frozenset(schema.Mount.__annotations__)
_LINUX: Final = frozenset(schema.Linux.__annotations__) - {"intelRdt"}
_NAMESPACE: Final = frozenset(schema.LinuxNamespace.__annotations__)
_RESOURCES: Final = frozenset(schema.LinuxResources.__annotations__)
_DEVICE_RULE: Final = frozenset(schema.LinuxDeviceCgroup.__annotations__)
# A listener would be handed descriptors of the container's processes.
_SECCOMP: Final = frozenset({"defaultAction", "defaultErrnoRet", "architectures", "flags", "syscalls"})

# Filesystems that hold nothing of the host's; those with a place would show it unmasked at any other.
_MOUNT_PLACES: Final = {
    "proc": "/proc",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "tmpfs": "",
    "devpts": "",
    "mqueue": "",
}
_READ_ONLY_MOUNTS: Final = frozenset({"sysfs", "cgroup"})
# Not "remount": a "tmpfs" at /sys then makes the sysfs there writable (seen with runc 1.1.5); nor "rrw", which undoes
# "ro" afterwards; nor anything with a comma, which the kernel takes for more options.
_MOUNT_FLAGS: Final = frozenset(
    {
        *("defaults", "newinstance", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec"),
        *(
            "atime",
            "noatime",
            "diratime",
            "nodiratime",
            "relatime",
            "norelatime",
            "strictatime",
            "nostrictatime",
        ),
        *("sync", "async", "dirsync", "private", "rprivate", "slave", "rslave"),
    }
)
_MOUNT_VALUE: Final = re.compile(
    r"(size|nr_blocks|nr_inodes|mode|uid|gid|ptmxmode|max|huge|hidepid)=[0-9A-Za-z%]+"
)

_DENY_ALL: Final[tuple[_Object, ...]] = (
    {"allow": False, "access": "rwm"},
    {"allow": False, "type": "a", "access": "rwm"},
)

# Not all of "org.opencontainers.": runc reads those of "org.opencontainers.runc."; none of "io.kubernetes.": its
# "cri.sandbox-id" puts the container into the shim of another one, and other runtimes read more of them.
_ANNOTATIONS: Final = ("org.opencontainers.image.", "nerdctl/")
# Masked since containerd 2.0 only; a spec that an older one wrote is not to be blamed for it.
_MASKED: Final = frozenset(MASKED_PATHS) - {"/sys/devices/virtual/powercap"}
_READ_ONLY: Final = frozenset(READONLY_PATHS)
_PROPAGATIONS: Final = (None, "", "private", "rprivate", "slave", "rslave")

# They do what CAP_SYS_NICE does: run before everything else on the host.
_PRIORITY_LIMITS: Final = frozenset({"RLIMIT_RTPRIO", "RLIMIT_NICE"})


class _MalformedError(Exception):
    """A part of the spec is of a type that no spec has there."""


def beyond_default(spec: schema.Spec) -> list[str]:
    """Return what ``spec`` asks for that a default container does not have, each in a few words; empty: nothing.

    That is hooks, devices, binds of host directories, namespaces of the host or of others, capabilities, ambient
    ones and new privileges, writable or unmasked parts of /proc and /sys, parameters of the host's kernel, an
    SELinux label, a root filesystem of its own choice, and whatever is not known. A missing seccomp or AppArmor
    profile is nothing: the default has none. The cgroup and its limits are not judged: put the container into its
    own. Any JSON object may be given; send on what was judged, not the bytes it was decoded from, since decoders
    differ in what they make of odd ones.
    """
    found: list[str] = []
    try:
        found.extend(_of_spec(_object("spec", spec)))
    except _MalformedError as error:
        found.append(f"malformed {error}")
    return found


def _of_spec(spec: _Object) -> Iterator[str]:
    yield from _unknown("", spec, _SECTIONS)
    for moment, hooks in _object("hooks", spec.get("hooks")).items():
        if hooks:
            yield f"hooks.{moment}"
    for name in _object("annotations", spec.get("annotations")):
        if not name.startswith(_ANNOTATIONS):
            yield f"annotation {name}"
    root = _object("root", spec.get("root"))
    yield from _unknown("root.", root, _ROOT)
    if root.get("path") != "rootfs":
        yield f"root filesystem at {root.get('path')!r}"
    yield from _of_process(_object("process", spec.get("process")))
    for mount in _objects("mounts", spec.get("mounts")):
        yield from _of_mount(mount)
    yield from _of_linux(_object("linux", spec.get("linux")))


def _of_process(process: _Object) -> Iterator[str]:
    yield from _unknown("process.", process, _PROCESS)
    sets = _object("capabilities", process.get("capabilities"))
    yield from _unknown("process.capabilities.", sets, _CAPABILITIES)
    names = [name for each in sets.values() for name in _texts("capabilities", each)]
    for name in dict.fromkeys(names):
        if name not in DEFAULT_CAPABILITIES:
            yield f"capability {name}"
    if sets.get("ambient"):
        yield "ambient capabilities"
    if process.get("noNewPrivileges") is not True:
        yield "new privileges"
    # Its categories may be those of another container, or its type one that is not confined.
    if process.get("selinuxLabel"):
        yield f"selinuxLabel {process.get('selinuxLabel')!r}"
    for limit in _objects("rlimits", process.get("rlimits")):
        yield from _unknown("process.rlimits.", limit, _RLIMIT)
        kind = _text("rlimits", limit.get("type"))
        if kind in _PRIORITY_LIMITS and (limit.get("hard"), limit.get("soft")) != (0, 0):
            yield f"rlimit {kind}"
    adjustment = process.get("oomScoreAdj") or 0
    if not isinstance(adjustment, int) or adjustment < 0:
        yield f"oomScoreAdj {adjustment!r}"


def _of_mount(mount: _Object) -> Iterator[str]:
    yield from _unknown("mount.", mount, _MOUNT)
    destination = posixpath.normpath(_text("mounts", mount.get("destination")))
    kind = _text("mounts", mount.get("type"))
    options = _texts("mounts", mount.get("options"))
    place = _MOUNT_PLACES.get(kind)
    if place is None or "bind" in options or "rbind" in options:
        yield f"mount of {mount.get('source')!r} at {destination}"
        return
    if place not in ("", destination):
        yield f"{kind} at {destination}"
    elif kind in _READ_ONLY_MOUNTS and ("ro" not in options or "rw" in options):
        yield f"writable {kind} at {destination}"
    for option in options:
        if option not in _MOUNT_FLAGS and not _MOUNT_VALUE.fullmatch(option):
            yield f"option {option!r} of the mount at {destination}"


def _of_linux(linux: _Object) -> Iterator[str]:
    yield from _unknown("linux.", linux, _LINUX)
    yield from _of_namespaces(_objects("namespaces", linux.get("namespaces")))
    for device in _objects("devices", linux.get("devices")):
        yield f"device {device.get('path')}"
    if linux.get("rootfsPropagation") not in _PROPAGATIONS:
        yield f"rootfsPropagation {linux.get('rootfsPropagation')!r}"
    for path in sorted(_MASKED - set(_texts("maskedPaths", linux.get("maskedPaths")))):
        yield f"unmasked {path}"
    for path in sorted(_READ_ONLY - set(_texts("readonlyPaths", linux.get("readonlyPaths")))):
        yield f"writable {path}"
    yield from _unknown("linux.seccomp.", _object("seccomp", linux.get("seccomp")), _SECCOMP)
    for name in _object("sysctl", linux.get("sysctl")):
        if not is_namespaced(name):
            yield f"sysctl {name}"
    if linux.get("mountLabel"):
        yield f"mountLabel {linux.get('mountLabel')!r}"
    resources = _object("resources", linux.get("resources"))
    yield from _unknown("linux.resources.", resources, _RESOURCES)
    for name in _object("resources.unified", resources.get("unified")):
        if not is_limit(name):
            yield f"file {name!r} of a cgroup"
    yield from _of_device_rules(_objects("resources.devices", resources.get("devices")))


def _of_namespaces(namespaces: list[_Object]) -> Iterator[str]:
    for namespace in namespaces:
        yield from _unknown("linux.namespaces.", namespace, _NAMESPACE)
        if namespace.get("path"):
            yield f"{namespace.get('type')} namespace at {namespace.get('path')!r}"
    present = {_text("namespaces", each.get("type")) for each in namespaces}
    for kind in DEFAULT_NAMESPACES:
        if kind not in present:
            yield f"{kind} namespace of the host"


def _of_device_rules(rules: list[_Object]) -> Iterator[str]:
    if not rules or rules[0] not in _DENY_ALL:
        yield "device rules that do not begin with denying all"
    for rule in rules:
        yield from _unknown("linux.resources.devices.", rule, _DEVICE_RULE)
        if rule.get("allow") is not False and not _is_common_device(rule):
            yield f"device rule {json.dumps(rule, default=str)}"


def _is_common_device(rule: _Object) -> bool:
    major, minor = rule.get("major"), rule.get("minor")
    return rule.get("type") == "c" and ((major, minor) in COMMON_DEVICES or (major, None) in COMMON_DEVICES)


def _unknown(where: str, value: _Object, known: Collection[str]) -> Iterator[str]:
    return (f"{where}{name}" for name in value if name not in known)


def _object(where: str, value: object) -> _Object:
    if value is not None and not isinstance(value, dict):
        raise _MalformedError(where)
    return cast("_Object", value or {})


def _objects(where: str, value: object) -> list[_Object]:
    return [_object(where, each) for each in _list(where, value)]


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise _MalformedError(where)
    return value


def _texts(where: str, value: object) -> list[str]:
    return [_text(where, each) for each in _list(where, value)]


def _list(where: str, value: object) -> list[object]:
    if value is not None and not isinstance(value, list):
        raise _MalformedError(where)
    return cast("list[object]", value or [])
