"""Fields of a JSON document that somebody else wrote, each read with its type checked.

A ``Fields`` is a value and the place where it stands, so that the error for a wrong one can tell it:
``manifest sha256:ab…: layers[2].size must be a number of bytes, but is absent``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, cast

from containerd_aio.errors import InvalidArgumentError

_DIGEST = re.compile("sha256:[0-9a-f]{64}", re.ASCII)
_MAX_SIZE: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Fields:
    """A value somewhere in a document; ``None`` where the document has nothing, or ``null``, there."""

    value: object
    about: str
    place: str = ""

    def __bool__(self) -> bool:
        return self.value is not None

    def at(self, name: str) -> Fields:
        """Return the field of that name of this object, whatever it is."""
        inside = _members(self.value)
        return Fields(
            inside.get(name) if inside else None, self.about, f"{self.place}.{name}" if self.place else name
        )

    def object_at(self, name: str, *, optional: bool = False) -> Fields:
        """Return a field that must be an object, or, if ``optional``, may be absent."""
        inside = self.at(name)
        return inside if optional and not inside else inside.as_object()

    def entries(self, name: str, *, most: int) -> list[Fields]:
        """Return the entries of a field that must be a list, of ``most`` entries at most; absent is empty."""
        return self.at(name).as_list(most=most)

    def text(self, name: str, *, required: bool = False) -> str:
        """Return a field that must be text, ``""`` where it is absent; neither is taken if ``required``."""
        inside = self.at(name)
        if not inside and not required:
            return ""
        text = inside.as_text()
        if required and not text:
            raise inside.wrong("text that is not empty")
        return text

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a field that must be a list of texts; absent is empty."""
        return tuple(entry.as_text() for entry in self.entries(name, most=100_000))

    def text_map(self, name: str) -> dict[str, str]:
        """Return a field that must be an object of texts; absent is empty."""
        inside = self.object_at(name, optional=True)
        members = _members(inside.value) or {}
        names = [Fields(key, self.about, f"{inside.place}: a name").as_text() for key in members]
        return {key: inside.at(key).as_text() for key in names}

    def size(self, name: str) -> int:
        """Return a field that must be a whole number of bytes."""
        inside = self.at(name)
        number = inside.value
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _MAX_SIZE:
            raise inside.wrong("a number of bytes")
        return number

    def as_object(self) -> Fields:
        """Return this, once it is known to be an object."""
        if _members(self.value) is None:
            raise self.wrong("an object")
        return self

    def as_list(self, *, most: int) -> list[Fields]:
        """Return the entries of this, which must be a list of ``most`` entries at most, or absent."""
        if self.value is None:
            return []
        entries = _entries(self.value)
        if entries is None:
            raise self.wrong("a list")
        if len(entries) > most:
            raise self.wrong(f"of {most} entries at most")
        return [Fields(entry, self.about, f"{self.place}[{at}]") for at, entry in enumerate(entries)]

    def as_digest(self) -> str:
        """Return this as a digest; sha256 is the only kind that is taken."""
        if not isinstance(self.value, str) or not _DIGEST.fullmatch(self.value):
            raise self.wrong("a digest (sha256: and 64 hex digits)")
        return self.value

    def as_text(self) -> str:
        """Return this as text that can go anywhere: no NUL, and nothing that UTF-8 cannot express."""
        if not isinstance(self.value, str):
            raise self.wrong("text")
        if "\0" in self.value or not _is_unicode(self.value):
            raise self.wrong("Unicode text without NUL")
        return self.value

    def wrong(self, wanted: str) -> InvalidArgumentError:
        """Return the error for a value that is not what it must be."""
        entries = _entries(self.value)
        if self.value is None:
            found = "absent"
        elif entries is not None:
            found = f"a list of {len(entries)}"
        else:
            found = "an object" if _members(self.value) is not None else f"{self.value!r:.100}"
        where = f"{self.about}: {self.place}" if self.place else self.about
        return InvalidArgumentError(f"{where} must be {wanted}, but is {found}")


def parse_json(data: bytes, *, about: str, max_size: int) -> Fields:
    """Return a JSON document; ``about`` names it in errors.

    :raises InvalidArgumentError: if it is larger than ``max_size`` bytes, or is not JSON in UTF-8
    """
    if len(data) > max_size:
        raise InvalidArgumentError(f"{about} has {len(data)} bytes; at most {max_size} are taken")
    try:
        return Fields(json.loads(data.decode()), about)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        raise InvalidArgumentError(f"{about} is not JSON: {error}") from error


def _members(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _entries(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _is_unicode(text: str) -> bool:
    """Return whether UTF-8 can express it: JSON's escapes can spell half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
