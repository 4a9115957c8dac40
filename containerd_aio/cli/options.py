"""Options that many commands share, and the form of their examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _typed(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> str | None:
    """Return what was typed behind the command, else before it (as with ctr and nerdctl), else in the environment."""
    source = ctx.get_parameter_source(param.name or "")
    before: str | None = ctx.find_root().params.get(param.name)
    return value if before is None or (source is not None and source.name == "COMMANDLINE") else before


def _address(*names: str) -> Any:
    return typer.Option(
        *names,
        metavar="ADDRESS",
        envvar="CONTAINERD_ADDRESS",
        help="containerd's socket; /run/containerd/containerd.sock if left out.",
        show_default=False,
        callback=_typed,
    )


Address = Annotated[str | None, _address("--address", "-a")]
AddressInFull = Annotated[str | None, _address("--address")]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        envvar="CONTAINERD_NAMESPACE",
        help="The namespace to work in; `default` if left out.",
        show_default=False,
        callback=_typed,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Names only, one a line.")]
Container = Annotated[
    str, typer.Argument(metavar="CONTAINER", help="The id of a container.", show_default=False)
]
Containers = Annotated[
    list[str], typer.Argument(metavar="CONTAINER", help="Ids of containers.", show_default=False)
]


def seconds(value: float) -> float:
    """Check a time that was typed."""
    if not value >= 0:  # nan is neither
        raise typer.BadParameter("give a number of seconds, 0 or more")
    return value


# Of a process in the foreground.
Terminal = Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal.")]
Interactive = Annotated[
    bool, typer.Option("--interactive", "-i", help="Connect its stdin with ours; /dev/null otherwise.")
]
Env = Annotated[
    list[str] | None,
    typer.Option(
        "--env", "-e", metavar="NAME=VALUE", help="A variable; NAME alone takes ours. May be repeated."
    ),
]
EnvFile = Annotated[
    list[Path] | None,
    typer.Option("--env-file", metavar="FILE", help="A file with a variable on each line. May be repeated."),
]
Cwd = Annotated[
    str | None, typer.Option("--cwd", "-w", "--workdir", metavar="PATH", help="The directory to run in.")
]
User = Annotated[
    str | None, typer.Option("--user", "-u", metavar="USER", help="A name, uid, user:group or uid:gid.")
]
Grace = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        callback=seconds,
        help="How long it has to end after a SIGTERM or SIGHUP, which is handed on.",
    ),
]


_PROGRAM = "containerd-aio"


def examples(*lines: str) -> str:
    """Return the text below a command's help."""
    # \b keeps the lines as they are.
    return "\n".join(["\b", "Examples:", *(f"  {_PROGRAM} {line}" for line in lines)])
