"""What containerd tells beside the status and the message: ``grpc-status-details-bin``.

containerd 2.0 and later send it for joined errors: a ``google.rpc.Status`` whose details are further ones, or an
``Any`` of a typed error as JSON. It only ever adds to a message, so whatever cannot be read is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.rpc import Status
from containerd_aio._transport.codec import decode

_DEEPEST: Final = 8
_MOST: Final = 16
_LONGEST: Final = 1000


def detail_texts(data: bytes | None, message: str) -> list[str]:
    """Return the texts in the details that ``message`` does not hold already, in their order."""
    if not data:
        return []
    texts: list[str] = []
    try:
        for text in _texts(decode(Status, data), _DEEPEST):
            if text not in message and text not in texts:
                texts.append(text[:_LONGEST])
            if len(texts) == _MOST:
                break
    except Exception:  # anything: a server's or proxy's details must not turn one error into another
        pass
    return texts


def _texts(status: Status, depth: int) -> Iterator[str]:
    if status.message:
        yield status.message
    for detail in status.details:
        yield from _texts_of_any(detail, depth)


def _texts_of_any(detail: ProtoAny, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    name = detail.type_url.rpartition("/")[2]
    if name == "google.rpc.Status":
        yield from _texts(decode(Status, detail.value), depth - 1)
    elif name == "google.protobuf.Any":
        yield from _texts_of_any(decode(ProtoAny, detail.value), depth - 1)
    elif name == "ErrUnexpectedStatus":
        # A registry's answer (containerd's core/remotes/errors): the most telling keys of it.
        error = json.loads(detail.value)
        yield f"{error['requestMethod']} {error['requestURL']}: HTTP status {error['status']}"
