"""Taking the walls away, each by its name."""

from __future__ import annotations

from containerd_aio.spec.arguments import check_flag
from containerd_aio.spec.capability_sets import current_capabilities
from containerd_aio.spec.confinement import apparmor_profile, masked_paths, readonly_paths, selinux_label
from containerd_aio.spec.device_nodes import all_devices_allowed, host_devices
from containerd_aio.spec.mount_points import writable_cgroupfs, writable_sysfs
from containerd_aio.spec.option import SpecOption, compose
from containerd_aio.spec.seccomp_profile import seccomp_unconfined


def privileged(*, devices: bool = False) -> SpecOption:
    """Let the container do to the host what this process may: it is no boundary any more.

    That is `current_capabilities`; no `masked_paths` and no `readonly_paths`; `writable_sysfs` and
    `writable_cgroupfs`; no `selinux_label`, no `apparmor_profile`, and `seccomp_unconfined`. With ``devices`` it
    is `host_devices` and `all_devices_allowed`, too: as ``docker run --privileged`` has it, and as the Go client's
    option of this name does not.

    What stays as it is: its namespaces, its user, its limits, and `no_new_privileges`.
    """
    check_flag("privileged", devices)
    opened = compose(
        current_capabilities(),
        masked_paths(),
        readonly_paths(),
        writable_sysfs(),
        writable_cgroupfs(),
        selinux_label(None),
        apparmor_profile(None),
        seccomp_unconfined(),
    )
    return compose(opened, host_devices(), all_devices_allowed()) if devices else opened
