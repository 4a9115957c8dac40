"""Payloads of every kind, for property tests."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from hypothesis import strategies as st

from containerd_aio.events import TYPE_URLS, Payload, TaskIO, UnknownEvent
from containerd_aio.types import AnyValue, Mount, Runtime

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_labels = st.dictionaries(text, text, max_size=3)
_mounts = st.builds(Mount, text, text, text, st.lists(text, max_size=3).map(tuple))
_any_values = st.builds(AnyValue, text.filter(bool), st.binary(max_size=8))
_times = st.one_of(st.none(), st.integers(-62_135_596_799 * 10**9, 253_402_300_800 * 10**9 - 1))

_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "exited_at_ns": _times,
    "labels": _labels,
    "rootfs": st.lists(_mounts, max_size=3).map(tuple),
    "io": st.one_of(st.none(), st.builds(TaskIO, text, text, text, st.booleans())),
    "runtime": st.one_of(st.none(), st.builds(Runtime, text, st.one_of(st.none(), _any_values))),
    "size": st.integers(-(2**63), 2**63 - 1),
}
_BY_TYPE: dict[type, st.SearchStrategy[Any]] = {str: text, int: st.integers(0, 2**32 - 1)}


def payloads_of(cls: type[Payload]) -> st.SearchStrategy[Payload]:
    """Payloads of one class, with anything in their fields."""
    if cls is UnknownEvent:
        return st.builds(UnknownEvent, text.map("example.{}".format), st.binary(max_size=8))
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    strategies = {name: _BY_NAME[name] if name in _BY_NAME else _BY_TYPE[hints[name]] for name in names}
    return st.builds(cls, **strategies)


CLASSES: tuple[type[Payload], ...] = (*TYPE_URLS, UnknownEvent)

payloads: st.SearchStrategy[Payload] = st.sampled_from(CLASSES).flatmap(payloads_of)
