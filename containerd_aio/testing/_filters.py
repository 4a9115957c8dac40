"""Filters as the daemon applies them: to events and to the records of each service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import Operator, Selector, parse
from containerd_aio.testing._statuses import invalid

Filters: TypeAlias = list[tuple[Selector, ...]]
Field: TypeAlias = Callable[[tuple[str, ...]], str | None]
"""The value at a field path, ``None`` where there is none."""


def parsed(texts: Iterable[str]) -> Filters:
    """Return the filters that the texts are.

    :raises InvalidArgumentError: if one of them is none. That one differs from the daemon's own: here a regular
        expression that RE2 does not know is refused too
    """
    return [parse(text) for text in texts]


def filters_of(texts: Iterable[str]) -> Filters:
    """Return the filters of a List call.

    :raises GRPCError: INVALID_ARGUMENT if one of them is none
    """
    try:
        return parsed(texts)
    except InvalidArgumentError as error:
        raise invalid(f"filters: parse error: {error}: invalid argument") from error


def matches(filters: Filters, field: Field) -> bool:
    """Tell whether any of the filters matches; without one, everything does."""
    return not filters or any(all(_holds(selector, field) for selector in selectors) for selectors in filters)


def record_field(fields: Mapping[str, str], **maps: Mapping[str, str]) -> Field:
    """Return what reads the fields of a record: plain ones by their dotted path, and entries of maps."""

    def field(path: tuple[str, ...]) -> str | None:
        if path[0] in maps:
            return maps[path[0]].get(".".join(path[1:]))
        return fields.get(".".join(path)) or None

    return field


def _holds(selector: Selector, field: Field) -> bool:
    value = field(selector.path)
    match selector.operator:
        case Operator.PRESENT:
            return value is not None
        case Operator.EQUALS:
            return value == selector.value
        case Operator.DIFFERS:
            return (value or "") != selector.value
        case Operator.MATCHES:
            return re.search(selector.value, value or "") is not None
