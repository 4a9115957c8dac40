"""Filters: which events, containers, images … containerd is to give.

Every ``list(*filters)`` and ``subscribe(*filters)`` takes any number of them. Several filters are alternatives:
what one of them matches is given. Inside one filter, selectors parted by commas must all match. A selector is a
field path, an operator and a value; the path alone asks for presence:

* ``topic=="/tasks/exit"``              equal; the field must be there
* ``labels."com.example/role"!=web``    not equal; a field that is not there counts as empty, so it matches
* ``topic~="^/tasks/"``                 a regular expression (Go's RE2) finds something, anywhere
* ``labels.role``                       the field is there

`where` builds such a text and quotes it, `parse` reads one as the daemons do (containerd's ``pkg/filters``), so
that a bad filter is refused here, with the place of the fault, and not by a stream that ends.
"""

from containerd_aio.filters.build import (
    Condition,
    all_of,
    differs,
    equals,
    matches,
    modernize,
    names_field,
    present,
    where,
)
from containerd_aio.filters.grammar import Operator, Selector, parse

__all__ = [
    "Condition",
    "Operator",
    "Selector",
    "all_of",
    "differs",
    "equals",
    "matches",
    "modernize",
    "names_field",
    "parse",
    "present",
    "where",
]
