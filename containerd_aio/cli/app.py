"""The commands and their arguments; what they do stands in a module of each one's name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from containerd_aio.errors import ContainerdError

T = TypeVar("T")

app = typer.Typer(
    name="containerd-aio",
    help="Run containers on containerd, and watch what happens there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Address = Annotated[
    str | None,
    typer.Option(
        "--address", "-a", envvar="CONTAINERD_ADDRESS", help="containerd's socket.", show_default=False
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", envvar="CONTAINERD_NAMESPACE", help="The namespace.", show_default=False
    ),
]


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    image: Annotated[
        str, typer.Argument(help="The name of an image that is there, or a file: an image archive.")
    ],
    args: Annotated[
        list[str] | None, typer.Argument(help="What to run in it, in place of the image's Cmd.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Start a containerd for this run alone (needs root).")
    ] = False,
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE; may be repeated.")] = None,
    cwd: Annotated[str | None, typer.Option("--cwd", help="The directory to run in.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="name, uid, or user:group.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", "-m", help="Limit, as 64M or 1G.")] = None,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Run a container to its end, connected to this terminal, and remove it. Ends with the container's code."""
    from containerd_aio.cli.run import Order, run_container

    order = Order(image=image, args=args or None, env=tuple(env or ()), cwd=cwd, user=user, memory=memory)
    sys.exit(_finish(run_container(order, address=address, namespace=namespace, private=private)))


@app.command()
def events(
    filters: Annotated[list[str] | None, typer.Argument(help="Filters: one that matches is enough.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Show each event as one JSON object.")] = False,
    address: Address = None,
) -> None:
    """Show what happens in containerd, in all namespaces: time, namespace, topic, and the event as JSON.

    Goes on when containerd is started again; that events were missed meanwhile is told on stderr.
    """
    from containerd_aio.cli.events import show_events

    sys.exit(_finish(show_events(filters or [], address=address, as_json=as_json)))


@app.command()
def demo() -> None:
    """Start a private containerd and show what this library does with it (needs root, containerd and runc)."""
    from containerd_aio.cli.demo import show

    _finish(show())


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a command; errors of this library are a line on stderr, Ctrl-C ends it quietly."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ContainerdError, OSError) as error:
        _complain(error)


def _complain(error: Exception) -> NoReturn:
    for line in (str(error), *getattr(error, "__notes__", ())):
        print(f"containerd-aio: {line}", file=sys.stderr)
    sys.exit(1)
