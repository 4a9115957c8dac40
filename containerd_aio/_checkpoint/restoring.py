"""What a container is made from that shall go on where another one was.

A checkpoint may come from anywhere, and the runtime does as root what a spec and its own options say. So both are
taken only as far as they ask for nothing that a container does not have by default, unless the caller says that
whoever made the checkpoint is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from containerd_aio._checkpoint.index import Checkpoint
from containerd_aio._checkpoint.reading import base_image, read_checkpoint, read_spec, read_value
from containerd_aio._session import Defaults, Session, defaults_of
from containerd_aio._transport.runc import beyond_default_options
from containerd_aio.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from containerd_aio.image import Image
from containerd_aio.spec import Spec, beyond_default
from containerd_aio.types import AnyValue, Descriptor, ImageInfo

if TYPE_CHECKING:
    from containerd_aio.services.content import Content

_SHOWN: Final = 20
_LENGTH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorable:
    """What ``client.restore()`` makes a container from; ``None`` for what the checkpoint leaves open."""

    image: Image | None
    spec: Spec | None
    layer: Descriptor | None
    runtime: str | None
    runtime_options: AnyValue | None
    snapshotter: str | None


async def restorable(
    session: Session,
    container_id: str,
    image: Image,
    *,
    spec: Spec | None,
    rw: bool,
    runtime: bool,
    trusted: bool,
) -> Restorable:
    """Return what the container ``container_id`` is made from, out of the checkpoint that ``image`` is.

    :raises InvalidArgumentError: if the image is no checkpoint; or if that asks for more than is granted: all of it
        is listed
    :raises FailedPreconditionError: if the image below has changed
    :raises NotFoundError: if something is not there any more
    """
    about = f"image '{image.name}'"
    content = session.services.content
    checkpoint = await read_checkpoint(content, image.target, about=about)
    excess: list[str] = []
    if spec is None and checkpoint.config is not None:
        theirs = await read_spec(content, checkpoint.config, about=about)
        excess += beyond_default(theirs)
        spec = _with_own_cgroup(theirs, container_id, session.namespace, trusted=trusted)
    name = checkpoint.runtime if runtime else None
    options: AnyValue | None = None
    if name is not None:
        options = await _options(content, checkpoint, about)
        excess += _of_runtime(name, options, await defaults_of(session.services, session.namespace))
    if excess and not trusted:
        raise _refused(about, excess)
    layer = checkpoint.layer if rw else None
    return Restorable(
        image=await _image_below(session, image, checkpoint, layer),
        spec=spec,
        layer=layer,
        runtime=name,
        runtime_options=options,
        snapshotter=await _usable(session, checkpoint.snapshotter),
    )


async def _options(content: Content, checkpoint: Checkpoint, about: str) -> AnyValue | None:
    part = checkpoint.runtime_options
    return (
        None if part is None else await read_value(content, part, about=f"the runtime's options in {about}")
    )


def _refused(about: str, excess: Sequence[str]) -> InvalidArgumentError:
    shown = ", ".join(map(_printable, excess[:_SHOWN]))
    if len(excess) > _SHOWN:
        shown += f" and {len(excess) - _SHOWN} more"
    return InvalidArgumentError(
        f"{about} wants what a container does not have by default: {shown}. Give spec= or runtime=False, or"
        " trusted=True where you trust who made it"
    )


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:_LENGTH])


def _of_runtime(name: str, options: AnyValue | None, defaults: Defaults) -> list[str]:
    # A runtime's name may be the path of any binary.
    strange = [] if name in (defaults.runtime, Defaults().runtime) else [f"runtime {name!r}"]
    return strange if options is None else [*strange, *beyond_default_options(options)]


def _with_own_cgroup(spec: Spec, container_id: str, namespace: str, *, trusted: bool) -> Spec:
    """Put the container into a cgroup of its own: two in one are frozen and limited together.

    One that is trusted stays beside the old one: ``slice:prefix:name`` is systemd's way to say so.
    """
    own = f"/{namespace}/{container_id}"
    linux = spec.get("linux") or {}
    old = linux.get("cgroupsPath") or ""
    if old.count(":") == 2:
        slice_, prefix, _ = old.split(":")
        own = f"{slice_ if trusted else ''}:{prefix if trusted else namespace}:{container_id}"
    elif trusted and old.strip("/"):
        own = f"{old.rstrip('/').rpartition('/')[0]}/{container_id}"
    return {**spec, "linux": {**linux, "cgroupsPath": own}}


async def _image_below(
    session: Session, image: Image, checkpoint: Checkpoint, layer: Descriptor | None
) -> Image | None:
    """Return the image that the container's files begin with.

    Its name goes into the container's record. Where that name stands for another image here, or for none, the
    checkpoint's own name does as well: the image is in there.
    """
    named: ImageInfo | None = None
    if checkpoint.image_name is not None:
        with suppress(NotFoundError):
            named = await session.services.images.get(checkpoint.image_name)
    if checkpoint.image is not None:
        if named is not None and named.target.digest == checkpoint.image.digest:
            return Image(session, named)
        return Image(session, ImageInfo(image.name, checkpoint.image))
    if named is None:
        if checkpoint.image_name is None and layer is None:
            return None
        raise NotFoundError(
            f"image '{image.name}' was made without the image below, which is not here:"
            f" '{checkpoint.image_name or 'it has no name'}'; pull or import that first"
        )
    below = Image(session, ImageInfo(named.name, await base_image(session.services.content, named.target)))
    if layer is not None and checkpoint.parent is not None and await below.chain_id() != checkpoint.parent:
        raise FailedPreconditionError(
            f"image '{named.name}' is not the one that '{image.name}' was made on: bring that one back, or rw=False"
        )
    return below


async def _usable(session: Session, snapshotter: str | None) -> str | None:
    """Return the snapshotter's name, ``None`` where this containerd does not have it."""
    if snapshotter is None:
        return None
    for plugin in await session.services.introspection.plugins("type==io.containerd.snapshotter.v1"):
        if plugin.id == snapshotter and plugin.init_error is None:
            return snapshotter
    return None
