"""The filesystem that the container sees: its root, what is mounted into it and what is not.

A mount over another's destination is no mistake: the later one lies on top.
"""

from __future__ import annotations

import os
import posixpath

from containerd_aio.spec import schema
from containerd_aio.spec.arguments import (
    check_integer,
    check_name,
    check_path,
    check_text,
    check_texts,
    invalid,
)
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Spec
from containerd_aio.spec.sections import mounts_of, root_of
from containerd_aio.types import Mount


def mounts(*entries: Mount) -> SpecOption:
    """Mount ``entries`` after those that are there; ``target`` is the place in the container.

    :raises InvalidArgumentError: if one is no `Mount`, or its target no absolute path
    """
    return _mounted([_entry(each) for each in entries])


def bind(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], *, readonly: bool = False
) -> SpecOption:
    """Show a directory or file of containerd's host, with what is mounted in it, at ``destination``.

    ``readonly`` holds for ``source`` itself; a filesystem mounted somewhere in it stays as writable as it is.

    :raises InvalidArgumentError: if a path is not absolute
    """
    entry: schema.Mount = {
        "destination": check_path("bind", destination),
        "type": "bind",
        "source": check_path("bind", source),
        "options": ["rbind", "ro" if readonly else "rw"],
    }
    return _mounted([entry])


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

    def option(spec: Spec, context: SpecContext) -> Spec:
        changed = [_writable(each) if each.get("type") == "sysfs" else each for each in mounts_of(spec)]
        return {**spec, "mounts": changed}

    return option


def readonly_rootfs(enabled: bool = True) -> SpecOption:
    """Make the root filesystem read-only, or, with ``False``, writable again; mounts stay as they are."""

    def option(spec: Spec, context: SpecContext) -> Spec:
        root = root_of(spec)
        root["readonly"] = bool(enabled)
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


def _clean(path: str) -> str:
    # normpath() keeps two slashes at the front, where POSIX gives them a meaning that Linux does not.
    return posixpath.normpath("/" + path.lstrip("/"))


def _writable(mount: schema.Mount) -> schema.Mount:
    options = mount.get("options") or []
    return {**mount, "options": ["rw" if each == "ro" else each for each in options]}
