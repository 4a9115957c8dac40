"""The process of an exec: the container's own, with what the caller wants otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from containerd_aio.spec.arguments import check_path, check_texts, invalid
from containerd_aio.spec.capability_sets import capability_names, only_capabilities
from containerd_aio.spec.environment import env_changes
from containerd_aio.spec.process import change_env, set_terminal
from containerd_aio.spec.rootfs import Rootfs
from containerd_aio.spec.schema import Process, Spec
from containerd_aio.spec.sections import process_of
from containerd_aio.spec.users import UserName, with_additional_gids, with_user

_OPTION = "exec"


def process_for_exec(
    spec: Spec,
    *,
    args: Sequence[str],
    env: Mapping[str, str | None] | Iterable[str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    user: str | None = None,
    terminal: bool = False,
    capabilities: Iterable[str] | None = None,
    rootfs: Rootfs | None = None,
) -> Process:
    """Return the process of ``spec``, the container's, changed to run ``args``; ``spec`` stays as it is.

    ``env`` is merged into the container's as the option ``env`` does it. ``user`` has the forms of the option
    ``user`` and brings the user's supplementary groups with it; all but ``uid:gid`` are looked up in ``rootfs``.
    ``capabilities`` are those it may have, the container's where ``None``. The terminal is the exec's own: the
    container's is not inherited.

    :raises RootfsNeeded: if ``user`` must be looked up and ``rootfs`` is ``None``
    :raises InvalidArgumentError: for a plain ``str`` as ``args``, no program, and what the options refuse
    """
    command = check_texts(_OPTION, args)
    if not command or not command[0]:
        raise invalid(_OPTION, args, "names no program")
    process = process_of(spec)
    process.pop("commandLine", None)
    process.pop("consoleSize", None)
    process["terminal"] = False
    process["args"] = list(command)
    process["cwd"] = check_path(_OPTION, cwd) if cwd is not None else process.get("cwd") or "/"
    if env is not None:
        change_env(process, env_changes(_OPTION, env))
    if user is not None:
        _change_user(process, user, rootfs)
    if capabilities is not None:
        _change_capabilities(process, capabilities)
    if terminal:
        set_terminal(process)
    return process


def _change_user(process: Process, user: str, rootfs: Rootfs | None) -> None:
    name = UserName.parse(_OPTION, user)
    who = with_user(process.get("user") or {}, name, rootfs)
    process["user"] = who if name.numeric else with_additional_gids(who, name.user, rootfs)


def _change_capabilities(process: Process, names: Iterable[str]) -> None:
    wanted = capability_names(_OPTION, check_texts(_OPTION, names))
    process["capabilities"] = only_capabilities(process.get("capabilities") or {}, wanted)
