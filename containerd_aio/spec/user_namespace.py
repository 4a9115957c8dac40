"""A user namespace: who the container's users are on the host."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final, TypeAlias, cast

from containerd_aio.spec.arguments import check_integer, invalid
from containerd_aio.spec.namespaces import joined_namespace
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import IDMapping, Spec
from containerd_aio.spec.sections import linux_of

# user_namespaces(7): lines of a map, and the number that is no id.
_LINES_MAX: Final = 340
_IDS: Final = 2**32 - 1

_OPTION: Final = "user_namespace"
_RANGE: Final = "range (first id inside, first id on the host, how many)"

IdRange: TypeAlias = tuple[int, int, int]


def user_namespace(uids: Iterable[IdRange], gids: Iterable[IdRange] | None = None) -> SpecOption:
    """Map the container's users to others of the host: ``user_namespace([(0, 100_000, 65_536)])``.

    Each range is written as in ``/proc/self/uid_map``: the first id in the container, the first on the host, how
    many. Groups are mapped as the users are where ``gids`` is ``None``. An earlier mapping is replaced.

    Files of the image keep their owners on the host: those that are not mapped belong to nobody (65534) in the
    container. The container's directories must be open to the mapped root; containerd sees to its own.

    :raises InvalidArgumentError: for no range, more than 340, overlapping ones, or ids that are none
    """
    users = _ranges(uids)
    groups = users if gids is None else _ranges(gids)
    own = joined_namespace(_OPTION, "user", None)

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(own(spec, context))
        linux["uidMappings"] = [_mapping(each) for each in users]
        linux["gidMappings"] = [_mapping(each) for each in groups]
        return {**spec, "linux": linux}

    return option


def _ranges(value: object) -> list[IdRange]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise invalid(_OPTION, value, f"is not a list of {_RANGE}s")
    ranges = [_range(each) for each in cast("Iterable[object]", value)]
    if not 1 <= len(ranges) <= _LINES_MAX:
        raise invalid(_OPTION, ranges, f"has {len(ranges)} ranges; the kernel takes 1 to {_LINES_MAX}")
    for side in (0, 1):
        spans = sorted((each[side], each[2]) for each in ranges)
        for (start, size), (following, _) in pairwise(spans):
            if start + size > following:
                raise invalid(_OPTION, ranges, f"has ranges that overlap at {following}")
    return ranges


def _range(value: object) -> IdRange:
    parts = tuple(cast("Iterable[object]", value)) if isinstance(value, tuple | list) else (value,)
    if len(parts) != 3:
        raise invalid(_OPTION, parts, f"is not a {_RANGE}")
    inside, outside, size = (check_integer(_OPTION, each, minimum=0, maximum=_IDS) for each in parts)
    if size == 0 or max(inside, outside) + size > _IDS:
        raise invalid(_OPTION, (inside, outside, size), f"is not a range of ids below {_IDS}")
    return inside, outside, size


def _mapping(ids: IdRange) -> IDMapping:
    inside, outside, size = ids
    return {"containerID": inside, "hostID": outside, "size": size}
