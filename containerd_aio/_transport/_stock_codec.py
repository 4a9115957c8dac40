"""betterproto's own codec, until ours is here."""

from __future__ import annotations

from typing import TypeVar

import betterproto

M = TypeVar("M", bound=betterproto.Message)


class DecodeError(ValueError):
    pass


class EncodeError(ValueError):
    pass


def encode(message: betterproto.Message) -> bytes:
    return bytes(message)


def decode(cls: type[M], data: bytes) -> M:
    try:
        return cls().parse(data)
    except (ValueError, EOFError) as exc:
        raise DecodeError(str(exc)) from exc
