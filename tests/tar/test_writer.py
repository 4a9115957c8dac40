"""What is written is what is read, by our own reader and by tarfile."""

from __future__ import annotations

import io
import os
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.reader import TarReader
from containerd_aio._tar.source import ArchiveBytes, open_source
from containerd_aio._tar.writer import END, header_of, padding_of

IDS = st.integers(0, 2**32 - 2)
RAW_NAMES = st.lists(
    st.binary(min_size=1, max_size=80).filter(
        lambda part: not {0, 47} & set(part) and part not in (b".", b"..")
    ),
    min_size=1,
    max_size=5,
).map(lambda parts: os.fsdecode(b"/".join(parts)))
XATTR_NAMES = st.text(st.characters(codec="ascii", exclude_characters="=\0\n"), min_size=1, max_size=20)


@st.composite
def members(draw: st.DrawFn) -> Member:
    kind = draw(st.sampled_from(Kind))
    device = kind in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)
    return Member(
        name=draw(RAW_NAMES),
        kind=kind,
        size=draw(st.integers(0, 2000)) if kind is Kind.FILE else 0,
        target=draw(RAW_NAMES) if kind in (Kind.SYMLINK, Kind.HARDLINK) else "",
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(IDS),
        gid=draw(IDS),
        mtime_ns=draw(st.integers(-(2**33) * 10**9, 2**35 * 10**9)),
        device=(draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))) if device else (0, 0),
        xattrs=draw(st.dictionaries(XATTR_NAMES.map("user.".__add__), st.binary(max_size=60), max_size=3)),
    )


@given(st.lists(members(), min_size=1, max_size=4))
async def test_what_is_written_is_what_is_read(written: list[Member]) -> None:
    data = b"".join(header_of(m) + b"x" * m.size + padding_of(m.size) for m in written) + END
    found = []
    async with open_source(data) as chunks:
        reader = TarReader(ArchiveBytes(chunks, max_size=len(data)))
        while (member := await reader.next_member()) is not None:
            found.append(member)
    assert [(m.name.rstrip("/"), m) for m in found] == [
        (m.name, m if m.kind is not Kind.DIRECTORY else found[at]) for at, m in enumerate(written)
    ]
    for member, wanted in zip(found, written, strict=True):
        assert (member.mode, member.uid, member.gid, member.mtime_ns, member.xattrs) == (
            wanted.mode,
            wanted.uid,
            wanted.gid,
            wanted.mtime_ns,
            wanted.xattrs,
        )


def test_tarfile_reads_it_too() -> None:
    file = Member(
        "d/" * 60 + "größe",
        Kind.FILE,
        size=9 * 2**30,
        mode=0o600,
        uid=3_000_000,
        mtime_ns=1_700_000_000_500_000_000,
        xattrs={"user.a": b"1"},
    )
    with tarfile.open(fileobj=io.BytesIO(header_of(file))) as archive:
        info = archive.next()
    assert info is not None
    assert (info.name, info.size, info.mode, info.uid) == (file.name, file.size, 0o600, 3_000_000)
    assert info.mtime == 1_700_000_000.5
    assert info.pax_headers["SCHILY.xattr.user.a"] == "1"
