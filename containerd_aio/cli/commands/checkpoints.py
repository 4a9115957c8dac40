"""Containers that are stored as they run, and go on later: ``checkpoint``, ``restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from containerd_aio.cli.options import Address, Grace, Interactive, Namespace, examples
from containerd_aio.cli.program import NOT_RUN, finish
from containerd_aio.cli.signals import SignalsCaught

app = typer.Typer()


@app.command(
    epilog=examples(
        "checkpoint web",
        "checkpoint --exit web before-upgrade",
        "checkpoint -o web.tar web",
        "checkpoint --check",
    )
)
def checkpoint(
    container: Annotated[
        str | None, typer.Argument(metavar="CONTAINER", help="The id of a container.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="IMAGE", help="The image's name; a new one if left out.")
    ] = None,
    exit: Annotated[bool, typer.Option("--exit", help="End the container with it.")] = False,
    tcp: Annotated[
        bool, typer.Option("--tcp", help="Take established TCP connections, instead of refusing them.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it to an archive as well; - is stdout."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="DIRECTORY", help="Write the memory alone to this directory, and make no image."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Do nothing but tell whether CRIU works here; 1 if it does not.")
    ] = False,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Store a running container as an image, and print its name.

    Its memory is in it, what it has changed in its files, and its image. It is frozen meanwhile, and goes on. This
    takes CRIU where containerd is.
    """
    from containerd_aio.cli.checkpoint import CheckpointOrder, take_checkpoint, tell_support

    if check:
        finish(tell_support(address=address, namespace=namespace))
    if container is None:
        raise typer.BadParameter("say which container", param_hint="CONTAINER")
    order = CheckpointOrder(
        container=container, name=name, output=output, directory=directory, exit=exit, tcp=tcp
    )
    finish(take_checkpoint(order, address=address, namespace=namespace))


@app.command(epilog=examples("restore before-upgrade", "restore -d --id web web.tar"))
def restore(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="The name of a checkpoint, or a file: an archive of one, which is imported.",
            show_default=False,
        ),
    ],
    id: Annotated[
        str | None,
        typer.Option("--id", "--name", metavar="ID", help="The container's id; a new one if left out."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", "-d", help="Leave it running and print its id; `logs`, `stop` and `rm` take over."
        ),
    ] = False,
    interactive: Interactive = False,
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Begin with the image's files, without what was changed.")
    ] = False,
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted", help="Give it what it had beyond the default: host paths, devices, capabilities."
        ),
    ] = False,
    grace: Grace = 10.0,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Let a container go on from a checkpoint.

    It is connected with this terminal, as with `run`: its code is that of this command, and it is removed at the
    end. What had a terminal gets one. CRIU does as root what the memory says: restore what comes from people you trust.
    """
    from containerd_aio.cli.restore import RestoreOrder, restore_container

    order = RestoreOrder(
        source=source, id=id, detach=detach, interactive=interactive, files=not no_files, trusted=trusted
    )
    signals = SignalsCaught()
    work = restore_container(order, address=address, namespace=namespace, grace=grace, signals=signals)
    finish(work, failed=NOT_RUN, signals=signals)
