"""A value with the name of its type: what containerd stores without knowing what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnyValue:
    """Bytes and the type they are of, as ``google.protobuf.Any`` carries them.

    containerd's type URLs have no ``type.googleapis.com/`` in front: a bare message name
    (``containerd.runc.v1.Options``), or ``types.containerd.io/opencontainers/runtime-spec/1/Spec`` and its like
    for JSON.
    """

    type_url: str
    value: bytes
