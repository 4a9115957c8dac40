"""The whole spec at once: from a document, or from the start again.

What these options return is nothing of the spec that they are given. ``client.new_container(image=…)`` applies the
image's configuration before the options; after one of these it is gone, unless `image_config` follows.
"""

from __future__ import annotations

import json
import os
from copy import deepcopy
from typing import NoReturn, cast

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.arguments import invalid
from containerd_aio.spec.default import default_spec
from containerd_aio.spec.host import read_file
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Spec
from containerd_aio.spec.shape import misfit


def from_default() -> SpecOption:
    """Start again from containerd's default spec for the container, whatever was done before."""

    def option(spec: Spec, context: SpecContext) -> Spec:
        return default_spec(context.container_id, context.namespace)

    return option


def from_bytes(document: bytes | str) -> SpecOption:
    """Take the spec from JSON, a ``config.json``, as it is.

    What it asks for is not judged (`beyond_default` does that), and its cgroup may be another container's: let
    `namespaced_cgroup` follow.

    :raises InvalidArgumentError: if it is not a JSON object, or something in it is of another type than in a spec
    """
    return _whole("from_bytes", document)


def from_file(path: str | os.PathLike[str]) -> SpecOption:
    """Take the spec from a file of this host, as `from_bytes` does; it is read now.

    :raises InvalidArgumentError: if it cannot be read, or for what `from_bytes` refuses
    """
    return _whole("from_file", read_file("from_file", path))


def decoded(option: str, document: bytes | str) -> dict[str, object]:
    """Return the JSON object that ``document`` is.

    :raises InvalidArgumentError: if it is anything else
    """

    def refuse(constant: str) -> NoReturn:
        raise invalid(option, document, f"is not JSON: {constant} is no number of it")

    try:
        found: object = json.loads(document, parse_constant=refuse)
    except InvalidArgumentError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError alone: a number of thousands of digits
        raise invalid(option, document, f"is not JSON: {error}") from None
    except TypeError:
        raise invalid(option, document, "is neither bytes nor str") from None
    if not isinstance(found, dict):
        raise invalid(option, document, "is not a JSON object")
    return cast("dict[str, object]", found)


def _whole(name: str, document: bytes | str) -> SpecOption:
    found = cast("Spec", decoded(name, document))
    if wrong := misfit(found, Spec):
        raise invalid(name, document, f"is no spec: {wrong}")

    def option(spec: Spec, context: SpecContext) -> Spec:
        return deepcopy(found)

    return option
