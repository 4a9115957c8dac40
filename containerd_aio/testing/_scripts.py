"""What a process does that was not told: scripts, found by its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The life of a process. ``seconds`` is ``None`` for one that runs until it is told or killed."""

    args: tuple[str, ...] = ()
    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0
    seconds: float | None = None
    echo: bool = False
    ignores: frozenset[int] = frozenset()
    fails: str = ""


RUNS_ON = Script()


class Scripts:
    """The scripts that were given. Of those whose arguments a process begins with, the latest one counts."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []

    def add(self, script: Script) -> None:
        """Take a script for the processes to come."""
        self._scripts.append(script)

    def of(self, args: Sequence[str]) -> Script:
        """Return what a process with these arguments does."""
        for script in reversed(self._scripts):
            if script.args == tuple(args[: len(script.args)]):
                return script
        return RUNS_ON
