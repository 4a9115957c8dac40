"""``containerd-aio exec``: another process in a container that runs."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from containerd_aio.cli.environment import variables
from containerd_aio.cli.foreground import own_streams, run_to_the_end
from containerd_aio.cli.lookup import state_told, task_named
from containerd_aio.cli.output import until_closed
from containerd_aio.cli.program import SIGPIPE_CODE
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOrder:
    """A process to run in a container."""

    container: str
    args: Sequence[str]
    interactive: bool = False
    terminal: bool = False
    env: Sequence[str] = ()
    env_files: Sequence[Path] = ()
    cwd: str | None = None
    user: str | None = None


async def run_exec(
    order: ExecOrder, *, address: str | None, namespace: str | None, grace: float, signals: SignalsCaught
) -> int:
    """Run the process to its end, connected with our own streams, and return its code.

    The process is killed whatever ends this: a signal, an error, a pipe that nobody reads any more.
    """
    stdio = own_streams(interactive=order.interactive, terminal=order.terminal)
    with until_closed(sys.stdout.fileno()):
        async with Client(address, namespace=namespace) as client:
            task = await task_named(client, order.container)
            async with state_told(task, "run another process"):
                process = await task.exec(
                    f"exec-{secrets.token_hex(6)}",
                    order.args,
                    stdio=stdio,
                    env=variables(order.env, order.env_files),
                    cwd=order.cwd,
                    user=order.user,
                )
            async with process:
                raw = order.interactive and order.terminal
                return await run_to_the_end(process, signals, grace=grace, raw=raw) or 0
    return SIGPIPE_CODE
