"""Which of an image's platforms this machine runs.

Go's names are the currency (``amd64``, ``arm64`` with variant ``v8``); ``uname`` has others. The default is this
machine's own platform, never a fixed one: a foreign image fails late, with "exec format error".
"""

from __future__ import annotations

import platform as python_platform

from containerd_aio.types import Platform

# uname -m -> (GOARCH, variant). Variants only where images of one architecture differ in them.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "arm64": ("arm64", "v8"),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
}
_ARM_VARIANTS = ("v8", "v7", "v6", "v5")  # best first: an arm processor runs the images of older ones


def host_platform() -> Platform:
    """Return this machine's platform: ``linux``, and the architecture in Go's words."""
    machine = python_platform.machine()
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform(os="linux", architecture=architecture, variant=variant)


def normalize(platform: Platform) -> Platform:
    """Return the platform with the variant that its architecture implies spelled out, and aliases resolved."""
    architecture, variant = platform.architecture.lower(), platform.variant.lower()
    architecture, implied = {
        "x86_64": ("amd64", ""),
        "x86-64": ("amd64", ""),
        "aarch64": ("arm64", ""),
        "i386": ("386", ""),
        "armhf": ("arm", "v7"),
        "armel": ("arm", "v6"),
    }.get(architecture, (architecture, ""))
    variant = variant or implied
    match architecture, variant:
        case "arm64", "" | "8":
            variant = "v8"
        case "arm", "":
            variant = "v7"
        case "arm", digit if digit.isdigit():
            variant = f"v{digit}"
        case "amd64", "v1":
            variant = ""
        case _:
            pass
    return Platform(
        os=platform.os.lower(),
        architecture=architecture,
        variant=variant,
        os_version=platform.os_version,
        os_features=platform.os_features,
    )


def rank(candidate: Platform, wanted: Platform) -> int | None:
    """Return how well an image for ``candidate`` suits ``wanted``: 0 is best, ``None`` means not at all."""
    candidate, wanted = normalize(candidate), normalize(wanted)
    if (candidate.os, candidate.architecture) != (wanted.os, wanted.architecture):
        return None
    if candidate.variant == wanted.variant:
        return 0
    if wanted.architecture == "arm" and {candidate.variant, wanted.variant} <= set(_ARM_VARIANTS):
        older = _ARM_VARIANTS.index(candidate.variant) - _ARM_VARIANTS.index(wanted.variant)
        return older if older > 0 else None
    if wanted.architecture == "amd64":
        # uname does not tell the level (v2, v3 …): a plain amd64 image suits all, a higher one may not run.
        return 1 if not candidate.variant else None
    return None
