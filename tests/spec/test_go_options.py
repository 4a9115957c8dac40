"""Every option of containerd's Go client has its counterpart here, or a reason to have none.

The names are those of containerd's ``pkg/oci`` (``spec_opts*.go``), all 82, and ``Compose``; and of
``contrib/seccomp``, which are made there on top of it. ``tests/spec`` and ``tests/integration`` prove them.
"""

from __future__ import annotations

import pytest

from containerd_aio import spec

GO_OPTIONS = {
    # the whole spec
    "Compose": "compose",
    "WithDefaultSpec": "from_default",
    "WithDefaultSpecForPlatform": "from_default",  # Linux is the only platform here
    "WithSpecFromBytes": "from_bytes",
    "WithSpecFromFile": "from_file",
    # the process
    "WithEnv": "env",
    "WithEnvFile": "env_file",
    "WithDefaultPathEnv": "default_path",
    "WithProcessArgs": "args",
    "WithProcessCwd": "cwd",
    "WithTTY": "terminal",
    "WithTTYSize": "console_size",
    "WithNoNewPrivileges": "no_new_privileges",
    "WithNewPrivileges": "no_new_privileges",  # no_new_privileges(False)
    "WithRlimit": "rlimit",
    "WithUmask": "umask",
    # the image
    "WithImageConfig": "image_config",
    "WithImageConfigArgs": "image_config",  # image_config(args)
    # the root filesystem and mounts
    "WithRootFSPath": "rootfs_path",
    "WithRootFSReadonly": "readonly_rootfs",
    "WithMounts": "mounts",
    "WithoutMounts": "without_mounts",
    "WithoutRunMount": "without_run_mount",
    "WithDevShmSize": "dev_shm_size",  # bytes, not kilobytes
    "WithHostHostsFile": "host_hosts",
    "WithHostResolvconf": "host_resolv_conf",
    "WithHostLocaltime": "host_localtime",
    "WithWriteableSysfs": "writable_sysfs",
    "WithWriteableCgroupfs": "writable_cgroupfs",
    # namespaces
    "WithHostNamespace": "host_namespace",
    "WithLinuxNamespace": "linux_namespace",
    "WithUserNamespace": "user_namespace",
    "WithHostname": "hostname",
    "WithDomainname": "domainname",
    # users
    "WithUser": "user",
    "WithUIDGID": "user",  # user("1000:1000")
    "WithUserID": "user",  # user("1000")
    "WithUsername": "user",
    "WithAdditionalGIDs": "additional_gids",
    "WithAppendAdditionalGroups": "append_groups",
    # capabilities
    "WithCapabilities": "capabilities",
    "WithAddedCapabilities": "add_capabilities",
    "WithDroppedCapabilities": "drop_capabilities",
    "WithAmbientCapabilities": "ambient_capabilities",
    "WithAllCurrentCapabilities": "current_capabilities",
    "WithAllKnownCapabilities": "capabilities",  # capabilities("ALL")
    # what is hidden and forbidden
    "WithMaskedPaths": "masked_paths",
    "WithReadonlyPaths": "readonly_paths",
    "WithSelinuxLabel": "selinux_label",
    "WithApparmorProfile": "apparmor_profile",
    "WithSeccompUnconfined": "seccomp_unconfined",
    "WithPrivileged": "privileged",
    # the cgroup
    "WithCgroup": "cgroup_path",
    "WithNamespacedCgroup": "namespaced_cgroup",
    "WithMemoryLimit": "memory_limit",
    "WithMemorySwap": "memory_swap",
    "WithPidsLimit": "pids_limit",
    "WithCPUShares": "cpu_shares",
    "WithCPUs": "cpuset_cpus",
    "WithCPUsMems": "cpuset_mems",
    "WithCPUCFS": "cpu_quota",
    "WithCPUBurst": "cpu_burst",
    "WithCPURT": "cpu_realtime",
    "WithBlockIO": "block_io",
    "WithRdt": "rdt",
    # devices
    "WithLinuxDevices": "device_node",  # once for each; with permissions "" there is no rule, as in Go
    "WithLinuxDevice": "device",
    "WithLinuxDeviceFollowSymlinks": "device",  # device(…, follow_links=True)
    "WithDevices": "devices",
    "WithHostDevices": "host_devices",
    "WithDefaultUnixDevices": "default_device_rules",
    "WithAllDevicesAllowed": "all_devices_allowed",
    "WithParentCgroupDevices": "parent_cgroup_devices",
    # the rest
    "WithAnnotations": "annotations",
}
WINDOWS = {
    "WithProcessCommandLine",
    "WithWindowsHyperV",
    "WithWindowsIgnoreFlushesDuringBoot",
    "WithWindowNetworksAllowUnqualifiedDNSQuery",
    "WithWindowsNetworkNamespace",
    "WithWindowsCPUCount",
    "WithWindowsCPUShares",
    "WithWindowsCPUMaximum",
    "WithWindowsDevice",
}
CONTRIB = {
    "seccomp.WithProfile": "seccomp_file",
    "seccomp.WithDefaultProfile": "seccomp_default",
    "apparmor.WithProfile": "apparmor_profile",
    # apparmor.WithDefaultProfile loads a profile into the kernel of the client's host, and nvidia.WithGPUs installs
    # a hook of a program of nvidia's: neither is a matter of the spec alone.
}


def test_all_of_them_are_in_the_table() -> None:
    assert len(GO_OPTIONS.keys() - {"Compose"}) + len(WINDOWS) == 82
    assert not GO_OPTIONS.keys() & WINDOWS


@pytest.mark.parametrize("name", sorted({*GO_OPTIONS.values(), *CONTRIB.values()}))
def test_the_counterpart_exists_and_says_what_it_does(name: str) -> None:
    assert name in spec.__all__
    assert getattr(spec, name).__doc__
