"""What a container's record says of its spec, whoever wrote it."""

from __future__ import annotations

import pytest

from containerd_aio._process.spec import spec_of
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, ContainerInfo, Runtime

SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Spec"


def container(spec: bytes | None) -> ContainerInfo:
    return ContainerInfo("web", Runtime("runc"), None if spec is None else AnyValue(SPEC, spec))


def test_the_spec_is_read() -> None:
    assert spec_of(container(b'{"hostname": "box"}')) == {"hostname": "box"}


@pytest.mark.parametrize("spec", [None, b"", b"{", b"[]", b"null", b"\xff"])
def test_a_spec_that_is_none_is_refused(spec: bytes | None) -> None:
    with pytest.raises(InvalidArgumentError):
        spec_of(container(spec))
