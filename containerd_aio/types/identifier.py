"""containerd's rule for names that it makes directories of.

Container ids, exec ids, namespaces and the components of event topics follow it (containerd's
``pkg/identifiers``): letters and digits, with a single ``.``, ``_`` or ``-`` between them, 76 bytes at most.
"""

from __future__ import annotations

import re
from typing import Final

from containerd_aio.errors import InvalidArgumentError

MAX_LENGTH: Final = 76
"""Bytes in an identifier, at most."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")


def check_identifier(kind: str, text: str) -> None:
    """Refuse a text that containerd would not take as an identifier.

    ``kind`` names it in the message: ``"container id"``, ``"exec id"``, ``"namespace"``.

    :raises InvalidArgumentError: if it is empty, too long, or holds another character
    """
    if not text:
        raise InvalidArgumentError(f"the {kind} must not be empty")
    if len(text) > MAX_LENGTH:
        raise InvalidArgumentError(
            f"the {kind} {text[:MAX_LENGTH]!r}… has {len(text)} characters; {MAX_LENGTH} at most are allowed"
        )
    if _IDENTIFIER.fullmatch(text) is None:
        raise InvalidArgumentError(
            f"the {kind} {text!r} is not an identifier: use letters and digits,"
            " with a single '.', '_' or '-' between them"
        )
