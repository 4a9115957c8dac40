"""The parser of filters, held against the daemon's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from containerd_aio._api.containerd.services.containers import v1 as api
from containerd_aio._transport.call import Caller
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import modernize, parse, where
from containerd_aio.filters.characters import quote
from containerd_aio.services import Services
from tests.conftest import UNHEEDED
from tests.filters.oracle import BAD, BAD_EXPRESSIONS, GOOD, GOOD_EXPRESSIONS

pytestmark = pytest.mark.integration

PIECES = (
    "a", "b1", "_", ".", ",", "==", "!=", "~=", "=", '"', "/", "|", " ", "\\", r"\n", r"\"", r"\/", r"\x41", r"\400",
    r"\u00e9", "\n", "\t", "é", "\x85", "\u200b", "\x01", "\ufffd", "a==b", '"x"', "~=/x/", "$",
)  # fmt: skip
"""What random filters are made of."""


async def taken(caller: Caller, text: str) -> bool:
    """Whether the daemon takes a filter, unseen by the parser here."""
    request = api.ListContainersRequest(filters=[text])
    try:
        await caller.unary(
            "containerd.services.containers.v1.Containers/List", request, api.ListContainersResponse
        )
    except InvalidArgumentError:
        return False
    return True


@pytest.mark.parametrize("text", GOOD.values(), ids=list(GOOD))
async def test_the_daemon_takes_what_is_good(services: Services, text: str) -> None:
    assert await taken(services.caller, text)


@pytest.mark.parametrize("text", BAD.values(), ids=list(BAD))
async def test_the_daemon_refuses_what_is_bad(services: Services, text: str) -> None:
    assert not await taken(services.caller, text)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[*UNHEEDED, HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join))
async def test_parser_and_daemon_agree(services: Services, text: str) -> None:
    verdict = True
    try:
        parse(text)
    except InvalidArgumentError as refused:
        assume("regular expression" not in str(refused))  # the daemon takes those, and matches nothing
        verdict = False
    assert await taken(services.caller, text) is verdict


async def test_the_daemon_takes_what_modernize_makes_of_2017(services: Services) -> None:
    for old in ("topic==/tasks/exit", "topic~=/tasks/.+,namespace==bb"):
        assert not await taken(services.caller, old)
        assert await taken(services.caller, modernize(old))


@pytest.fixture
async def lease(services: Services) -> AsyncIterator[str]:
    """A lease to be found by filters."""
    lease = await services.leases.create(id="abc", labels={"a.b/c": 'é"\\/|\n\t\x7f\ufffd', "": ""})
    yield lease.id
    await services.leases.delete(lease.id)


@pytest.mark.parametrize("pattern", GOOD_EXPRESSIONS)
async def test_the_daemon_compiles_good_expressions(services: Services, lease: str, pattern: str) -> None:
    """With an empty alternative, an expression that compiles finds something in every text."""
    assert [found.id for found in await services.leases.list(f"id~={quote(pattern + '|')}")] == [lease]


@pytest.mark.parametrize("pattern", BAD_EXPRESSIONS)
async def test_the_daemon_finds_nothing_by_bad_expressions(
    services: Services, lease: str, pattern: str
) -> None:
    assert await services.leases.list(f"id~={quote('|' + pattern)}") == []


async def test_what_where_quotes_is_what_the_daemon_finds(services: Services, lease: str) -> None:
    value = 'é"\\/|\n\t\x7f\ufffd'
    assert [found.id for found in await services.leases.list(where(labels={"a.b/c": value}))] == [lease]
    assert await services.leases.list(where(labels={"a.b/c": value + "x"})) == []
