"""An exchange, and the Events service that is connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from containerd_aio.services.events import Events
from tests.services.events.exchange import Exchange, exchanging


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
async def events(exchange: Exchange) -> AsyncIterator[Events]:
    async with exchanging(exchange) as events:
        yield events
