"""Opening a process's streams where its containerd can reach them."""

from __future__ import annotations

from containerd_aio._session import Session
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio import OpenStdio, Stdio


async def open_stdio(session: Session, stdio: Stdio, process_id: str, *, for_exec: bool = False) -> OpenStdio:
    """Open the streams of a process that is to be made: a container's init, or an exec.

    :raises InvalidArgumentError: if they take FIFOs, and the daemon is on another host
    """
    if session.fifo_dir is None:
        if stdio.uses_fifos:
            raise InvalidArgumentError(
                "FIFOs do not reach a containerd on another host: use null(), log_file() or log_uri()"
            )
        return await stdio.open(process_id=process_id, for_exec=for_exec)
    pid = session.daemon_pid()
    return await stdio.open(
        process_id=process_id,
        fifo_dir=session.fifo_dir,
        for_exec=for_exec,
        daemon_root=None if pid is None else f"/proc/{pid}/root",
    )
