"""What is run: arguments, environment, working directory, terminal, and what the kernel grants the process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Mapping
from typing import Final

from containerd_aio.spec.arguments import check_flag, check_integer, check_path, check_text, invalid
from containerd_aio.spec.default import DEFAULT_PATH
from containerd_aio.spec.environment import Changes, env_changes, file_changes, merged_env, split_env
from containerd_aio.spec.host import read_file
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Process, Spec
from containerd_aio.spec.sections import process_of

_KNOWN: Final = """
    AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK
"""
_RLIMITS: Final = frozenset(_KNOWN.split())
_UNLIMITED: Final = 2**64 - 1
_TERMINAL_MAX: Final = 2**16 - 1  # struct winsize of ioctl_tty(2)


def args(*command: str) -> SpecOption:
    """Run ``command``, a program and its arguments; nothing of the image's Entrypoint or Cmd is kept.

    :raises InvalidArgumentError: without a program, or for arguments that are no text
    """
    if not command:
        raise invalid("args", command, "names no program")
    texts = [check_text("args", each) for each in command]
    if not texts[0]:
        raise invalid("args", command, "names an empty program")

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["args"] = list(texts)
        process.pop("commandLine", None)
        return {**spec, "process": process}

    return option


def env(variables: Mapping[str, str | None] | Iterable[str]) -> SpecOption:
    """Set, replace and remove environment variables.

    ``variables`` is a mapping, where ``None`` removes the name, or a list of ``NAME=value``, where a bare
    ``NAME`` removes it.

    :raises InvalidArgumentError: for a plain ``str``, an empty name, a name with ``=``, or text with a NUL
    """
    return _with_env(env_changes("env", variables))


def env_file(path: str | os.PathLike[str]) -> SpecOption:
    """Do as `env` does with a file of this host: a ``NAME=value`` on each line, or a ``NAME`` to remove.

    Values are taken as they are, quotes too. Empty lines, and those that begin with ``#``, are passed over. The
    file is read now, not when the container is made.

    :raises InvalidArgumentError: if it cannot be read, is not UTF-8, or holds a line that is no variable
    """
    return _with_env(file_changes("env_file", read_file("env_file", path)))


def default_path() -> SpecOption:
    """Set ``PATH`` to what a container of an image without variables has, ``/usr/local/sbin`` … ``/bin``."""
    return _with_env(split_env([DEFAULT_PATH]))


def cwd(path: str | os.PathLike[str]) -> SpecOption:
    """Start the process in ``path``, which the runtime makes where the image has no such directory.

    :raises InvalidArgumentError: if it is not an absolute path
    """
    directory = check_path("cwd", path)

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["cwd"] = directory
        return {**spec, "process": process}

    return option


def terminal() -> SpecOption:
    """Give the process a terminal, and ``TERM=xterm`` where the environment has no TERM.

    The task's stdio must have a terminal too: ``new_task(stdio=pipes(terminal=True))``.
    """

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        set_terminal(process)
        return {**spec, "process": process}

    return option


def console_size(width: int, height: int) -> SpecOption:
    """Begin with a terminal of ``width`` and ``height`` characters; ``task.resize()`` changes it later.

    :raises InvalidArgumentError: if one is not between 1 and 65535
    """
    columns = check_integer("console_size", width, minimum=1, maximum=_TERMINAL_MAX)
    rows = check_integer("console_size", height, minimum=1, maximum=_TERMINAL_MAX)

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["consoleSize"] = {"height": rows, "width": columns}
        return {**spec, "process": process}

    return option


def umask(mask: int) -> SpecOption:
    """Take these permissions from the files that the process makes: ``umask(0o027)``; 0o022 without the option.

    :raises InvalidArgumentError: if it is not between 0 and 0o777
    """
    bits = check_integer("umask", mask, minimum=0, maximum=0o777)

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["user"] = {**(process.get("user") or {}), "umask": bits}
        return {**spec, "process": process}

    return option


def oom_score_adj(adjustment: int) -> SpecOption:
    """Have the process killed sooner (up to 1000) or later (down to -1000) than others when memory runs out.

    :raises InvalidArgumentError: for a number out of that range
    """
    score = check_integer("oom_score_adj", adjustment, minimum=-1000, maximum=1000)

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["oomScoreAdj"] = score
        return {**spec, "process": process}

    return option


def no_new_privileges(enabled: bool = True) -> SpecOption:
    """Forbid set-user-id programs and file capabilities to raise privileges (the default), or allow it.

    :raises InvalidArgumentError: if ``enabled`` is neither ``True`` nor ``False``
    """
    flag = check_flag("no_new_privileges", enabled)

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["noNewPrivileges"] = flag
        return {**spec, "process": process}

    return option


def rlimit(kind: str, soft: int, hard: int | None = None) -> SpecOption:
    """Limit a resource of the process: ``rlimit("nofile", 4096)``; ``hard`` is ``soft`` where not given.

    ``kind`` is a name of ``getrlimit(2)``, with or without ``RLIMIT_``; `resource.RLIM_INFINITY` is no limit.

    :raises InvalidArgumentError: for an unknown name, a negative limit, or a soft limit above the hard one
    """
    short = check_text("rlimit", kind).upper().removeprefix("RLIMIT_")
    if short not in _RLIMITS:
        raise invalid("rlimit", kind, "is not a limit that Linux knows")
    low = _limit(soft)
    high = low if hard is None else _limit(hard)
    if low > high:
        raise invalid("rlimit", soft, f"is a soft limit above the hard one, {high}")

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        name = f"RLIMIT_{short}"
        others = [each for each in process.get("rlimits") or [] if each.get("type") != name]
        process["rlimits"] = [*others, {"type": name, "hard": high, "soft": low}]
        return {**spec, "process": process}

    return option


def change_env(process: Process, changes: Changes) -> None:
    """Make ``changes`` to the environment of ``process``, in place."""
    process["env"] = merged_env(process.get("env") or [], changes)


def set_terminal(process: Process) -> None:
    """Give ``process`` a terminal, in place."""
    process["terminal"] = True
    if not any(item.startswith("TERM=") for item in process.get("env") or []):
        change_env(process, [("TERM", "xterm")])


def _with_env(changes: Changes) -> SpecOption:
    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        change_env(process, changes)
        return {**spec, "process": process}

    return option


def _limit(value: int) -> int:
    if value == resource.RLIM_INFINITY:
        return _UNLIMITED
    return check_integer("rlimit", value, minimum=0, maximum=_UNLIMITED)
