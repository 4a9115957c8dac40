"""What the kernel hides and forbids: paths of /proc and /sys, and the profiles of AppArmor and SELinux.

System calls are a matter of their own, `seccomp`.
"""

from __future__ import annotations

import os

from containerd_aio.spec.arguments import check_name, check_path, invalid
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Spec
from containerd_aio.spec.sections import linux_of, process_of


def masked_paths(*paths: str | os.PathLike[str]) -> SpecOption:
    """Hide these paths from the container, and no others: an empty file or directory lies over each.

    They replace the default ones (`containerd_aio.spec.default.MASKED_PATHS`), which tell about the host; without
    paths nothing is hidden.

    :raises InvalidArgumentError: if a path is not absolute
    """
    hidden = [check_path("masked_paths", each) for each in paths]

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["maskedPaths"] = hidden.copy()
        return {**spec, "linux": linux}

    return option


def readonly_paths(*paths: str | os.PathLike[str]) -> SpecOption:
    """Make these paths read-only for the container, and no others.

    They replace the default ones (`containerd_aio.spec.default.READONLY_PATHS`), which change the host; without
    paths nothing is read-only.

    :raises InvalidArgumentError: if a path is not absolute
    """
    kept = [check_path("readonly_paths", each) for each in paths]

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["readonlyPaths"] = kept.copy()
        return {**spec, "linux": linux}

    return option


def apparmor_profile(name: str | None) -> SpecOption:
    """Confine the process by an AppArmor profile that containerd's host has loaded; ``None``: by none.

    The runtime refuses a profile that is not loaded, and any on a host without AppArmor.

    :raises InvalidArgumentError: if the name is empty
    """
    profile = None if name is None else check_name("apparmor_profile", name)

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process.pop("apparmorProfile", None)
        if profile is not None:
            process["apparmorProfile"] = profile
        return {**spec, "process": process}

    return option


def selinux_label(label: str | None, *, mount_label: str | None = None) -> SpecOption:
    """Run the process with an SELinux label (``"system_u:system_r:container_t:s0:c1,c2"``); ``None``: with none.

    ``mount_label`` is the one of the files, which the process's must be allowed to use: ``"…:container_file_t:…"``
    with the same categories. The mounts of the container get it, those of its snapshot too. An earlier one is
    kept where it is ``None``, and dropped with the label.

    The runtime refuses a label on a host without SELinux.

    :raises InvalidArgumentError: if a label is empty, or ``mount_label`` holds a quote
    """
    name = None if label is None else check_name("selinux_label", label)
    files = None if mount_label is None else check_name("selinux_label", mount_label)
    if files is not None and '"' in files:
        raise invalid("selinux_label", files, "holds a quote, at which an option of a mount would end")

    def option(spec: Spec, context: SpecContext) -> Spec:
        process, linux = process_of(spec), linux_of(spec)
        if name is None:
            process.pop("selinuxLabel", None)
            linux.pop("mountLabel", None)
        else:
            process["selinuxLabel"] = name
        if files is not None:
            linux["mountLabel"] = files
        return {**spec, "process": process, "linux": linux}

    return option
