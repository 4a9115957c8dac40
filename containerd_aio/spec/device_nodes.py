"""Devices: which nodes the container has in /dev, and which it may open.

Both are needed: a node without a rule cannot be opened (the cgroup refuses it), and a rule without a node opens
nothing, unless the container may make nodes itself (CAP_MKNOD, which it has by default). Of rules the last that
fits decides. The runtime makes null, zero, full, random, urandom, tty and the terminals in any case.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, Literal

from containerd_aio.spec.accounts import ID_MAX
from containerd_aio.spec.arguments import check_integer, check_path, check_text, invalid
from containerd_aio.spec.host import Device, as_device, device_at, unreadable
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import LinuxDevice, LinuxDeviceCgroup, Spec
from containerd_aio.spec.sections import linux_of

# As wide as the kernel makes them (dev_t of 12 and 20 bits).
_MAJOR_MAX: Final = 2**12 - 1
_MINOR_MAX: Final = 2**20 - 1

# What the container has of its own in /dev, or makes itself.
_OWN: Final = frozenset({"pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"})

# What every container has, character devices all: null, random, full, tty, zero, urandom, console, its terminals
# (`None`: any), ptmx.
COMMON_DEVICES: Final = ((1, 3), (1, 8), (1, 7), (5, 0), (1, 5), (1, 9), (5, 1), (136, None), (5, 2))


def device(
    path: str | os.PathLike[str], permissions: str = "rwm", *, follow_links: bool = False
) -> SpecOption:
    """Give the container the device at ``path`` of this host, at the same path, and let it be opened.

    ``permissions`` are of ``r`` read, ``w`` write and ``m`` make nodes of it; file permissions and owner are the
    host's. With ``follow_links`` the path may be a link, and becomes the node of what it leads to. The node is
    looked at now, on this host; for containerd on another, see `device_node`.

    :raises InvalidArgumentError: if there is no device, or it is a link and they are not followed
    """
    access = _permissions("device", permissions)
    return _added([device_at("device", path, follow_links=follow_links)], access)


def devices(
    host_path: str | os.PathLike[str],
    container_path: str | os.PathLike[str] | None = None,
    permissions: str = "rwm",
) -> SpecOption:
    """Give the container a device of this host, or all in a directory and below it, and let them be opened.

    They come to ``container_path``, which is ``host_path`` where it is ``None``. Of a directory, links and what is
    no device are passed over, and so is what a container has of its own in /dev (pts, shm, mqueue, fd, console).
    The nodes are looked at now; ``permissions`` as for `device`.

    :raises InvalidArgumentError: if there is no such device or directory, or none in it
    """
    access = _permissions("devices", permissions)
    source = check_path("devices", host_path)
    target = source if container_path is None else check_path("devices", container_path)
    if not os.path.isdir(source):
        return _added([replace(device_at("devices", source), path=target)], access)
    found = list(_found("devices", source, target))
    if not found:
        raise invalid("devices", source, "has no devices in it")
    return _added(found, access)


def host_devices() -> SpecOption:
    """Give the container the nodes of all devices in this host's /dev, except those that it has of its own.

    It may open none of them by that: `all_devices_allowed`, or the cgroup that it is in, says which. The nodes
    are looked at now; devices that come later are not among them.

    :raises InvalidArgumentError: if /dev cannot be read
    """
    return _added(list(_found("host_devices", "/dev", "/dev")), "")


def device_node(
    path: str | os.PathLike[str],
    kind: Literal["c", "b"],
    major: int,
    minor: int,
    permissions: str = "rwm",
    *,
    mode: int = 0o666,
    uid: int = 0,
    gid: int = 0,
) -> SpecOption:
    """Give the container a device by its numbers, and let it be opened; nothing of this host is looked at.

    ``kind`` is ``"c"`` for a character device or ``"b"`` for a block device; ``permissions`` as for `device`,
    none (``""``) for a node without a rule.

    :raises InvalidArgumentError: for a path that is not absolute, another kind, and numbers out of range
    """
    node = Device(
        path=check_path("device_node", path),
        kind=_kind("device_node", kind),
        major=check_integer("device_node", major, minimum=0, maximum=_MAJOR_MAX),
        minor=check_integer("device_node", minor, minimum=0, maximum=_MINOR_MAX),
        mode=check_integer("device_node", mode, minimum=0, maximum=0o777),
        uid=check_integer("device_node", uid, minimum=0, maximum=ID_MAX),
        gid=check_integer("device_node", gid, minimum=0, maximum=ID_MAX),
    )
    return _added([node], _permissions("device_node", permissions) if permissions else "")


def default_device_rules() -> SpecOption:
    """Let the container open what every container has: null, zero, full, random, urandom, tty, console, terminals.

    runc and crun do that themselves; this is for runtimes that do not, and after rules that forbid.
    """
    rules: list[LinuxDeviceCgroup] = []
    for major, minor in COMMON_DEVICES:
        rule: LinuxDeviceCgroup = {"allow": True, "type": "c", "major": major, "access": "rwm"}
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    return _ruled(rules)


def all_devices_allowed() -> SpecOption:
    """Let the container open any device, in place of all rules before: a device is as good as the host."""

    def option(spec: Spec, context: SpecContext) -> Spec:
        return _with_rules(spec, [{"allow": True, "access": "rwm"}])

    return option


def parent_cgroup_devices() -> SpecOption:
    """Have no rules, and leave it to the runtime and to the cgroup above which devices may be opened.

    runc then allows what every container has, and nothing more; see `all_devices_allowed`.
    """

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        resources = linux.get("resources") or {}
        resources.pop("devices", None)
        linux["resources"] = resources
        return {**spec, "linux": linux}

    return option


def _found(option: str, source: str, target: str) -> Iterator[Device]:
    try:
        with os.scandir(source) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(option, source, error) from error
    for entry in found:
        if entry.name in _OWN:
            continue
        path = posixpath.join(target, check_text(option, entry.name))
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # unplugged meanwhile
        if stat.S_ISDIR(status.st_mode):
            yield from _found(option, entry.path, path)
        elif node := as_device(path, status):
            yield node


def _added(found: list[Device], access: str) -> SpecOption:
    nodes = [_node(each) for each in found]
    paths = {each.path for each in found}

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        kept = [each for each in linux.get("devices") or [] if each.get("path") not in paths]
        linux["devices"] = [*kept, *(node.copy() for node in nodes)]
        return {**spec, "linux": linux}

    if not access:
        return option
    rule = _ruled([_rule(each, access) for each in found])
    return lambda spec, context: rule(option(spec, context), context)


def _node(found: Device) -> LinuxDevice:
    return {
        "path": found.path,
        "type": found.kind,
        "major": found.major,
        "minor": found.minor,
        "fileMode": found.mode,
        "uid": found.uid,
        "gid": found.gid,
    }


def _rule(found: Device, access: str) -> LinuxDeviceCgroup:
    return {
        "allow": True,
        "type": found.kind,
        "major": found.major,
        "minor": found.minor,
        "access": access,
    }


def _ruled(rules: Iterable[LinuxDeviceCgroup]) -> SpecOption:
    made = list(rules)

    def option(spec: Spec, context: SpecContext) -> Spec:
        resources = linux_of(spec).get("resources") or {}
        # The last that fits decides: one that comes again says at its new place all that it said before.
        kept = [each for each in resources.get("devices") or [] if each not in made]
        return _with_rules(spec, [*kept, *made])

    return option


def _with_rules(spec: Spec, rules: list[LinuxDeviceCgroup]) -> Spec:
    linux = linux_of(spec)
    linux["resources"] = {**(linux.get("resources") or {}), "devices": [each.copy() for each in rules]}
    return {**spec, "linux": linux}


def _kind(option: str, kind: str) -> str:
    if check_text(option, kind) not in ("c", "b"):
        raise invalid(option, kind, "is neither 'c', a character device, nor 'b', a block device")
    return kind


def _permissions(option: str, permissions: str) -> str:
    text = check_text(option, permissions)
    if not text or not set(text) <= set("rwm") or len(set(text)) != len(text):
        raise invalid(option, permissions, "is not made of 'r' (read), 'w' (write) and 'm' (make nodes)")
    return text
