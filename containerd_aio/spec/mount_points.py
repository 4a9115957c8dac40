"""The filesystem that the container sees: its root, what is mounted into it and what is not.

A mount over another's destination is no mistake: the later one lies on top.
"""

from __future__ import annotations

import os
import posixpath
from copy import deepcopy
from typing import Final, Literal, TypeAlias

from containerd_aio.spec import schema
from containerd_aio.spec.arguments import (
    check_flag,
    check_integer,
    check_name,
    check_path,
    check_text,
    check_texts,
    invalid,
)
from containerd_aio.spec.default import default_mounts
from containerd_aio.spec.option import SpecContext, SpecOption, compose
from containerd_aio.spec.schema import Spec
from containerd_aio.spec.sections import linux_of, mounts_of, root_of
from containerd_aio.types import Mount

Propagation: TypeAlias = Literal["private", "rprivate", "slave", "rslave", "shared", "rshared"]

_PRIVATE: Final = ("private", "rprivate")
_SLAVE: Final = ("slave", "rslave")
_SHARED: Final = ("shared", "rshared")
_PROPAGATIONS: Final = (*_PRIVATE, *_SLAVE, *_SHARED)
_SHM: Final = "/dev/shm"


def mounts(*entries: Mount) -> SpecOption:
    """Mount ``entries`` after those that are there; ``target`` is the place in the container.

    :raises InvalidArgumentError: if one is no `Mount`, or its target no absolute path
    """
    return _mounted([_entry(each) for each in entries])


def bind(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    readonly: bool = False,
    propagation: Propagation | None = None,
) -> SpecOption:
    """Show a directory or file of containerd's host, with what is mounted in it, at ``destination``.

    ``readonly`` holds for ``source`` itself; a filesystem mounted somewhere in it stays as writable as it is.
    ``propagation`` says what becomes of mounts that are made later: with ``"rslave"`` those of the host are seen
    in the container; with ``"rshared"`` those of the container on the host, too. It takes a mount of the host that
    is shared; `rootfs_propagation` is widened to what it needs. See mount_namespaces(7).

    :raises InvalidArgumentError: if a path is not absolute, or the propagation unknown
    """
    options = ["rbind", "ro" if check_flag("bind", readonly) else "rw"]
    kind = None if propagation is None else _propagation("bind", propagation)
    if kind is not None:
        options.append(kind)
    entry: schema.Mount = {
        "destination": check_path("bind", destination),
        "type": "bind",
        "source": check_path("bind", source),
        "options": options,
    }
    return compose(_mounted([entry]), _reaching(kind))


def rootfs_propagation(propagation: Propagation) -> SpecOption:
    """Say what becomes of mounts in the container, and of the host's, at the other side; `bind` sets what it needs.

    :raises InvalidArgumentError: if it is none of the kernel's
    """
    kind = _propagation("rootfs_propagation", propagation)

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["rootfsPropagation"] = kind
        return {**spec, "linux": linux}

    return option


def cgroupfs(destination: str | os.PathLike[str] = "/sys/fs/cgroup") -> SpecOption:
    """Show cgroups at ``destination``, read-only; the default spec shows none.

    The host's are shown, unless the container has a cgroup namespace (`linux_namespace` ``("cgroup")``).

    :raises InvalidArgumentError: if the path is not absolute
    """
    place = check_path("cgroupfs", destination)
    options = ["nosuid", "noexec", "nodev", "relatime", "ro"]
    return _mounted([{"destination": place, "type": "cgroup", "source": "cgroup", "options": options}])


def tmpfs(destination: str | os.PathLike[str], *, size: int | None = None, mode: int = 0o1777) -> SpecOption:
    """Mount an empty filesystem in memory, of ``size`` bytes at most (``None``: half of the memory).

    Programs on it cannot be run; for other flags use `mounts`.

    :raises InvalidArgumentError: if the path is not absolute, the size not positive, or the mode no file mode
    """
    permissions = check_integer("tmpfs", mode, minimum=0, maximum=0o7777)
    options = ["nosuid", "noexec", "nodev", f"mode={permissions:o}"]
    if size is not None:
        options.append(f"size={check_integer('tmpfs', size, minimum=1)}")
    place = check_path("tmpfs", destination)
    return _mounted([{"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}])


def without_mounts(*destinations: str | os.PathLike[str]) -> SpecOption:
    """Take out the mounts at these destinations, the default ones too: ``without_mounts("/run")``.

    :raises InvalidArgumentError: if a path is not absolute
    """
    unwanted = {_clean(check_path("without_mounts", each)) for each in destinations}

    def option(spec: Spec, context: SpecContext) -> Spec:
        kept = [each for each in mounts_of(spec) if _clean(each.get("destination") or "/") not in unwanted]
        return {**spec, "mounts": kept}

    return option


def without_run_mount() -> SpecOption:
    """Take out the filesystem in memory at ``/run``, so that the image's own directory is seen."""
    return without_mounts("/run")


def dev_shm_size(size: int) -> SpecOption:
    """Allow ``size`` bytes of shared memory in ``/dev/shm``, 64 MiB without the option; mounted where it is not.

    :raises InvalidArgumentError: if the size is not positive; when it is applied, if something that is no tmpfs
        is mounted there, such as the host's: take that out with `without_mounts`
    """
    flag = f"size={check_integer('dev_shm_size', size, minimum=1)}"
    missing = [each for each in default_mounts() if each.get("destination") == _SHM]

    def option(spec: Spec, context: SpecContext) -> Spec:
        entries = mounts_of(spec)
        found = [each for each in entries if _clean(each.get("destination") or "/") == _SHM]
        if any(each.get("type") != "tmpfs" for each in found):
            raise invalid("dev_shm_size", size, f"is no size of what is mounted at {_SHM}, which is no tmpfs")
        if not found:
            found = deepcopy(missing)
            entries += found
        for each in found:
            others = [one for one in each.get("options") or [] if not one.startswith("size=")]
            each["options"] = [*others, flag]
        return {**spec, "mounts": entries}

    return option


def host_resolv_conf() -> SpecOption:
    """Show the host's ``/etc/resolv.conf``, read-only: for containers in the host's network namespace."""
    return bind("/etc/resolv.conf", "/etc/resolv.conf", readonly=True)


def host_hosts() -> SpecOption:
    """Show the host's ``/etc/hosts``, read-only."""
    return bind("/etc/hosts", "/etc/hosts", readonly=True)


def host_localtime() -> SpecOption:
    """Show the host's ``/etc/localtime``, read-only, so that the container shares its time zone."""
    return bind("/etc/localtime", "/etc/localtime", readonly=True)


def writable_sysfs() -> SpecOption:
    """Mount sysfs read-write; what the container may write there concerns the host."""
    return _made_writable("sysfs")


def writable_cgroupfs() -> SpecOption:
    """Mount cgroups read-write where the spec mounts them (`cgroupfs`): the container may change its limits."""
    return _made_writable("cgroup")


def rootfs_path(path: str | os.PathLike[str]) -> SpecOption:
    """Run in the directory ``path`` of containerd's host, for a container without an image.

    :raises InvalidArgumentError: if it is not an absolute path
    """
    place = check_path("rootfs_path", path)

    def option(spec: Spec, context: SpecContext) -> Spec:
        root = root_of(spec)
        root["path"] = place
        return {**spec, "root": root}

    return option


def readonly_rootfs(enabled: bool = True) -> SpecOption:
    """Make the root filesystem read-only, or, with ``False``, writable again; mounts stay as they are.

    :raises InvalidArgumentError: if ``enabled`` is neither
    """
    flag = check_flag("readonly_rootfs", enabled)

    def option(spec: Spec, context: SpecContext) -> Spec:
        root = root_of(spec)
        root["readonly"] = flag
        return {**spec, "root": root}

    return option


def _entry(entry: object) -> schema.Mount:
    if not isinstance(entry, Mount):
        raise invalid("mounts", entry, "is not a Mount")
    return {
        "destination": check_path("mounts", entry.target),
        "type": check_name("mounts", entry.type),
        "source": check_text("mounts", entry.source),
        "options": list(check_texts("mounts", entry.options)),
    }


def _mounted(made: list[schema.Mount]) -> SpecOption:
    def option(spec: Spec, context: SpecContext) -> Spec:
        return {**spec, "mounts": [*mounts_of(spec), *mounts_of({"mounts": made})]}

    return option


def _made_writable(kind: str) -> SpecOption:
    def option(spec: Spec, context: SpecContext) -> Spec:
        changed = [_writable(each) if each.get("type") == kind else each for each in mounts_of(spec)]
        return {**spec, "mounts": changed}

    return option


def _propagation(option: str, propagation: str) -> str:
    text = check_text(option, propagation)
    if text not in _PROPAGATIONS:
        raise invalid(option, propagation, f"is not one of {', '.join(_PROPAGATIONS)}")
    return text


def _reaching(propagation: str | None) -> SpecOption:
    """Let the root, through which mounts come and go, pass on what a bind of this propagation passes on."""

    def option(spec: Spec, context: SpecContext) -> Spec:
        found = (spec.get("linux") or {}).get("rootfsPropagation")
        if propagation in _SHARED and found not in _SHARED:
            return rootfs_propagation("shared")(spec, context)
        if propagation in _SLAVE and found in _PRIVATE:
            return rootfs_propagation("rslave")(spec, context)
        return spec

    return option


def _clean(path: str) -> str:
    # normpath() keeps two slashes at the front, where POSIX gives them a meaning that Linux does not.
    return posixpath.normpath("/" + path.lstrip("/"))


def _writable(mount: schema.Mount) -> schema.Mount:
    options = mount.get("options") or []
    return {**mount, "options": ["rw" if each == "ro" else each for each in options]}
