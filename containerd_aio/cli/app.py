"""The command line, put together in the order that its help shows."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from containerd_aio.cli.commands import checkpoints, daemon, images, running, tasks
from containerd_aio.cli.options import Address, Namespace


def _show_version(asked: bool) -> None:
    if not asked:
        return
    try:
        shown = metadata.version("containerd-aio")
    except metadata.PackageNotFoundError:
        shown = "(not installed: this runs from its source)"
    print(f"containerd-aio {shown}")
    raise typer.Exit


app = typer.Typer(
    name="containerd-aio",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes cut long options off
)


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit."),
    ] = False,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Run containers on containerd, and watch what happens there.

    Where, may be said before the command or behind it.
    """


for group in (running, tasks, checkpoints, images, daemon):
    app.add_typer(group.app)
