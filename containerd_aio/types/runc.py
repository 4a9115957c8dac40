"""What the runc shim can be told beyond the OCI spec, in containerd's own words."""

from __future__ import annotations

from dataclasses import dataclass, fields

from containerd_aio.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class RuncOptions:
    """Options of ``io.containerd.runc.v2``: of a container, and of one task of it, where they change the container's.

    ``None`` means "as it is": as the container has it, else as the shim does by default. The names are those of
    ``containerd.runc.v1.Options``.

    * ``binary_name``: the OCI runtime, a name or a path: ``runc`` by default, ``crun`` works as well
    * ``root``: where runc keeps its state, ``/run/containerd/runc`` by default; below it a directory for each namespace
    * ``systemd_cgroup``: systemd makes the cgroups; the spec's ``cgroupsPath`` is then ``slice:prefix:name``
    * ``shim_cgroup``: the cgroup that the shim itself is put into, below each hierarchy
    * ``no_pivot_root``: ``MS_MOVE`` instead of ``pivot_root``, for a rootfs on a ramdisk
    * ``no_new_keyring``: the processes share the session keyring of the shim
    * ``io_uid``, ``io_gid``: who owns the pipes of the process; root of a user namespace is somebody else outside
    * ``criu_image_path``, ``criu_work_path``: directories to restore the task from, and for CRIU's logs
    """

    binary_name: str | None = None
    root: str | None = None
    systemd_cgroup: bool | None = None
    shim_cgroup: str | None = None
    no_pivot_root: bool | None = None
    no_new_keyring: bool | None = None
    io_uid: int | None = None
    io_gid: int | None = None
    criu_image_path: str | None = None
    criu_work_path: str | None = None

    def __post_init__(self) -> None:
        for name in ("io_uid", "io_gid"):
            number = getattr(self, name)
            if number is not None and not 0 <= number < 2**32:
                raise InvalidArgumentError(f"{name} is a number from 0 to 4294967295, not {number}")

    def given(self) -> dict[str, str | int]:
        """Return what is not ``None``, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class TaskEndpoint:
    """Where the shim of a sandbox takes tasks, as containerd tells when the sandbox is started:
    ``ttrpc+unix:///run/containerd/s/…`` and the version of its Task API, 3."""

    address: str
    version: int

    def __post_init__(self) -> None:
        protocol, plus, socket = self.address.partition("+")
        if not (protocol and plus and "://" in socket):
            raise InvalidArgumentError(
                f"the address of a task endpoint is like ttrpc+unix:///run/containerd/s/…, not {self.address!r}"
            )
        if not 0 < self.version < 2**32:
            raise InvalidArgumentError(f"a Task API has a version such as 3, not {self.version}")
