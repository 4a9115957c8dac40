"""``containerd-aio events``: a line for each event."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from containerd_aio.client import Client
from containerd_aio.events import Event, rfc3339, to_json
from containerd_aio.filters import modernize


def line(event: Event) -> str:
    """Return the event as containerd's own tools show it: time, namespace, topic, JSON."""
    payload = json.dumps(to_json(event.payload), separators=(",", ":"))
    return f"{rfc3339(event.timestamp_ns)} {event.namespace} {event.topic} {payload}"


async def show_events(filters: Sequence[str], *, address: str | None) -> None:
    """Print each event as it comes, until interrupted; filters of 2017's form are quoted for today's daemons."""
    quoted = [modernize(text) for text in filters]
    async with Client(address) as client, client.events.subscribe(*quoted, all_namespaces=True) as events:
        async for event in events:
            print(line(event), file=sys.stdout, flush=True)
