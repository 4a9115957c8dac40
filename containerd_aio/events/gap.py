"""What a reader of events is told where some are missing."""

from __future__ import annotations

from dataclasses import dataclass

from containerd_aio.errors import ContainerdError


@dataclass(frozen=True, slots=True)
class Gap:
    """Events are missing here; those that follow are of a new stream, which is live.

    containerd repeats nothing, so a reader that keeps track of something asks for its state when it meets a gap
    (``list_tasks()``, ``containers.list()`` …), and reads on. What changed before is in the answers, what changes
    after comes as an event; what changed while it asked may come both ways.

    The loss was noticed at ``since_ns``, the stream was live again at ``until_ns``: in nanoseconds since 1970, by
    the clock of this host. What containerd published shortly before ``since_ns`` may be missing too. ``error``
    tells why: `ConnectionLostError` where containerd went away, `EventsLostError` where the reader lagged.
    """

    since_ns: int
    until_ns: int
    error: ContainerdError
