"""The spec that options start from: containerd's own default for Linux.

It is the same that containerd's Go client writes, so a container made here is confined as one made there. It has
no args, no hostname and no seccomp profile. Source: containerd, ``pkg/oci``; the paths under /proc and /sys that
leak or control the host are those of containerd 2.0 and later.
"""

from __future__ import annotations

from typing import Final

from containerd_aio.spec.schema import Linux, Mount, Process, Spec
from containerd_aio.types.identifier import check_identifier

# The oldest version that has every key used here: an old runtime accepts it, and a new one reads it the same way.
OCI_VERSION: Final = "1.0.2"

DEFAULT_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEFAULT_CAPABILITIES: Final = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

DEFAULT_NAMESPACES: Final = ("pid", "ipc", "uts", "mount", "network")

MASKED_PATHS: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    # Power meters tell what other processes compute (PLATYPUS, CVE-2020-8694).
    "/sys/devices/virtual/powercap",
    "/proc/scsi",
)

READONLY_PATHS: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_MOUNTS: Final = (
    ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
    ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/run", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
)


def default_spec(container_id: str, namespace: str) -> Spec:
    """Return containerd's default spec for Linux; the two names make its cgroup, ``/<namespace>/<id>``.

    :raises InvalidArgumentError: if one of the names is not what containerd takes as one
    """
    check_identifier("container id", container_id)
    check_identifier("namespace", namespace)
    return {
        "ociVersion": OCI_VERSION,
        "process": _process(),
        "root": {"path": "rootfs"},
        "mounts": default_mounts(),
        "linux": _linux(f"/{namespace}/{container_id}"),
    }


def default_mounts() -> list[Mount]:
    """Return the mounts of the default spec, in their order."""
    return [
        {"destination": destination, "type": kind, "source": source, "options": options.split(",")}
        for destination, kind, source, options in _MOUNTS
    ]


def _process() -> Process:
    return {
        "user": {"uid": 0, "gid": 0},
        "cwd": "/",
        # Not in the inheritable set (CVE-2022-24769), nor in the ambient one.
        "capabilities": {
            "bounding": list(DEFAULT_CAPABILITIES),
            "effective": list(DEFAULT_CAPABILITIES),
            "permitted": list(DEFAULT_CAPABILITIES),
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _linux(cgroups_path: str) -> Linux:
    return {
        "cgroupsPath": cgroups_path,
        "namespaces": [{"type": kind} for kind in DEFAULT_NAMESPACES],
        # The runtime adds rules for the nodes that it makes itself: null, zero, full, random, urandom, tty, pts.
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "maskedPaths": list(MASKED_PATHS),
        "readonlyPaths": list(READONLY_PATHS),
    }
