"""Environment variables as they are typed, ``-e NAME=VALUE`` and ``-e NAME``, and files of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from containerd_aio.errors import InvalidArgumentError


def variables(given: Iterable[str], files: Iterable[Path]) -> dict[str, str]:
    """Return the variables of files, and those that were typed; of one name, the last.

    A name without a value has that of our own environment, and is left out where there is none, as with Docker.

    :raises InvalidArgumentError: for an entry without a name, or a file that cannot be read
    """
    found: dict[str, str] = {}
    for path in files:
        found.update(_of_file(path))
    found.update(_assigned((each, f"-e {each}") for each in given))
    return found


def _of_file(path: Path) -> dict[str, str]:
    """Read a file with one variable a line; empty lines and those that begin with ``#`` are passed over."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InvalidArgumentError(f"--env-file: cannot read {str(path)!r}: {error}") from error
    lines = ((number, line.lstrip()) for number, line in enumerate(text.splitlines(), 1))
    return _assigned(
        (line, f"line {number} of {str(path)!r}")
        for number, line in lines
        if line and not line.startswith("#")
    )


def _assigned(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry, where in entries:
        name, equals, value = entry.partition("=")
        if not name or any(character.isspace() for character in name):
            raise InvalidArgumentError(f"{where}: {entry!r} is not NAME=VALUE")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found
