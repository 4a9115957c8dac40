"""Image references: ``busybox`` and what it is short for, ``docker.io/library/busybox:latest``.

The grammar is that of the distribution project, and the short forms are docker's, as everybody types them.
containerd itself takes any text as an image's name; a reference is what people and registries mean by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from containerd_aio.errors import InvalidArgumentError

DEFAULT_DOMAIN: Final = "docker.io"
DEFAULT_TAG: Final = "latest"
MAX_NAME: Final = 255

_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?", re.ASCII)
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference in full: ``domain/path``, and a tag, a digest or both; ``str()`` gives it back as text."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return what the text means, with what it leaves out filled in.

        No domain: ``docker.io``; one path part there: ``library/`` before it; neither tag nor digest: ``latest``.

        :raises InvalidArgumentError: if it is no image reference; the message tells which part is wrong
        """
        rest, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise _invalid(text, f"{digest!r} is not a digest (sha256: and 64 hex digits)")
        name, tag = _split_tag(rest)
        if tag is not None and not _TAG.fullmatch(tag):
            raise _invalid(text, f"{tag!r} is not a tag (up to 128 of letters, digits, '_', '.', '-')")
        domain, path = _split_domain(name)
        if not _DOMAIN.fullmatch(domain):
            raise _invalid(text, f"{domain!r} is not a registry's host name")
        _check_path(text, path)
        if len(domain) + 1 + len(path) > MAX_NAME:
            raise _invalid(text, f"its name is longer than {MAX_NAME} characters")
        if tag is None and not at:
            tag = DEFAULT_TAG
        return cls(domain, path, tag, digest or None)

    @property
    def name(self) -> str:
        """The repository: domain and path, without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The shortest form that still means this: ``busybox:latest``."""
        short = self.name
        if self.domain == DEFAULT_DOMAIN:
            short = self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path
        return short + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix


def normalize_name(text: str) -> str:
    """Return the reference in full: ``docker.io/library/busybox:latest`` for ``busybox``.

    :raises InvalidArgumentError: if it is no image reference
    """
    return str(Reference.parse(text))


def _split_tag(text: str) -> tuple[str, str | None]:
    """Split at the last colon, unless that is a port's: ``localhost:5000/app`` has no tag."""
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return name, tag


def _split_domain(name: str) -> tuple[str, str]:
    """Split off the host: a first part that could not be a user's name on docker.io."""
    first, slash, rest = name.partition("/")
    if not slash or not (set(first) & set(".:") or first == "localhost" or first != first.lower()):
        first, rest = DEFAULT_DOMAIN, name
    if first == "index.docker.io":
        first = DEFAULT_DOMAIN
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _check_path(text: str, path: str) -> None:
    if re.fullmatch("(?:library/)?[0-9a-f]{64}", path):
        raise _invalid(text, "64 hex digits are an image's id, not a name")
    for part in path.split("/"):
        if _PATH_PART.fullmatch(part):
            continue
        if _PATH_PART.fullmatch(part.lower()):
            raise _invalid(text, f"{part!r} must be lower case")
        raise _invalid(text, f"{part!r} is not a part of a repository's name" if part else "a part is empty")


def _invalid(text: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{text[:300]!r} is not an image reference: {reason}")
