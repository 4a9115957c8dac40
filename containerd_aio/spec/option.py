"""What an option is, and how a spec is built of them.

An option is a pure function: it returns a new spec and leaves the one it was given alone, so options can be kept,
shared between containers, and applied twice. That matters here: an option that has to look into the container's
root filesystem while there is none yet raises `RootfsNeeded`; the snapshot is then prepared and the whole spec
built again.

So what an option takes from the host (a device's numbers, a file of variables, a seccomp profile, the capabilities
of this process) it reads when it is made, once, and from the host that this program runs on. Where containerd runs
on another one (behind a TLS proxy), that is the wrong host: give numbers and values instead (`device_node`, `env`,
`seccomp`, `capabilities`). Paths that the runtime uses later (`bind`, `network_namespace`, `hook`, `rootfs_path`)
are those of containerd's host.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import TypeAlias, cast

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.default import default_spec
from containerd_aio.spec.rootfs import Rootfs
from containerd_aio.spec.schema import Spec
from containerd_aio.types import ImageConfig


@dataclass(frozen=True, slots=True)
class SpecContext:
    """What options may know of the container: its id and namespace, its image's configuration, its files.

    ``image`` is ``None`` for a container without an image; ``rootfs`` until its snapshot is prepared.
    """

    container_id: str
    namespace: str
    image: ImageConfig | None = None
    rootfs: Rootfs | None = None


SpecOption: TypeAlias = Callable[[Spec, SpecContext], Spec]


class RootfsNeeded(InvalidArgumentError):  # noqa: N818 - a request to whoever builds the spec, rarely an error
    """An option must read the root filesystem, and ``context.rootfs`` is ``None``: build again with one."""


def compose(*options: SpecOption) -> SpecOption:
    """Return one option that applies ``options`` from left to right.

    :raises InvalidArgumentError: if one is none: a list of them, or what makes one and was not called; when it is
        applied, what they raise
    """
    for each in cast("tuple[object, ...]", options):
        _check(each)

    def option(spec: Spec, context: SpecContext) -> Spec:
        for each in options:
            spec = _applied(each, spec, context)
        return spec

    return option


def build(context: SpecContext, options: Iterable[SpecOption]) -> Spec:
    """Return the default spec of the container with ``options`` applied from left to right.

    :raises RootfsNeeded: if an option must read the root filesystem and ``context.rootfs`` is ``None``
    :raises InvalidArgumentError: if an option refuses the image, or returns no spec
    """
    return compose(*options)(default_spec(context.container_id, context.namespace), context)


def _applied(option: SpecOption, spec: Spec, context: SpecContext) -> Spec:
    result = cast("object", option(spec, context))
    # An option of the user's own that changes its argument and forgets the `return` is an easy mistake.
    if not isinstance(result, Mapping):
        raise InvalidArgumentError(
            f"{_name(option)} returned another function, not the new spec: call it, {_name(option)}(...)"
            if callable(result)
            else f"the option {option!r} returned {result!r:.100}, not the new spec"
        )
    return cast(Spec, result)


def _check(option: object) -> None:
    """Refuse what is no option, as far as it can be told without applying it."""
    if not callable(option):
        raise InvalidArgumentError(f"{option!r} is not an option")
    if _makes_ours(option) or not _takes_a_spec(option):
        raise InvalidArgumentError(
            f"{_name(option)} is not an option but what makes one: call it, {_name(option)}(...)"
        )


def _makes_ours(option: Callable[..., object]) -> bool:
    """Tell whether it is a function of this package; what those return is defined in them."""
    return (
        isinstance(option, FunctionType)
        and option.__module__.startswith(f"{__package__}.")
        and option.__qualname__ == option.__name__
        and not option.__name__.startswith("_")
    )


def _takes_a_spec(option: Callable[..., object]) -> bool:
    try:
        inspect.signature(option).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        pass  # a builtin that does not tell
    return True


def _name(option: Callable[..., object]) -> str:
    return getattr(option, "__name__", repr(option))
