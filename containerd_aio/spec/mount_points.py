"""The filesystem that the container sees: its root, what is mounted into it and what is not.

A mount over another's destination is no mistake: the later one lies on top.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from typing import Final

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

_READ_ONLY: Final = ("rbind", "ro")
_READ_WRITE: Final = ("rbind", "rw")


def mounts(*entries: Mount) -> SpecOption:
    """Mount ``entries`` after those that are there; ``target`` is the place in the container.

    :raises InvalidArgumentError: if one is no `Mount`, or its target no absolute path
    """
    made = [_entry(each) for each in entries]
    return _mounted(made)


def bind(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], *, readonly: bool = False
) -> SpecOption:
    """Show a directory or file of containerd's host, with what is mounted in it, at ``destination``.

    ``readonly`` holds for ``source`` itself; a filesystem mounted somewhere in it stays as writable as it is.

    :raises InvalidArgumentError: if a path is not absolute
    """
    return _mounted([_bind("bind", source, destination, _READ_ONLY if readonly else _READ_WRITE)])


def tmpfs(destination: str | os.PathLike[str], *, size: int | None = None, mode: int = 0o1777) -> SpecOption:
    """Mount an empty filesystem in memory, of ``size`` bytes at most (``None``: half of the memory).

    Programs on it cannot be run; for other flags use `mounts`.

    :raises InvalidArgumentError: if the path is not absolute, the size not positive, or the mode no file mode
    """
    options = [
        "nosuid",
        "noexec",
        "nodev",
        f"mode={check_integer('tmpfs', mode, minimum=0, maximum=0o7777):o}",
    ]
    if size is not None:
        options.append(f"size={check_integer('tmpfs', size, minimum=1)}")
    place = check_path("tmpfs", destination)
    return _mounted([{"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}])


def without_mounts(*destinations: str | os.PathLike[str]) -> SpecOption:
    """Take out the mounts at these destinations, the default ones too: ``without_mounts("/run")``.

    :raises InvalidArgumentError: if a path is not absolute
    """
    unwanted = {posixpath.normpath(check_path("without_mounts", each)) for each in destinations}

    def option(spec: Spec, context: SpecContext) -> Spec:
        kept = [each for each in mounts_of(spec) if _destination(each) not in unwanted]
        return {**spec, "mounts": kept}

    return option


def host_resolv_conf() -> SpecOption:
    """Show the host's ``/etc/resolv.conf``, read-only: for containers in the host's network namespace."""
    return _host_file("/etc/resolv.conf")


def host_hosts() -> SpecOption:
    """Show the host's ``/etc/hosts``, read-only."""
    return _host_file("/etc/hosts")


def host_localtime() -> SpecOption:
    """Show the host's ``/etc/localtime``, read-only, so that the container shares its time zone."""
    return _host_file("/etc/localtime")


def writable_sysfs() -> SpecOption:
    """Mount sysfs read-write; what the container may write there concerns the host."""

    def option(spec: Spec, context: SpecContext) -> Spec:
        return {**spec, "mounts": _changed(spec, _is_sysfs, _read_write)}

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


def _bind(
    option: str,
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    options: tuple[str, ...],
) -> schema.Mount:
    return {
        "destination": check_path(option, destination),
        "type": "bind",
        "source": check_path(option, source),
        "options": list(options),
    }


def _host_file(path: str) -> SpecOption:
    return _mounted([_bind("bind", path, path, _READ_ONLY)])


def _mounted(made: list[schema.Mount]) -> SpecOption:
    def option(spec: Spec, context: SpecContext) -> Spec:
        return {**spec, "mounts": [*mounts_of(spec), *mounts_of({"mounts": made})]}

    return option


def _destination(mount: schema.Mount) -> str:
    return posixpath.normpath(mount.get("destination") or "/")


def _is_sysfs(mount: schema.Mount) -> bool:
    return mount.get("type") == "sysfs"


def _read_write(mount: schema.Mount) -> schema.Mount:
    options = mount.get("options") or []
    return {**mount, "options": ["rw" if each == "ro" else each for each in options]}


def _changed(
    spec: Spec, concerned: Callable[[schema.Mount], bool], change: Callable[[schema.Mount], schema.Mount]
) -> list[schema.Mount]:
    return [change(each) if concerned(each) else each for each in mounts_of(spec)]
