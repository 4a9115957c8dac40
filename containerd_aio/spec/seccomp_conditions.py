"""When a rule of a seccomp profile in Docker's form holds.

Source: Docker's documentation of its profiles, and the profile types of moby, ``profiles/seccomp``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from containerd_aio.spec.arguments import check_mapping, check_text, check_texts, invalid

# The kernel's name of a machine, the one of Docker's conditions (Go's), and libseccomp's.
_MACHINES: Final = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "loongarch64": ("loong64", "SCMP_ARCH_LOONGARCH64"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
    "mips64": ("mips64", "SCMP_ARCH_MIPS64"),
}

_VERSION: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_KEYS: Final = frozenset({"caps", "arches", "minKernel"})


@dataclass(frozen=True, slots=True)
class Host:
    """The machine and kernel that decide; this host's, where containerd is expected to run."""

    architecture: str
    seccomp_architecture: str
    kernel: tuple[int, int]

    @classmethod
    def current(cls) -> Host:
        """Return those of this host."""
        system = os.uname()
        names = _MACHINES.get(system.machine, (system.machine, ""))
        version = _VERSION.match(system.release)
        return cls(*names, (int(version[1]), int(version[2])) if version else (0, 0))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a condition names; nothing where it names none of a kind."""

    capabilities: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    kernel: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """All that must be, and what must not be in any part."""

    includes: _Facts = _Facts()
    excludes: _Facts = _Facts()

    def holds(self, host: Host, capabilities: frozenset[str]) -> bool:
        """Tell whether a rule holds for a container with these capabilities (its bounding set) on ``host``."""
        wanted, unwanted = self.includes, self.excludes
        return (
            wanted.capabilities <= capabilities
            and (not wanted.architectures or host.architecture in wanted.architectures)
            and (wanted.kernel is None or host.kernel >= wanted.kernel)
            and not unwanted.capabilities & capabilities
            and host.architecture not in unwanted.architectures
            and (unwanted.kernel is None or host.kernel < unwanted.kernel)
        )


def condition_of(option: str, includes: object, excludes: object) -> Condition:
    """Return the condition that ``includes`` and ``excludes`` of a rule are; ``None`` and ``{}`` say nothing.

    :raises InvalidArgumentError: for unknown keys, and values of other types
    """
    return Condition(_facts(option, includes), _facts(option, excludes))


def _facts(option: str, value: object) -> _Facts:
    if value is None:
        return _Facts()
    entry = cast("Mapping[str, object]", check_mapping(option, value))
    if unknown := [key for key in entry if key not in _KEYS]:
        raise invalid(option, unknown[0], f"is not a condition: {', '.join(sorted(_KEYS))}")
    kernel = entry.get("minKernel")
    return _Facts(
        frozenset(check_texts(option, entry.get("caps") or ())),
        frozenset(check_texts(option, entry.get("arches") or ())),
        None if not kernel else _version(option, kernel),
    )


def _version(option: str, value: object) -> tuple[int, int]:
    found = _VERSION.fullmatch(check_text(option, value))
    if found is None:
        raise invalid(option, value, "is not a version of the kernel such as '4.8'")
    return int(found[1]), int(found[2])
