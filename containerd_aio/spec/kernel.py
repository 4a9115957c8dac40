"""Parameters of the kernel that each container has for itself, because they belong to one of its namespaces."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from containerd_aio.spec.arguments import check_mapping, check_text, invalid
from containerd_aio.spec.namespaces import joined_namespace
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import LinuxTimeOffset, Spec
from containerd_aio.spec.sections import linux_of

# By the namespace that they are of: ipc_namespaces(7), uts_namespaces(7) and the kernel's Documentation/admin-guide.
_IPC: Final = frozenset(
    f"kernel.{name}"
    for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_UTS: Final = "kernel.domainname"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+([./][A-Za-z0-9_@:-]+)+")


def sysctls(values: Mapping[str, str | int]) -> SpecOption:
    """Set parameters of the container's kernel: ``sysctls({"net.ipv4.ip_unprivileged_port_start": 0})``.

    Those of ``net.`` need a network namespace of the container's own, those of ``fs.mqueue.`` and of System V IPC
    an IPC namespace; it has both by default. Others of the host's are the host's own, and are refused.

    :raises InvalidArgumentError: for a parameter that is the whole host's, or that an option sets (`hostname`)
    """
    made = dict(_checked(name, value) for name, value in check_mapping("sysctls", values).items())

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["sysctl"] = {**(linux.get("sysctl") or {}), **made}
        return {**spec, "linux": linux}

    return option


def time_offsets(*, monotonic: float = 0.0, boottime: float = 0.0) -> SpecOption:
    """Have a time namespace whose clocks are ahead of the host's by these seconds, or behind them.

    ``boottime`` is what ``uptime`` says. The time of day cannot differ. It takes runc 1.2 and Linux 5.6.

    :raises InvalidArgumentError: for what is no number
    """
    offsets = {"monotonic": _offset(monotonic), "boottime": _offset(boottime)}
    own = joined_namespace("time_offsets", "time", None)

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(own(spec, context))
        linux["timeOffsets"] = {clock: each.copy() for clock, each in offsets.items()}
        return {**spec, "linux": linux}

    return option


def is_namespaced(name: str) -> bool:
    """Tell whether ``name``, with dots or slashes, is a parameter that belongs to a namespace."""
    if not _NAME.fullmatch(name):  # "net/../kernel/panic"
        return False
    # sysctl(8): whichever of the two comes first separates.
    separator = next((character for character in name if character in "./"), ".")
    dotted = name if separator == "." else name.translate(str.maketrans("./", "/."))
    return dotted in _IPC or dotted == _UTS or dotted.startswith(("net.", "fs.mqueue."))


def _checked(name: object, value: object) -> tuple[str, str]:
    text = check_text("sysctls", name)
    if not _NAME.fullmatch(text):
        raise invalid("sysctls", name, "is not the name of a parameter such as 'net.ipv4.ip_forward'")
    if text.replace("/", ".") == "kernel.hostname":
        raise invalid("sysctls", name, "is set by the option hostname()")
    if not is_namespaced(text):
        raise invalid("sysctls", name, "is one for the whole host: no namespace has its own")
    plain = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text, check_text("sysctls", plain)


def _offset(seconds: object) -> LinuxTimeOffset:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise invalid("time_offsets", seconds, "is not a number of seconds")
    if not math.isfinite(seconds) or abs(seconds) > 2**40:
        raise invalid("time_offsets", seconds, "is not a number of seconds that clocks can differ by")
    whole, rest = divmod(round(seconds * 10**9), 10**9)
    return {"secs": whole, "nanosecs": rest}
