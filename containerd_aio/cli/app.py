"""The command line, put together in the order that its help shows."""

from __future__ import annotations

import typer

from containerd_aio.cli.commands import daemon, images, running, tasks

app = typer.Typer(
    name="containerd-aio",
    help="Run containers on containerd, and watch what happens there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes cut long options off
)

for group in (running, tasks, images, daemon):
    app.add_typer(group.app)
