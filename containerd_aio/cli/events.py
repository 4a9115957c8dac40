"""``containerd-aio events``: a line for each event."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import aclosing

from containerd_aio.cli.output import Output, until_closed
from containerd_aio.cli.program import SIGPIPE_CODE
from containerd_aio.client import Client
from containerd_aio.events import Event, Gap, rfc3339, to_json
from containerd_aio.filters import modernize


def line(event: Event) -> str:
    """Return the event as containerd's own tools show it: time, namespace, topic, JSON."""
    return f"{rfc3339(event.timestamp_ns)} {event.namespace} {event.topic} {_compact(to_json(event.payload))}"


def json_line(event: Event) -> str:
    """Return the event as one JSON object: ``timestamp``, ``namespace``, ``topic``, ``type`` and ``event``.

    An event of an unknown type has its bytes there, in base64, as ``value``.
    """
    return _compact(to_json(event))


def gap_line(gap: Gap) -> str:
    """Return what is said where events are missing."""
    return f"# events from {rfc3339(gap.since_ns)} to {rfc3339(gap.until_ns)} are missing: {gap.error}"


async def show_events(filters: Sequence[str], *, address: str | None, as_json: bool) -> int:
    """Print each event as it comes, until interrupted, or until nobody reads: then return the exit code.

    Filters of 2017's form are quoted for today's daemons. Gaps go to stderr. Nothing is published to containerd.

    :raises InvalidArgumentError: if a filter is none
    :raises ConnectionLostError: if containerd cannot be reached at first
    """
    quoted = [modernize(text) for text in filters]
    shown = json_line if as_json else line
    stdout = sys.stdout.fileno()
    output = Output(stdout)
    with until_closed(stdout):
        async with Client(address) as client:
            # Not entered: that would publish, and a tool that watches should not be seen by others.
            subscription = client.events.subscribe(*quoted, all_namespaces=True, on_gap="resume")
            async with aclosing(subscription) as items:
                async for item in items:
                    if isinstance(item, Gap):
                        print(gap_line(item), file=sys.stderr, flush=True)
                    else:
                        await output.write(shown(item) + "\n")
    return SIGPIPE_CODE


def _compact(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"))
