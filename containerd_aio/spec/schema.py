"""The OCI runtime specification as types: the keys of ``config.json``, spelled as they are there.

Nothing is required and nothing is forbidden: a spec read back from containerd may come from any client and any
version, so keys that are not listed here stay in it untouched.

Source: https://github.com/opencontainers/runtime-spec, ``config.md`` and ``config-linux.md``.
"""

from __future__ import annotations

from typing import TypedDict


class Box(TypedDict, total=False):
    """The size of a terminal, in characters."""

    height: int
    width: int


class User(TypedDict, total=False):
    """Who the process runs as, by number."""

    uid: int
    gid: int
    umask: int
    additionalGids: list[int]
    username: str


class Capabilities(TypedDict, total=False):
    """The five capability sets of a process."""

    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Rlimit(TypedDict, total=False):
    """One resource limit of a process (``RLIMIT_NOFILE``)."""

    type: str
    hard: int
    soft: int


class Process(TypedDict, total=False):
    """What is run, and as what."""

    terminal: bool
    consoleSize: Box
    user: User
    args: list[str]
    commandLine: str
    env: list[str]
    cwd: str
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    apparmorProfile: str
    oomScoreAdj: int
    selinuxLabel: str


class Root(TypedDict, total=False):
    """The root filesystem; a relative path starts at the bundle that containerd makes."""

    path: str
    readonly: bool


class IDMapping(TypedDict, total=False):
    """A range of ids and where it lies on the host."""

    containerID: int
    hostID: int
    size: int


class Mount(TypedDict, total=False):
    """A mount inside of the container, made in the order of the list."""

    destination: str
    type: str
    source: str
    options: list[str]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]


class Hook(TypedDict, total=False):
    """A program of the host that the runtime calls."""

    path: str
    args: list[str]
    env: list[str]
    timeout: int


class Hooks(TypedDict, total=False):
    """The moments at which the runtime calls programs of the host."""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]


class LinuxNamespace(TypedDict, total=False):
    """A namespace to make, or, with a path, to join; one that is not listed is the host's."""

    type: str
    path: str


class LinuxDevice(TypedDict, total=False):
    """A device node to make."""

    path: str
    type: str
    major: int
    minor: int
    fileMode: int
    uid: int
    gid: int


class LinuxDeviceCgroup(TypedDict, total=False):
    """A rule of the device controller; later rules win."""

    allow: bool
    type: str
    major: int
    minor: int
    access: str


class LinuxMemory(TypedDict, total=False):
    """Memory limits, in bytes; -1 is no limit. ``swap`` is memory and swap together."""

    limit: int
    reservation: int
    swap: int
    kernel: int
    kernelTCP: int
    swappiness: int
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool


class LinuxCPU(TypedDict, total=False):
    """CPU shares and limits; ``quota``, ``burst`` and the periods in microseconds."""

    shares: int
    quota: int
    burst: int
    period: int
    realtimeRuntime: int
    realtimePeriod: int
    cpus: str
    mems: str
    idle: int


class LinuxPids(TypedDict, total=False):
    """How many processes and threads there may be."""

    limit: int


class LinuxHugepageLimit(TypedDict, total=False):
    """How many bytes of huge pages of one size there may be."""

    pageSize: str
    limit: int


class LinuxWeightDevice(TypedDict, total=False):
    """The weight of one disk."""

    major: int
    minor: int
    weight: int
    leafWeight: int


class LinuxThrottleDevice(TypedDict, total=False):
    """The most that may be read from or written to one disk, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


class LinuxBlockIO(TypedDict, total=False):
    """How disks are shared and limited."""

    weight: int
    leafWeight: int
    weightDevice: list[LinuxWeightDevice]
    throttleReadBpsDevice: list[LinuxThrottleDevice]
    throttleWriteBpsDevice: list[LinuxThrottleDevice]
    throttleReadIOPSDevice: list[LinuxThrottleDevice]
    throttleWriteIOPSDevice: list[LinuxThrottleDevice]


class LinuxIntelRdt(TypedDict, total=False):
    """A class of the CPUs' caches and memory bandwidth."""

    closID: str
    schemata: list[str]
    l3CacheSchema: str
    memBwSchema: str
    enableCMT: bool
    enableMBM: bool


class LinuxSeccompArg(TypedDict, total=False):
    """A comparison of one argument of a system call."""

    index: int
    value: int
    valueTwo: int
    op: str


class LinuxSyscall(TypedDict, total=False):
    """What happens to some system calls."""

    names: list[str]
    action: str
    errnoRet: int
    args: list[LinuxSeccompArg]


class LinuxSeccomp(TypedDict, total=False):
    """Which system calls the kernel refuses."""

    defaultAction: str
    defaultErrnoRet: int
    architectures: list[str]
    flags: list[str]
    listenerPath: str
    listenerMetadata: str
    syscalls: list[LinuxSyscall]


class LinuxTimeOffset(TypedDict, total=False):
    """How far a clock of a time namespace is ahead of the host's."""

    secs: int
    nanosecs: int


class LinuxResources(TypedDict, total=False):
    """What the container's cgroup allows; also what ``task.update()`` sends."""

    devices: list[LinuxDeviceCgroup]
    memory: LinuxMemory
    cpu: LinuxCPU
    pids: LinuxPids
    blockIO: LinuxBlockIO
    hugepageLimits: list[LinuxHugepageLimit]
    network: dict[str, object]
    rdma: dict[str, dict[str, int]]
    unified: dict[str, str]


class Linux(TypedDict, total=False):
    """What only Linux has."""

    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]
    sysctl: dict[str, str]
    resources: LinuxResources
    cgroupsPath: str
    namespaces: list[LinuxNamespace]
    devices: list[LinuxDevice]
    seccomp: LinuxSeccomp
    rootfsPropagation: str
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str
    intelRdt: LinuxIntelRdt
    personality: dict[str, object]
    timeOffsets: dict[str, LinuxTimeOffset]


class Spec(TypedDict, total=False):
    """A container as the runtime is told of it."""

    ociVersion: str
    process: Process
    root: Root
    hostname: str
    domainname: str
    mounts: list[Mount]
    hooks: Hooks
    annotations: dict[str, str]
    linux: Linux
