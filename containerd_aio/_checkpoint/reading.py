"""Reading a checkpoint out of the content store. What is in it was written by whomever."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from containerd_aio._checkpoint.index import Checkpoint
from containerd_aio._images.blobs import read_document
from containerd_aio._images.manifest import parse_index
from containerd_aio._images.media_types import INDEXES
from containerd_aio._transport.typeurl import SPEC, from_bytes, from_json_any
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec
from containerd_aio.spec.shape import misfit
from containerd_aio.types import AnyValue, Descriptor

if TYPE_CHECKING:
    from containerd_aio.services.content import Content


async def read_checkpoint(content: Content, target: Descriptor, *, about: str) -> Checkpoint:
    """Return the checkpoint that an image's target is; ``about`` names the image in errors.

    :raises InvalidArgumentError: if it is none, or damaged
    :raises NotFoundError: if it is not in the content store
    """
    if target.media_type not in INDEXES:
        raise InvalidArgumentError(f"{about} is no checkpoint, but {target.media_type[:200]}")
    data = await read_document(content, target, about=f"index {target.digest}")
    return Checkpoint.of(parse_index(data, about=f"index {target.digest}"), about=about)


async def base_image(content: Content, target: Descriptor) -> Descriptor:
    """Return the image that a container was made from, whose record names ``target``.

    That is the target, unless the container was restored from a checkpoint: then it is in there.

    :raises NotFoundError: if it is not in the content store
    """
    if target.media_type not in INDEXES:
        return target
    try:
        checkpoint = await read_checkpoint(content, target, about=target.digest)
    except InvalidArgumentError:
        return target  # an image for several platforms
    return checkpoint.image or target


async def read_spec(content: Content, config: Descriptor, *, about: str) -> Spec:
    """Return the container's spec out of a checkpoint.

    :raises InvalidArgumentError: if it is damaged
    :raises NotFoundError: if it is not in the content store
    """
    value = await read_value(content, config, about=f"the container's spec in {about}")
    spec = from_json_any(value) if value.type_url == SPEC else None
    if not isinstance(spec, dict):
        raise InvalidArgumentError(f"the container's spec in {about} is none, but a {value.type_url[:200]!r}")
    found = cast(Spec, spec)
    if wrong := misfit(found, Spec):
        raise InvalidArgumentError(f"the container's spec in {about} is damaged: {wrong}")
    return found


def had_terminal(spec: Spec) -> bool:
    """Tell whether the process of a spec has a terminal."""
    return bool((spec.get("process") or {}).get("terminal"))


async def read_value(content: Content, part: Descriptor, *, about: str) -> AnyValue:
    """Return a value with its type that is a part of a checkpoint; ``about`` names it in errors."""
    try:
        return from_bytes(await read_document(content, part, about=about))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{about} is damaged: {error}") from error
