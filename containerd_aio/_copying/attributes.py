"""The extended attributes that travel with a file: what it may do as a program, and the user's own.

A capability is a root's: without more said, that of the host. In a user namespace a program has it only if the
attribute names that namespace's root (revision 3 of ``struct vfs_ns_cap_data`` in the kernel's linux/capability.h).
An archive names nobody: it has revision 2, as the tars of others have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from containerd_aio._copying.owners import Owners

_CAPABILITY: Final = "security.capability"
_REVISION_2: Final = 2
_REVISION_3: Final = 3
_SIZE_2: Final = 20  # revision 3 has the id of the namespace's root after that
_REVISION_AT: Final = 3  # the first word is little-endian, the revision its highest byte


def travels(name: str) -> bool:
    """Return whether an attribute goes with a file.

    Those of the user do whose names an archive can have: one with ``=`` in it would be another there.
    """
    if not name.startswith("user.") or name.startswith("user.overlay."):
        return name == _CAPABILITY
    return name.isprintable() and "=" not in name


def to_host(attributes: Mapping[str, bytes], owners: Owners) -> dict[str, bytes]:
    """Return the attributes of a file of an archive that travel, as its file on the host has them."""
    root = owners.host_root()
    return {
        name: _of_root(value, root) if name == _CAPABILITY and root else value
        for name, value in attributes.items()
        if travels(name)
    }


def to_container(attributes: Mapping[str, bytes], owners: Owners) -> dict[str, bytes]:
    """Return the attributes of a file on the host that travel, as an archive has them."""
    root = owners.host_root()
    return {
        name: _of_nobody(value, root) if name == _CAPABILITY else value
        for name, value in attributes.items()
        if travels(name)
    }


def _of_root(value: bytes, root: int) -> bytes:
    if len(value) != _SIZE_2 or value[_REVISION_AT] != _REVISION_2:
        return value
    return (
        value[:_REVISION_AT] + bytes([_REVISION_3]) + value[_REVISION_AT + 1 :] + root.to_bytes(4, "little")
    )


def _of_nobody(value: bytes, root: int) -> bytes:
    if value[_SIZE_2:] != root.to_bytes(4, "little") or value[_REVISION_AT] != _REVISION_3:
        return value
    return value[:_REVISION_AT] + bytes([_REVISION_2]) + value[_REVISION_AT + 1 : _SIZE_2]
