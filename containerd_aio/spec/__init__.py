"""The OCI runtime spec of a container: the default, and options that change it.

An option is made with its values and passed in ``options=[…]`` of ``client.new_container()``; each is a pure
function, applied from left to right::

    from containerd_aio import spec

    options = [spec.hostname("web"), spec.memory_limit(256 * 2**20), spec.bind("/srv/www", "/www", readonly=True)]

The options, by what they touch:

* the process: `args` `env` `env_file` `default_path` `cwd` `terminal` `console_size` `umask` `rlimit`
  `oom_score_adj` `no_new_privileges`; who it is: `user` `additional_gids` `append_groups` `user_namespace`; what
  root may: `capabilities` `add_capabilities` `drop_capabilities` `ambient_capabilities` `current_capabilities`
* files: `bind` `tmpfs` `mounts` `without_mounts` `without_run_mount` `dev_shm_size` `readonly_rootfs`
  `rootfs_path` `rootfs_propagation` `cgroupfs` `writable_cgroupfs` `writable_sysfs` `host_hosts`
  `host_resolv_conf` `host_localtime`; devices: `device` `devices` `device_node` `host_devices`
  `default_device_rules` `all_devices_allowed` `parent_cgroup_devices`
* namespaces: `hostname` `domainname` `host_namespace` `linux_namespace` `sysctls` `time_offsets`; the network:
  `host_network` `network_namespace`
* limits: `memory_limit` `memory_swap` `memory_reservation` `hugepage_limit` `cpus` `cpu_quota` `cpu_shares`
  `cpu_burst` `cpu_realtime` `cpuset_cpus` `cpuset_mems` `rdt` `pids_limit` `block_io` `unified` `cgroup_path`
  `namespaced_cgroup`; `resources` is for ``task.update()``
* walls: `seccomp_default` `seccomp_file` `seccomp` `seccomp_unconfined` `apparmor_profile` `selinux_label`
  `masked_paths` `readonly_paths`; `privileged` takes them away
* the whole: `compose` `image_config` `from_default` `from_bytes` `from_file` `annotations` `shim_group` `hook`

What an option reads of the host (a device, a file) it reads when it is made, on the host of this program. What the
runtime needs is checked as far as it can be known here; the rest the runtime refuses when the task is created,
with a `StartFailedError`.

The types of the spec itself, for those who write one by hand, are in `containerd_aio.spec.schema`.
"""

from containerd_aio.spec.blkio import block_io
from containerd_aio.spec.capability_sets import (
    add_capabilities,
    ambient_capabilities,
    capabilities,
    current_capabilities,
    drop_capabilities,
)
from containerd_aio.spec.cgroup import cgroup_path, namespaced_cgroup, pids_limit, unified
from containerd_aio.spec.confinement import apparmor_profile, masked_paths, readonly_paths, selinux_label
from containerd_aio.spec.cpu import (
    cpu_burst,
    cpu_quota,
    cpu_realtime,
    cpu_shares,
    cpus,
    cpuset_cpus,
    cpuset_mems,
    rdt,
)
from containerd_aio.spec.default import default_spec
from containerd_aio.spec.device_nodes import (
    all_devices_allowed,
    default_device_rules,
    device,
    device_node,
    devices,
    host_devices,
    parent_cgroup_devices,
)
from containerd_aio.spec.exec import process_for_exec
from containerd_aio.spec.hooks import hook
from containerd_aio.spec.image import image_config
from containerd_aio.spec.kernel import sysctls, time_offsets
from containerd_aio.spec.limits import resources
from containerd_aio.spec.memory import hugepage_limit, memory_limit, memory_reservation, memory_swap
from containerd_aio.spec.metadata import annotations, shim_group
from containerd_aio.spec.mount_points import (
    bind,
    cgroupfs,
    dev_shm_size,
    host_hosts,
    host_localtime,
    host_resolv_conf,
    mounts,
    readonly_rootfs,
    rootfs_path,
    rootfs_propagation,
    tmpfs,
    without_mounts,
    without_run_mount,
    writable_cgroupfs,
    writable_sysfs,
)
from containerd_aio.spec.namespaces import domainname, host_namespace, hostname, linux_namespace
from containerd_aio.spec.network import host_network, network_namespace
from containerd_aio.spec.option import RootfsNeeded, SpecContext, SpecOption, build, compose
from containerd_aio.spec.privilege import privileged
from containerd_aio.spec.process import (
    args,
    console_size,
    cwd,
    default_path,
    env,
    env_file,
    no_new_privileges,
    oom_score_adj,
    rlimit,
    terminal,
    umask,
)
from containerd_aio.spec.rootfs import Rootfs, RootfsUnreadableError, UnreadableRootfs, open_rootfs
from containerd_aio.spec.schema import LinuxResources, Spec
from containerd_aio.spec.seccomp_profile import seccomp, seccomp_default, seccomp_file, seccomp_unconfined
from containerd_aio.spec.trust import beyond_default
from containerd_aio.spec.user_namespace import user_namespace
from containerd_aio.spec.users import additional_gids, append_groups, user
from containerd_aio.spec.whole import from_bytes, from_default, from_file

__all__ = [
    "LinuxResources",
    "Rootfs",
    "RootfsNeeded",
    "RootfsUnreadableError",
    "Spec",
    "SpecContext",
    "SpecOption",
    "UnreadableRootfs",
    "add_capabilities",
    "additional_gids",
    "all_devices_allowed",
    "ambient_capabilities",
    "annotations",
    "apparmor_profile",
    "append_groups",
    "args",
    "beyond_default",
    "bind",
    "block_io",
    "build",
    "capabilities",
    "cgroup_path",
    "cgroupfs",
    "compose",
    "console_size",
    "cpu_burst",
    "cpu_quota",
    "cpu_realtime",
    "cpu_shares",
    "cpus",
    "cpuset_cpus",
    "cpuset_mems",
    "current_capabilities",
    "cwd",
    "default_device_rules",
    "default_path",
    "default_spec",
    "dev_shm_size",
    "device",
    "device_node",
    "devices",
    "domainname",
    "drop_capabilities",
    "env",
    "env_file",
    "from_bytes",
    "from_default",
    "from_file",
    "hook",
    "host_devices",
    "host_hosts",
    "host_localtime",
    "host_namespace",
    "host_network",
    "host_resolv_conf",
    "hostname",
    "hugepage_limit",
    "image_config",
    "linux_namespace",
    "masked_paths",
    "memory_limit",
    "memory_reservation",
    "memory_swap",
    "mounts",
    "namespaced_cgroup",
    "network_namespace",
    "no_new_privileges",
    "oom_score_adj",
    "open_rootfs",
    "parent_cgroup_devices",
    "pids_limit",
    "privileged",
    "process_for_exec",
    "rdt",
    "readonly_paths",
    "readonly_rootfs",
    "resources",
    "rlimit",
    "rootfs_path",
    "rootfs_propagation",
    "seccomp",
    "seccomp_default",
    "seccomp_file",
    "seccomp_unconfined",
    "selinux_label",
    "shim_group",
    "sysctls",
    "terminal",
    "time_offsets",
    "tmpfs",
    "umask",
    "unified",
    "user",
    "user_namespace",
    "without_mounts",
    "without_run_mount",
    "writable_cgroupfs",
    "writable_sysfs",
]
