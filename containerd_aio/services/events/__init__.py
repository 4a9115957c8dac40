"""containerd's Events service: what happens, as it happens, to those who ask before it does."""

from containerd_aio.services.events.service import Events
from containerd_aio.services.events.stream import RawEvent
from containerd_aio.services.events.subscription import MAX_LAG, Subscription

__all__ = ["MAX_LAG", "Events", "RawEvent", "Subscription"]
