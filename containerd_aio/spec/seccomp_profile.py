"""Seccomp: which system calls the kernel refuses to the container's processes.

A profile is taken in the form of the OCI runtime spec, and in the one that Docker's profiles are written in, where
rules have conditions: on the architecture, the kernel, and the capabilities that the container has. Those on
capabilities are decided when the option is applied, so it belongs behind the options that change them. Runtimes
know nothing of such conditions: given as it is, a rule meant for privileged containers would hold for all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Final, cast

from containerd_aio.spec.arguments import (
    check_integer,
    check_mapping,
    check_name,
    check_text,
    check_texts,
    invalid,
)
from containerd_aio.spec.host import read_file
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import LinuxSeccomp, LinuxSeccompArg, LinuxSyscall, Spec
from containerd_aio.spec.seccomp_calls import default_profile
from containerd_aio.spec.seccomp_conditions import Condition, Host, condition_of
from containerd_aio.spec.sections import linux_of
from containerd_aio.spec.whole import decoded

_ACTIONS: Final = frozenset(
    f"SCMP_ACT_{name}"
    for name in ("KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY")
)
_COMPARISONS: Final = frozenset(
    f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
)
_UINT64_MAX: Final = 2**64 - 1

_PROFILE: Final = frozenset(LinuxSeccomp.__annotations__) | {"archMap"}
_SYSCALL: Final = frozenset(LinuxSyscall.__annotations__) | {"name", "comment", "includes", "excludes"}
_ARGUMENT: Final = frozenset(LinuxSeccompArg.__annotations__)


def seccomp(profile: Mapping[str, object]) -> SpecOption:
    """Refuse system calls as ``profile`` says, a mapping in the OCI or Docker form.

    :raises InvalidArgumentError: for unknown keys, actions and comparisons, and values of other types
    """
    return _confined("seccomp", profile)


def seccomp_file(path: str | os.PathLike[str]) -> SpecOption:
    """Refuse system calls as a JSON file of this host says, in the OCI or Docker form; it is read now.

    :raises InvalidArgumentError: if it cannot be read, or is no profile
    """
    return _confined("seccomp_file", decoded("seccomp_file", read_file("seccomp_file", path)))


def seccomp_default() -> SpecOption:
    """Refuse what a container that is not trusted has no need of; the default spec refuses nothing.

    Each capability that the container has opens what it is for, so it belongs behind the options that change them.
    What is refused, and why, stands in `containerd_aio.spec.seccomp_calls`.
    """
    return _confined("seccomp_default", default_profile())


def seccomp_unconfined() -> SpecOption:
    """Refuse no system calls; the default spec does not either."""

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux.pop("seccomp", None)
        return {**spec, "linux": linux}

    return option


def _confined(name: str, profile: Mapping[str, object]) -> SpecOption:
    host = Host.current()
    common, rules = _parsed(name, profile, host)

    def option(spec: Spec, context: SpecContext) -> Spec:
        sets = (spec.get("process") or {}).get("capabilities") or {}
        held = frozenset(sets.get("bounding") or ())
        made = deepcopy(common)
        made["syscalls"] = [deepcopy(rule) for condition, rule in rules if condition.holds(host, held)]
        linux = linux_of(spec)
        linux["seccomp"] = made
        return {**spec, "linux": linux}

    return option


def _parsed(
    name: str, profile: object, host: Host
) -> tuple[LinuxSeccomp, list[tuple[Condition, LinuxSyscall]]]:
    whole = _object(name, "profile", profile, _PROFILE)
    made: LinuxSeccomp = {"defaultAction": _action(name, whole.get("defaultAction"))}
    if whole.get("defaultErrnoRet") is not None:
        made["defaultErrnoRet"] = check_integer(name, whole["defaultErrnoRet"], minimum=0, maximum=4095)
    if architectures := _architectures(name, whole, host):
        made["architectures"] = architectures
    if whole.get("flags"):
        made["flags"] = list(check_texts(name, whole["flags"]))
    if whole.get("listenerPath"):
        made["listenerPath"] = check_text(name, whole["listenerPath"])
        made["listenerMetadata"] = check_text(name, whole.get("listenerMetadata") or "")
    return made, [_rule(name, each) for each in _list(name, "syscalls", whole.get("syscalls"))]


def _architectures(name: str, profile: Mapping[str, object], host: Host) -> list[str]:
    listed = list(check_texts(name, profile.get("architectures") or ()))
    table = _list(name, "archMap", profile.get("archMap"))
    if listed and table:
        raise invalid(name, listed, "is a list of architectures beside an archMap; give one of them")
    for each in table:
        entry = _object(name, "archMap", each, {"architecture", "subArchitectures"})
        if entry.get("architecture") == host.seccomp_architecture:
            return [
                check_text(name, entry["architecture"]),
                *check_texts(name, entry.get("subArchitectures") or ()),
            ]
    return listed


def _rule(name: str, value: object) -> tuple[Condition, LinuxSyscall]:
    entry = _object(name, "syscalls", value, _SYSCALL)
    names = list(check_texts(name, entry.get("names") or ()))
    if entry.get("name"):
        names.append(check_name(name, entry["name"]))
    if not names:
        raise invalid(name, value, "is a rule for no system call: it has no names")
    rule: LinuxSyscall = {"names": names, "action": _action(name, entry.get("action"))}
    if entry.get("errnoRet") is not None:
        rule["errnoRet"] = check_integer(name, entry["errnoRet"], minimum=0, maximum=4095)
    if arguments := _list(name, "args", entry.get("args")):
        rule["args"] = [_argument(name, each) for each in arguments]
    return condition_of(name, entry.get("includes"), entry.get("excludes")), rule


def _argument(name: str, value: object) -> LinuxSeccompArg:
    entry = _object(name, "args", value, _ARGUMENT)
    comparison = check_text(name, entry.get("op"))
    if comparison not in _COMPARISONS:
        raise invalid(name, comparison, f"is no comparison: {', '.join(sorted(_COMPARISONS))}")
    made: LinuxSeccompArg = {
        "index": check_integer(name, entry.get("index"), minimum=0, maximum=5),
        "value": check_integer(name, entry.get("value"), minimum=0, maximum=_UINT64_MAX),
        "op": comparison,
    }
    if entry.get("valueTwo"):
        made["valueTwo"] = check_integer(name, entry["valueTwo"], minimum=0, maximum=_UINT64_MAX)
    return made


def _action(name: str, value: object) -> str:
    action = check_text(name, value)
    if action not in _ACTIONS:
        raise invalid(name, action, f"is no action: {', '.join(sorted(_ACTIONS))}")
    return action


def _object(name: str, what: str, value: object, known: set[str] | frozenset[str]) -> Mapping[str, object]:
    entry = cast("Mapping[str, object]", check_mapping(name, value))
    # A key that is spelled otherwise would be a rule that silently does not hold.
    if unknown := [key for key in entry if key not in known]:
        raise invalid(name, unknown[0], f"is not a key of {what} in a seccomp profile")
    return entry


def _list(name: str, what: str, value: object) -> list[object]:
    if value is not None and not isinstance(value, list | tuple):
        raise invalid(name, value, f"is not a list, as {what} is in a seccomp profile")
    return list(cast("list[object]", value or []))
