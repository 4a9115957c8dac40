"""What the user asked to run, put together from what was typed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from containerd_aio import spec
from containerd_aio.cli.binds import mount, volume
from containerd_aio.cli.environment import variables
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecOption

_SIZES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A container to run. ``detach`` leaves it to itself, as typing the ``detach_keys`` in its terminal does;
    ``private`` is on a containerd of its own; ``log`` is the file for its output, where one was named, an absolute
    path."""

    image: str
    args: Sequence[str] | None = None
    id: str | None = None
    interactive: bool = False
    terminal: bool = False
    detach: bool = False
    detach_keys: str = ""
    remove: bool = False
    private: bool = False
    env: Sequence[str] = ()
    env_files: Sequence[Path] = ()
    cwd: str | None = None
    user: str | None = None
    memory: str | None = None
    cpus: float | None = None
    host_network: bool = False
    volumes: Sequence[str] = ()
    mounts: Sequence[str] = ()
    read_only: bool = False
    log: Path | None = None

    def check(self) -> None:
        """Refuse what does not go together.

        :raises InvalidArgumentError: with the way out
        """
        if self.detach and self.remove:
            raise InvalidArgumentError("-d leaves the container to you: it takes no --rm; `rm` removes it")
        if self.detach and self.private:
            raise InvalidArgumentError("--private ends its containerd with this command: it takes no -d")
        if self.log is not None and (self.interactive or self.terminal):
            raise InvalidArgumentError("--log is for output that nobody sees: it takes neither -i nor -t")
        if self.detach and self.interactive is not self.terminal:
            raise InvalidArgumentError(
                "-d with -t and -i starts a terminal session to attach to later; one of the two alone makes none"
            )

    @property
    def is_session(self) -> bool:
        """Whether somebody types into a terminal of the container."""
        return self.interactive and self.terminal

    def container_id(self) -> str:
        """Return the id: the one that was asked for, else a new one."""
        return self.id or f"run-{secrets.token_hex(6)}"

    def options(self) -> list[SpecOption]:
        """Return the options of the OCI spec.

        :raises InvalidArgumentError: for what is no size, no mount and the like
        """
        options: list[SpecOption] = []
        if self.terminal:
            options.append(spec.terminal())
        if self.host_network:
            options.append(spec.host_network())
        if environment := variables(self.env, self.env_files):
            options.append(spec.env(environment))
        if self.cwd is not None:
            options.append(spec.cwd(self.cwd))
        if self.user is not None:
            options.append(spec.user(self.user))
        if self.memory is not None:
            options.append(spec.memory_limit(size(self.memory)))
        if self.cpus is not None:
            options.append(spec.cpus(self.cpus))
        if self.read_only:
            options.append(spec.readonly_rootfs())
        return [*options, *map(volume, self.volumes), *map(mount, self.mounts)]


def size(text: str) -> int:
    """Return the bytes of a size as ``64M``, ``1g`` or ``512KiB``.

    :raises InvalidArgumentError: if it is none
    """
    found = re.fullmatch(r"([0-9]+)([KMGT]?)(I?B)?", text.upper(), re.ASCII)
    if found is None:
        raise InvalidArgumentError(f"{text!r} is no size; give 64M or 1G")
    return int(found[1]) * _SIZES[found[2]]
