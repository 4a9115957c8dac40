"""Leases: which calls carry them, and which must not."""

from __future__ import annotations

import asyncio
import contextvars

import anyio
import pytest

from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.lease import current_lease, lease_scope
from containerd_aio._transport.supervise import Background
from containerd_aio.errors import InvalidArgumentError


@pytest.fixture
def connection() -> Connection:
    return Connection(Address.parse("/run/a.sock"))


@pytest.fixture
def other() -> Connection:
    return Connection(Address.parse("/run/a.sock"))


def test_outside_of_a_scope_there_is_none(connection: Connection) -> None:
    assert current_lease(connection, "x") is None


def test_a_scope_is_for_one_connection_and_namespace(connection: Connection, other: Connection) -> None:
    """Two connections to one address are two all the same: a lease of one daemon never reaches another."""
    with lease_scope(connection, "x", "lease-1"):
        assert current_lease(connection, "x") == "lease-1"
        assert current_lease(connection, "y") is None
        assert current_lease(other, "x") is None
    assert current_lease(connection, "x") is None


def test_scopes_nest(connection: Connection, other: Connection) -> None:
    with lease_scope(connection, "x", "outer"), lease_scope(other, "x", "other's"):
        with lease_scope(connection, "x", "inner"):
            assert current_lease(connection, "x") == "inner"
            assert current_lease(other, "x") == "other's"
        assert current_lease(connection, "x") == "outer"


def test_a_scope_ends_with_an_error_too(connection: Connection) -> None:
    with pytest.raises(ValueError, match="bug"), lease_scope(connection, "x", "lease-1"):
        raise ValueError("bug")
    assert current_lease(connection, "x") is None


async def test_child_tasks_carry_it_and_others_do_not(connection: Connection) -> None:
    async def look() -> str | None:
        return current_lease(connection, "x")

    before = asyncio.create_task(look())
    with lease_scope(connection, "x", "lease-1"):
        inside = asyncio.create_task(look())
    after = asyncio.create_task(look())
    assert [await before, await inside, await after] == [None, "lease-1", None]


async def test_background_work_does_not_carry_it(connection: Connection) -> None:
    seen: list[str | None] = []

    async def look() -> None:
        seen.append(current_lease(connection, "x"))

    with lease_scope(connection, "x", "lease-1"):
        background = Background.start(look, name="look", crashed=lambda error: None)
        await anyio.wait_all_tasks_blocked()
        assert background.done
    assert seen == [None]


def test_a_scope_may_be_left_in_another_context(connection: Connection) -> None:
    """A fixture is entered and left in contexts of their own."""
    scope = lease_scope(connection, "x", "lease-1")
    contextvars.Context().run(scope.__enter__)
    scope.__exit__(None, None, None)
    assert current_lease(connection, "x") is None


@pytest.mark.parametrize("lease", ["", " ", "a\n", "a\r\nb", " a", "ä", "a\0"])
def test_an_id_that_is_no_header_is_refused(connection: Connection, lease: str) -> None:
    with pytest.raises(InvalidArgumentError, match="lease id"), lease_scope(connection, "x", lease):
        pass


@pytest.mark.parametrize("lease", ["a", "a b", "2026-11-21/x~"])
def test_other_ids_are_taken(connection: Connection, lease: str) -> None:
    with lease_scope(connection, "x", lease):
        assert current_lease(connection, "x") == lease
