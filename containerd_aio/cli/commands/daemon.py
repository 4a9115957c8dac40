"""containerd itself: ``events``, and a ``demo`` on one of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from containerd_aio.cli.options import Address, AsJson, examples
from containerd_aio.cli.program import finish

app = typer.Typer()


@app.command(epilog=examples("events", "events --json 'topic==\"/tasks/exit\",namespace==default'"))
def events(
    filters: Annotated[
        list[str] | None, typer.Argument(metavar="FILTER", help="Filters: one that matches is enough.")
    ] = None,
    as_json: AsJson = False,
    address: Address = None,
) -> None:
    """Show what happens in containerd.

    A line for each event, of all namespaces: time, namespace, topic, and the event as JSON. Goes on when containerd is started again; that events were missed meanwhile is told on stderr.
    """
    from containerd_aio.cli.events import show_events

    finish(show_events(filters or [], address=address, as_json=as_json))


@app.command(epilog=examples("demo"))
def demo() -> None:
    """See what this library does, on a private containerd.

    It needs root, containerd and runc, and leaves nothing behind.
    """
    from containerd_aio.cli.demo import show

    finish(show())
