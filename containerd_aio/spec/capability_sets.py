"""Capabilities: which of root's powers the process keeps.

The options set the bounding, effective and permitted sets together. The inheritable and ambient sets only ever
lose: they never keep what the others have lost (the kernel refuses that), and nothing but `ambient_capabilities`
adds to them (CVE-2022-24769).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final, cast

from containerd_aio.spec.arguments import check_text, invalid
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Capabilities, Spec
from containerd_aio.spec.sections import process_of

# In the order of their numbers in linux/capability.h.
_KNOWN: Final = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
ALL_CAPABILITIES: Final = tuple(f"CAP_{name}" for name in _KNOWN.split())


def capabilities(*names: str) -> SpecOption:
    """Let the process have these capabilities and no others; none at all without names.

    A name may leave out ``CAP_``; ``"ALL"`` stands for every capability that Linux 6 knows.

    :raises InvalidArgumentError: for a name that is no capability
    """
    wanted = capability_names("capabilities", names)
    return _option(lambda sets: only_capabilities(sets, wanted))


def add_capabilities(*names: str) -> SpecOption:
    """Let the process have these capabilities besides those it has; names as for `capabilities`.

    :raises InvalidArgumentError: for a name that is no capability
    """
    wanted = capability_names("add_capabilities", names)
    return _option(lambda sets: _with_capabilities(sets, wanted))


def drop_capabilities(*names: str) -> SpecOption:
    """Take these capabilities from every set of the process; names as for `capabilities`.

    :raises InvalidArgumentError: for a name that is no capability
    """
    unwanted = capability_names("drop_capabilities", names)
    if len(unwanted) == len(ALL_CAPABILITIES):
        # Also those that a stored spec names and this table does not know yet.
        return _option(lambda sets: _filtered(sets, lambda name: False))
    return _option(lambda sets: _filtered(sets, lambda name: name not in unwanted))


def ambient_capabilities(*names: str) -> SpecOption:
    """Let programs that the process runs keep these capabilities though it is not root; none without names.

    They become the ambient set and the inheritable one that it needs, in place of what was there, and are added to
    the other three, without which the kernel has no ambient ones. Names as for `capabilities`.

    :raises InvalidArgumentError: for a name that is no capability
    """
    wanted = capability_names("ambient_capabilities", names)
    return _option(lambda sets: _with_ambient(sets, wanted))


def current_capabilities() -> SpecOption:
    """Let the process have the capabilities that this process has now, and no others.

    They are read when the option is made, from the kernel of this host. Those that this table does not know yet
    are left out, since runtimes are told names.
    """
    mask = _effective(Path("/proc/thread-self/status").read_text())
    wanted = [name for number, name in enumerate(ALL_CAPABILITIES) if mask >> number & 1]
    return _option(lambda sets: only_capabilities(sets, wanted))


def capability_names(option: str, names: Iterable[str]) -> list[str]:
    """Return the full names of ``names``, each once, ``"ALL"`` spelled out.

    :raises InvalidArgumentError: for a name that is no capability
    """
    result: dict[str, None] = {}
    for name in names:
        full = "CAP_" + check_text(option, name).upper().removeprefix("CAP_")
        if full == "CAP_ALL":
            result |= dict.fromkeys(ALL_CAPABILITIES)
        elif full in ALL_CAPABILITIES:
            result[full] = None
        else:
            raise invalid(option, name, "is not a capability that Linux knows")
    return list(result)


def only_capabilities(sets: Capabilities, wanted: Collection[str]) -> Capabilities:
    """Return ``sets`` with ``wanted`` as bounding, effective and permitted set, and nothing beyond them."""
    result = _filtered(sets, wanted.__contains__)
    result["bounding"] = list(wanted)
    result["effective"] = list(wanted)
    result["permitted"] = list(wanted)
    return result


def _with_capabilities(sets: Capabilities, wanted: Iterable[str]) -> Capabilities:
    result = sets.copy()
    result["bounding"] = list(dict.fromkeys([*(sets.get("bounding") or []), *wanted]))
    result["effective"] = list(dict.fromkeys([*(sets.get("effective") or []), *wanted]))
    result["permitted"] = list(dict.fromkeys([*(sets.get("permitted") or []), *wanted]))
    return result


def _with_ambient(sets: Capabilities, wanted: list[str]) -> Capabilities:
    result = _with_capabilities(sets, wanted)
    result["inheritable"] = wanted.copy()
    result["ambient"] = wanted.copy()
    return result


def _effective(status: str) -> int:
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))


def _filtered(sets: Capabilities, keep: Callable[[str], bool]) -> Capabilities:
    lists = cast("dict[str, list[str] | None]", sets)
    return cast("Capabilities", {kind: list(filter(keep, names or [])) for kind, names in lists.items()})


def _option(change: Callable[[Capabilities], Capabilities]) -> SpecOption:
    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["capabilities"] = change(process.get("capabilities") or {})
        return {**spec, "process": process}

    return option
