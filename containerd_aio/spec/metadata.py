"""Annotations: what a spec tells the runtime and the shim beside what it specifies."""

# Without `from __future__ import annotations`, whose name is the option's here.

from collections.abc import Mapping
from typing import Final

from containerd_aio.spec.arguments import check_mapping, check_name, check_text
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Spec

SHIM_GROUP: Final = "io.containerd.runc.v2.group"


def annotations(values: Mapping[str, str]) -> SpecOption:
    """Set annotations; those of other names stay.

    :raises InvalidArgumentError: if it is no mapping of text to text, or a name is empty
    """
    checked = {
        check_name("annotations", name): check_text("annotations", value)
        for name, value in check_mapping("annotations", values).items()
    }

    def option(spec: Spec, context: SpecContext) -> Spec:
        return {**spec, "annotations": {**(spec.get("annotations") or {}), **checked}}

    return option


def shim_group(name: str) -> SpecOption:
    """Let one shim process serve all containers of this group, which saves memory where there are many.

    :raises InvalidArgumentError: if the name is empty
    """
    return annotations({SHIM_GROUP: check_name("shim_group", name)})
