"""Tasks, by their containers: ``ps``, ``logs``, ``top``, ``kill``, ``stop``, ``pause``, ``resume``, ``wait``, ``rm``."""

from __future__ import annotations

from typing import Annotated

import typer

from containerd_aio.cli.options import (
    Address,
    AddressInFull,
    AsJson,
    Container,
    Containers,
    Namespace,
    Quiet,
    examples,
    seconds,
)
from containerd_aio.cli.program import finish

app = typer.Typer()


@app.command(epilog=examples("ps", "ps --all --json", "rm $(containerd-aio ps --all -q)"))
def ps(
    all: Annotated[bool, typer.Option("--all", "-a", help="Show containers without a task, too.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    address: AddressInFull = None,
    namespace: Namespace = None,
) -> None:
    """Show the tasks, and containers without one.

    The columns: container, image, pid, state with the code of one that has ended, how long ago the container was
    made.
    """
    from containerd_aio.cli.ps import show_tasks

    finish(show_tasks(address=address, namespace=namespace, all=all, quiet=quiet, as_json=as_json))


@app.command(epilog=examples("logs web", "logs -f --tail 10 web"))
def logs(
    container: Container,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the container has ended.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Only the last N lines of what is there.")
    ] = None,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Show what a container has written to its log.

    Those of `run -d` and `run --log` have one; both outputs are in it, byte for byte. It grows as long as the
    container writes: nothing rotates it, and `rm` removes it.
    """
    from containerd_aio.cli.logs import show_logs

    finish(show_logs(container, address=address, namespace=namespace, follow=follow, tail=tail))


@app.command(epilog=examples("top", "top --once", "top --json --interval 10 | jq .memory"))
def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once, of one interval, and end.")] = False,
    interval: Annotated[float, typer.Option(metavar="SECONDS", help="How often to look.")] = 2.0,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Show what the tasks use: CPU, memory, processes.

    100 % is one whole CPU; memory is without the file cache that can be taken back at once. In a terminal it goes
    on until Ctrl-C; else it is shown once, and with --json for ever.
    """
    from containerd_aio.cli.top import show_usage

    finish(show_usage(address=address, namespace=namespace, once=once, interval=interval, as_json=as_json))


@app.command(epilog=examples("kill web", "kill -s HUP web", "kill --all-processes web"))
def kill(
    containers: Containers,
    signal: Annotated[str, typer.Option("--signal", "-s", help="Its name or number.")] = "KILL",
    all_processes: Annotated[
        bool, typer.Option("--all-processes", help="Send it to every process in the container.")
    ] = False,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Send a signal to containers, and print their ids."""
    from containerd_aio.cli.control import send_signal

    finish(send_signal(containers, signal, all=all_processes, address=address, namespace=namespace))


@app.command(epilog=examples("stop web", "stop -t 60 db"))
def stop(
    containers: Containers,
    grace: Annotated[
        float,
        typer.Option(
            "--time", "-t", metavar="SECONDS", callback=seconds, help="How long it has to end by itself."
        ),
    ] = 10.0,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Ask containers to end, and kill those that do not.

    They are asked with the stop signal of their image, else SIGTERM. The containers stay; `rm` removes them.
    """
    from containerd_aio.cli.control import for_tasks, stopped

    finish(for_tasks(containers, stopped(grace), address=address, namespace=namespace))


@app.command(epilog=examples("pause web"))
def pause(containers: Containers, address: Address = None, namespace: Namespace = None) -> None:
    """Freeze all processes of containers."""
    from containerd_aio.cli.control import for_tasks, paused

    finish(for_tasks(containers, paused, address=address, namespace=namespace))


@app.command(epilog=examples("resume web"))
def resume(containers: Containers, address: Address = None, namespace: Namespace = None) -> None:
    """Let the processes of paused containers go on."""
    from containerd_aio.cli.control import for_tasks, resumed

    finish(for_tasks(containers, resumed, address=address, namespace=namespace))


@app.command(epilog=examples("wait job", "wait job-1 job-2"))
def wait(containers: Containers, address: Address = None, namespace: Namespace = None) -> None:
    """Wait for containers to end, and print their codes."""
    from containerd_aio.cli.control import awaited, for_tasks

    finish(for_tasks(containers, awaited, address=address, namespace=namespace))


@app.command(epilog=examples("rm web", "rm -f web db"))
def rm(
    containers: Containers,
    force: Annotated[bool, typer.Option("--force", "-f", help="Kill what still runs.")] = False,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Remove containers, with their files and logs.

    A log that `run --log` has put elsewhere stays.
    """
    from containerd_aio.cli.rm import remove

    finish(remove(containers, address=address, namespace=namespace, force=force))
