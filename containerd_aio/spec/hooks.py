"""Programs that the runtime calls when a container is made, started and removed.

Most run on the host, as root; so what names one decides over the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Final, Literal, TypeAlias, cast

from containerd_aio.spec.arguments import check_integer, check_path, check_text, invalid
from containerd_aio.spec.environment import env_changes
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Hook, Hooks, Spec
from containerd_aio.spec.sections import hooks_of

Moment: TypeAlias = Literal[
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"
]

MOMENTS: Final = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(
    moment: Moment,
    *command: str,
    env: Mapping[str, str] | Iterable[str] | None = None,
    timeout: int | None = None,
) -> SpecOption:
    """Have the runtime call ``command``, a program by its absolute path and its arguments, at ``moment``.

    The moments in their order: ``createRuntime`` (``prestart`` just before it, deprecated), when the namespaces
    exist; ``createContainer``, before the root is changed, in the container's namespaces; both are over when
    ``new_task()`` returns. ``startContainer``, the one that is run in the container's own files, before its
    process; ``poststart``, beside that, before ``start()`` returns; ``poststop``, when the task is deleted. All
    others are programs of containerd's host, and are run as root.

    Each gets the state of the container as JSON on its stdin, ``env`` and nothing more as environment, and
    ``timeout`` seconds (``None``: any). Several of one moment are called in the order of the options. One that
    fails fails the start (not at ``poststart`` and ``poststop``).

    :raises InvalidArgumentError: for an unknown moment, a program whose path is not absolute, text with a NUL, or
        a timeout that is not positive
    """
    name = check_text("hook", moment)
    if name not in MOMENTS:
        raise invalid("hook", moment, f"is not one of {', '.join(MOMENTS)}")
    if not command:
        raise invalid("hook", command, "names no program")
    made: Hook = {
        "path": check_path("hook", command[0]),
        "args": [check_text("hook", each) for each in command],
    }
    if env is not None:
        made["env"] = [f"{key}={value}" for key, value in env_changes("hook", env) if value is not None]
    if timeout is not None:
        made["timeout"] = check_integer("hook", timeout, minimum=1)

    def option(spec: Spec, context: SpecContext) -> Spec:
        hooks = cast("dict[str, list[Hook] | None]", hooks_of(spec))
        hooks[name] = [*(hooks.get(name) or []), deepcopy(made)]
        return {**spec, "hooks": cast("Hooks", hooks)}

    return option
