"""The OCI runtime spec of a container: the default, and options that change it.

An option is made with its values and passed in ``options=[…]`` of ``client.new_container()``; each is a pure
function, applied from left to right::

    from containerd_aio import spec

    options = [spec.hostname("web"), spec.memory_limit(256 * 2**20), spec.bind("/srv/www", "/www", readonly=True)]

The types of the spec itself, for those who write one by hand, are in `containerd_aio.spec.schema`.
"""

from containerd_aio.spec.capability_sets import add_capabilities, capabilities, drop_capabilities
from containerd_aio.spec.cgroup import (
    cgroup_path,
    cpu_quota,
    cpu_shares,
    cpus,
    cpuset_cpus,
    cpuset_mems,
    memory_limit,
    memory_swap,
    pids_limit,
    resources,
)
from containerd_aio.spec.default import default_spec
from containerd_aio.spec.exec import process_for_exec
from containerd_aio.spec.image import image_config
from containerd_aio.spec.metadata import annotations, shim_group
from containerd_aio.spec.mount_points import (
    bind,
    host_hosts,
    host_localtime,
    host_resolv_conf,
    mounts,
    readonly_rootfs,
    tmpfs,
    without_mounts,
    writable_sysfs,
)
from containerd_aio.spec.namespaces import (
    domainname,
    host_namespace,
    hostname,
    linux_namespace,
    network_namespace,
)
from containerd_aio.spec.option import RootfsNeeded, SpecContext, SpecOption, build, compose
from containerd_aio.spec.process import args, cwd, env, no_new_privileges, rlimit, terminal
from containerd_aio.spec.rootfs import Rootfs, RootfsUnreadableError, UnreadableRootfs, open_rootfs
from containerd_aio.spec.schema import LinuxResources, Spec
from containerd_aio.spec.trust import beyond_default
from containerd_aio.spec.users import additional_gids, append_groups, user

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
    "annotations",
    "append_groups",
    "args",
    "beyond_default",
    "bind",
    "build",
    "capabilities",
    "cgroup_path",
    "compose",
    "cpu_quota",
    "cpu_shares",
    "cpus",
    "cpuset_cpus",
    "cpuset_mems",
    "cwd",
    "default_spec",
    "domainname",
    "drop_capabilities",
    "env",
    "host_hosts",
    "host_localtime",
    "host_namespace",
    "host_resolv_conf",
    "hostname",
    "image_config",
    "linux_namespace",
    "memory_limit",
    "memory_swap",
    "mounts",
    "network_namespace",
    "no_new_privileges",
    "open_rootfs",
    "pids_limit",
    "process_for_exec",
    "readonly_rootfs",
    "resources",
    "rlimit",
    "shim_group",
    "terminal",
    "tmpfs",
    "user",
    "without_mounts",
    "writable_sysfs",
]
