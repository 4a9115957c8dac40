"""Checkpoints: how one is taken, and whether that works at all."""

from __future__ import annotations

from dataclasses import dataclass

from containerd_aio.errors import InvalidArgumentError

_CGROUPS_MODES = ("", "soft", "full", "strict", "ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOptions:
    """How CRIU takes the state of a task. The names are those of ``containerd.runc.v1.CheckpointOptions``.

    * ``exit``: the processes never run on from their state. They are frozen, and killed when all of it is stored:
      what fails before that has ended nothing
    * ``open_tcp``: established TCP connections are written too, instead of being a reason to refuse. With ``exit``
      it is CRIU that kills then, so that the other ends do not notice: what fails after that loses the processes.
      The shims of containerd 1.6 to 2.3 cannot ask for them again when they restore: that takes
      ``tcp-established`` in ``/etc/criu/runc.conf``
    * ``external_unix_sockets``: so are unix sockets whose other end lies outside of the container
    * ``terminal``: so is a terminal that was inherited (CRIU's ``--shell-job``); containerd's own needs it not
    * ``file_locks``: so are file locks, on by default
    * ``empty_namespaces``: namespaces that are restored empty (``network``)
    * ``cgroups_mode``: ``soft``, ``full``, ``strict`` or ``ignore``; the shims of containerd 1.6 to 2.3 take no
      notice of it
    * ``work_path``: a directory on containerd's host for CRIU's log
    """

    exit: bool = False
    open_tcp: bool = False
    external_unix_sockets: bool = False
    terminal: bool = False
    file_locks: bool = True
    empty_namespaces: tuple[str, ...] = ()
    cgroups_mode: str = ""
    work_path: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.empty_namespaces, str):
            raise InvalidArgumentError(f"empty_namespaces is a tuple: ({self.empty_namespaces!r},)")
        if self.cgroups_mode not in _CGROUPS_MODES:
            raise InvalidArgumentError(
                f"cgroups_mode is one of {', '.join(_CGROUPS_MODES[1:])}, not {self.cgroups_mode!r}"
            )


@dataclass(frozen=True, slots=True)
class CheckpointSupport:
    """Whether a containerd can checkpoint tasks; true as a condition only where that is certain.

    ``supported`` is ``None`` where it cannot be told from here. ``reason`` says it in words, with the way out;
    ``criu`` is the version of CRIU that was found.
    """

    supported: bool | None
    reason: str
    criu: str | None = None

    def __bool__(self) -> bool:
        return self.supported is True

    def __str__(self) -> str:
        return self.reason
