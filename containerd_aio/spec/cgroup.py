"""The container's cgroup: where it lies, and how limits come into a spec.

Limits are merged, so that each option changes its own and keeps the others: sections key by key, lists by what
their items are about (a device, a size of pages).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Final, TypeAlias, cast

from containerd_aio.spec.arguments import (
    check_integer,
    check_mapping,
    check_path,
    check_text,
    invalid,
)
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import LinuxResources, Spec
from containerd_aio.spec.sections import linux_of

_Object: TypeAlias = dict[str, object]

_CGROUP_FILE: Final = re.compile(r"[a-z]+(\.[A-Za-z0-9_-]+)+")


def cgroup_path(path: str) -> SpecOption:
    """Put the container into the cgroup ``path`` instead of ``/<namespace>/<id>``.

    A runtime that leaves cgroups to systemd wants ``slice:prefix:name`` here.

    :raises InvalidArgumentError: if it is neither absolute nor of systemd's form
    """
    text = check_text("cgroup_path", path)
    if len(text.split(":")) != 3:
        check_path("cgroup_path", text)
    return _placed(lambda context: text)


def namespaced_cgroup() -> SpecOption:
    """Put the container into the cgroup ``/<namespace>/<id>``, as the default spec has it.

    For a spec from elsewhere (`from_file`): without a path, or with another container's, two of them would share
    one cgroup.
    """
    return _placed(lambda context: f"/{context.namespace}/{context.container_id}")


def pids_limit(limit: int) -> SpecOption:
    """Allow at most ``limit`` processes and threads.

    :raises InvalidArgumentError: if it is not a positive integer
    """
    return limited({"pids": {"limit": check_integer("pids_limit", limit, minimum=1)}})


def unified(values: Mapping[str, str | int]) -> SpecOption:
    """Write ``values`` into files of the cgroup, by name: ``{"memory.high": 2**28}``; cgroup v2 only.

    For what has no option here. The runtime refuses a container with this on a host with cgroup v1.

    :raises InvalidArgumentError: for a name that is no file of limits (``memory.high``), or an odd value
    """
    return limited({"unified": unified_values("unified", values)})


def unified_values(option: str, values: object) -> dict[str, str]:
    """Return ``values`` as the files of a cgroup and what to write into them.

    :raises InvalidArgumentError: as `unified` does
    """
    result: dict[str, str] = {}
    for name, value in check_mapping(option, values).items():
        if not is_limit(check_text(option, name)):
            raise invalid(option, name, "is not the name of a file of limits such as 'memory.high'")
        plain = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        result[str(name)] = check_text(option, plain)
    return result


def is_limit(name: str) -> bool:
    """Tell whether ``name`` is a file of the container's own cgroup that concerns nothing but the container."""
    # A name with a slash would be another cgroup's file; what is written to the others moves processes, any of the
    # host's, into the container's cgroup.
    return bool(_CGROUP_FILE.fullmatch(name)) and name not in ("cgroup.procs", "cgroup.threads")


def limited(part: LinuxResources) -> SpecOption:
    """Return the option that sets the limits in ``part`` and keeps all others."""

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        before = cast("_Object", linux.get("resources") or {})
        linux["resources"] = cast("LinuxResources", _merged(before, cast("_Object", part)))
        return {**spec, "linux": linux}

    return option


def _placed(path: Callable[[SpecContext], str]) -> SpecOption:
    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["cgroupsPath"] = path(context)
        return {**spec, "linux": linux}

    return option


def _merged(base: _Object, part: _Object) -> _Object:
    result = base.copy()
    for key, value in part.items():
        before = base.get(key)
        if isinstance(value, dict):
            result[key] = _merged(cast("_Object", before or {}), cast("_Object", value))
        elif isinstance(value, list):
            result[key] = _replaced(cast("list[_Object]", before or []), cast("list[_Object]", value))
        else:
            result[key] = value
    return result


def _replaced(before: list[_Object], items: list[_Object]) -> list[_Object]:
    subjects = [_subject(each) for each in items]
    return [*(each for each in before if _subject(each) not in subjects), *deepcopy(items)]


def _subject(item: _Object) -> tuple[object, ...]:
    return (item.get("pageSize"), item.get("major"), item.get("minor"))
