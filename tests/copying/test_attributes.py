"""Attributes that travel, and whose root a capability is."""

from __future__ import annotations

import pytest

from containerd_aio._copying.attributes import to_container, to_host, travels
from containerd_aio._copying.owners import IdMap, IdRange, Owners

CAPABILITY = "security.capability"
ANY_ROOT = bytes.fromhex("0100000200200000000000000000000000000000")
ROOT_200000 = bytes.fromhex("0100000300200000000000000000000000000000400d0300")
OTHER_ROOT = bytes.fromhex("010000030020000000000000000000000000000001000000")
HOST = Owners()
SHIFTED = Owners(IdMap((IdRange(0, 200_000, 65536),)))
ROOTLESS = Owners(IdMap((IdRange(5, 200_000, 65536),)))


@pytest.mark.parametrize(
    ("name", "goes"),
    [
        ("user.note", True),
        ("security.capability", True),
        ("security.selinux", False),
        ("user.overlay.opaque", False),
        ("trusted.overlay.opaque", False),
        ("system.posix_acl_access", False),
        ("user.a=b", False),
        ("user.a\0b", False),
        ("user.a\udcff", False),
        ("user.a\nb", False),
    ],
)
def test_which_attributes_go_with_a_file(name: str, goes: bool) -> None:
    assert travels(name) is goes
    assert to_host({name: b"1"}, HOST) == to_container({name: b"1"}, HOST) == ({name: b"1"} if goes else {})


@pytest.mark.parametrize(
    ("owners", "inside", "outside"),
    [
        (HOST, ANY_ROOT, ANY_ROOT),
        (SHIFTED, ANY_ROOT, ROOT_200000),
        (SHIFTED, OTHER_ROOT, OTHER_ROOT),
        (ROOTLESS, ANY_ROOT, ANY_ROOT),
        (SHIFTED, b"", b""),
        (SHIFTED, b"x" * 20, b"x" * 20),
    ],
)
def test_a_capability_goes_there_and_back(owners: Owners, inside: bytes, outside: bytes) -> None:
    assert to_host({CAPABILITY: inside}, owners) == {CAPABILITY: outside}
    assert to_container({CAPABILITY: outside}, owners) == {CAPABILITY: inside}
