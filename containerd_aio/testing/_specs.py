"""What the fake reads of OCI documents: the arguments of a process, and whether there is a root filesystem."""

from __future__ import annotations

import json
from typing import cast

from containerd_aio.testing._statuses import unknown


def args_of(spec: bytes, *, part: str = "") -> tuple[str, ...]:
    """Return the arguments of an OCI process, or of the one that is a ``part`` of a spec.

    :raises GRPCError: UNKNOWN if it is no JSON
    """
    document = document_of(spec)
    process = document.get(part) if part else document
    args = cast("dict[str, object]", process).get("args") if isinstance(process, dict) else None
    return tuple(map(str, cast("list[object]", args))) if isinstance(args, list) else ()


def has_root(spec: bytes) -> bool:
    """Tell whether a spec names a root filesystem that is there without mounts."""
    root = document_of(spec).get("root")
    path = cast("dict[str, object]", root).get("path") if isinstance(root, dict) else None
    return isinstance(path, str) and path.startswith("/")


def document_of(spec: bytes) -> dict[str, object]:
    """Return the JSON object that these bytes are.

    :raises GRPCError: UNKNOWN if they are none
    """
    try:
        document = json.loads(spec)
    except ValueError:
        raise unknown("unexpected end of JSON input") from None
    return cast("dict[str, object]", document) if isinstance(document, dict) else {}
