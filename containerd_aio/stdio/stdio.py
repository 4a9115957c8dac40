"""What a process's standard streams are connected to: the description that a user passes.

Nothing is open in it, so one description serves any number of processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from containerd_aio.stdio.fifo import DEFAULT_FIFO_DIR
from containerd_aio.stdio.opened import OpenStdio
from containerd_aio.types.process import ProcessRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdio(ABC):
    """What a process's standard streams are connected to; made by ``pipes()``, ``inherit()`` and their like.

    ``terminal`` tells whether the process gets a terminal; its spec must say the same. ``size`` is its width and
    height at first, in characters.
    """

    terminal: bool = False
    size: tuple[int, int] | None = None

    def terminal_size(self) -> tuple[int, int] | None:
        """Return the size of the terminal that a process begins with, ``None`` where it is not known, or there is
        no terminal."""
        return self.size if self.terminal else None

    @property
    @abstractmethod
    def uses_fifos(self) -> bool:
        """Whether opening makes FIFOs, which need a containerd on this host."""

    @abstractmethod
    async def open(
        self,
        *,
        process_id: str,
        fifo_dir: str = DEFAULT_FIFO_DIR,
        for_exec: bool = False,
        daemon_root: str | None = None,
    ) -> OpenStdio:
        """Open the streams for a process that is to be made. Cancelled, or failed, nothing is left behind.

        ``for_exec``: it is added to a container that runs, and not its init. ``daemon_root`` is where the file
        system shows as containerd sees it.

        :raises InvalidArgumentError: if ``process_id`` is no identifier, ``fifo_dir`` not absolute, or a
            descriptor that is to be used not open
        :raises PermissionDeniedError: if this user may not make FIFOs in ``fifo_dir``
        :raises OSError: if the system fails in another way (no descriptors left, no space)
        """

    @abstractmethod
    async def attach(self, record: ProcessRecord) -> OpenStdio:
        """Connect to the streams that a process has, as containerd reports them; two readers share the bytes.

        Only FIFOs can be connected to; what the process has else, or lacks, is left out. Where the process is
        started already, call ``started()`` next. Whether it has a terminal is told by ``record``. Closing the
        result with ``unlink`` removes the FIFOs. ``null()`` connects to nothing, and still removes.

        :raises NotFoundError: if a FIFO that containerd reports does not exist any more
        :raises InvalidArgumentError: if this is a kind that only serves new processes
        """
