"""The tar reader: what ``tarfile`` writes is read back, however it comes; what is spoilt is refused."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import AsyncGenerator, Sequence

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.reader import TarReader
from containerd_aio._tar.source import ArchiveBytes
from containerd_aio.errors import InvalidArgumentError
from tests.images.archives import link, tar

PLAIN = {"oci-layout": b"{}", "blobs/sha256/aa": b"x" * 700, "index.json": b"y" * 512}
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
NAMES = st.lists(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
    ).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


async def pieces(data: bytes, sizes: Sequence[int]) -> AsyncGenerator[bytes]:
    start = 0
    for size in (*sizes, len(data)):
        if start < len(data):
            yield data[start : start + size]
            start += size


async def read(data: bytes, sizes: Sequence[int] = ()) -> list[tuple[Member, bytes]]:
    """All members of a tar that comes in pieces of these sizes, with their contents."""
    found = []
    async with contextlib.aclosing(pieces(data, sizes)) as chunks:
        reader = TarReader(ArchiveBytes(chunks, max_size=1 << 30))
        while (member := await reader.next_member()) is not None:
            content = b""
            while part := await reader.read(300):
                content += part
            found.append((member, content))
    return found


async def contents(data: bytes, sizes: Sequence[int] = ()) -> dict[str, bytes]:
    return {member.name: content for member, content in await read(data, sizes)}


def written(members: Sequence[tuple[str, bytes]], kind: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@given(
    members=st.lists(
        st.tuples(NAMES, st.binary(max_size=1500)), min_size=1, max_size=4, unique_by=lambda m: m[0]
    ),
    kind=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    sizes=st.lists(st.integers(1, 2000), max_size=10),
)
async def test_what_tarfile_writes_is_read_back_however_it_comes(
    members: list[tuple[str, bytes]], kind: int, sizes: list[int]
) -> None:
    found = await read(written(members, kind), sizes)
    assert [(member.name, content) for member, content in found] == members


@pytest.mark.parametrize("kind", FORMATS)
async def test_every_format_of_tarfile_is_read(kind: int) -> None:
    assert await contents(written([*PLAIN.items()], kind)) == PLAIN


async def test_a_byte_at_a_time_is_enough() -> None:
    assert await contents(tar(PLAIN), [1] * 600) == PLAIN


async def test_members_that_are_not_read_are_skipped() -> None:
    async with contextlib.aclosing(pieces(tar(PLAIN), [])) as chunks:
        reader = TarReader(ArchiveBytes(chunks, max_size=1 << 20))
        names = []
        while (member := await reader.next_member()) is not None:
            names.append(member.name)
    assert names == [*PLAIN]


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_long_names_and_links_are_read(kind: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        archive.addfile(link("d/" * 80 + "link", "t/" * 90 + "target"))
        archive.addfile(tarfile.TarInfo("short"))
    found = await read(buffer.getvalue())
    assert found[0][0] == Member("d/" * 80 + "link", Kind.SYMLINK, target="t/" * 90 + "target")
    assert found[1][0] == Member("short", Kind.FILE)


async def test_directories_and_links_come_out_by_the_names_that_they_have() -> None:
    directory = tarfile.TarInfo("./blobs/")
    directory.type = tarfile.DIRTYPE
    data = tar(
        [directory, ("./blobs//x", b"1"), link("l", "./blobs/x"), link("h", "blobs/x", kind=tarfile.LNKTYPE)]
    )
    assert [member for member, _ in await read(data)] == [
        Member("./blobs", Kind.DIRECTORY),
        Member("./blobs//x", Kind.FILE, size=1),
        Member("l", Kind.SYMLINK, target="./blobs/x"),
        Member("h", Kind.HARDLINK, target="blobs/x"),
    ]


async def test_a_file_whose_long_name_ends_in_a_slash_is_a_directory() -> None:
    """As the first tars spelled a directory; the short header beside a long name cannot show it."""
    long_name = b"d/" * 100
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, len(long_name)
    data = header.tobuf(tarfile.GNU_FORMAT) + long_name.ljust(512, b"\0") + tar({"short": b""})
    assert [member for member, _ in await read(data)] == [Member("d/" * 100, Kind.DIRECTORY)]


async def test_a_directory_has_no_content_even_where_the_archive_gives_it_some() -> None:
    """Passed on behind the header of a directory it would be read as members, which nobody has checked."""
    inside = tar({"smuggled": b"1"})
    header = tarfile.TarInfo("d/")
    header.size = len(inside)
    data = header.tobuf() + inside + bytes(-len(inside) % 512) + tar({"next": b"2"})
    assert await read(data) == [
        (Member("d/", Kind.DIRECTORY), b""),
        (Member("next", Kind.FILE, size=1), b"2"),
    ]


@pytest.mark.parametrize("seconds", [10**12, 2**80, -(10**12)])
async def test_a_time_that_no_clock_can_have_is_refused(seconds: int) -> None:
    info = tarfile.TarInfo("x")
    info.mtime = seconds
    with pytest.raises(InvalidArgumentError, match="'x' has a time that none can have"):
        await read(info.tobuf(tarfile.GNU_FORMAT))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", [0, 512, 1 << 19])
async def test_extended_headers_without_end_are_refused(kind: bytes, size: int) -> None:
    """Each may be small; what they say together is kept until a member comes."""
    header = tarfile.TarInfo("more")
    header.type, header.size = kind, size
    block = header.tobuf(tarfile.GNU_FORMAT) + b"".join([b"8 k=abc\n"] * (size // 8))

    async def forever() -> AsyncGenerator[bytes]:
        while True:
            await anyio.lowlevel.checkpoint()
            yield block

    async with contextlib.aclosing(forever()) as chunks:
        reader = TarReader(ArchiveBytes(chunks, max_size=1 << 40))
        with pytest.raises(InvalidArgumentError, match="extended headers of more than 1048576 bytes"):
            await reader.next_member()


async def test_an_archive_of_too_many_members_is_refused() -> None:
    async with contextlib.aclosing(pieces(tar(PLAIN), [])) as chunks:
        reader = TarReader(ArchiveBytes(chunks, max_size=1 << 20), max_members=2)
        assert await reader.next_member()
        assert await reader.next_member()
        with pytest.raises(InvalidArgumentError, match="more than 2 members"):
            await reader.next_member()


async def test_a_pax_header_may_give_the_size() -> None:
    info = tarfile.TarInfo("big")
    info.size = 5
    info.pax_headers = {"size": "5", "comment": "ignored", "path": "named/by/pax"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"12345"))
    assert await contents(buffer.getvalue()) == {"named/by/pax": b"12345"}


async def test_all_that_tarfile_says_of_a_member_is_read() -> None:
    info = tarfile.TarInfo("x")
    info.mode, info.uid, info.gid, info.mtime = 0o4755, 3_000_000, 4_000_000, 1_700_000_000
    info.pax_headers = {
        "mtime": "1700000000.123456789",
        "SCHILY.xattr.user.note": "a=b\nc",
        "SCHILY.xattr.user.other": "",
    }
    device = tarfile.TarInfo("null")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    fifo = tarfile.TarInfo("fifo")
    fifo.type, fifo.mtime, fifo.devmajor = tarfile.FIFOTYPE, -1, 7
    assert [member for member, _ in await read(tar([info, device, fifo]))] == [
        Member(
            "x",
            Kind.FILE,
            mode=0o4755,
            uid=3_000_000,
            gid=4_000_000,
            mtime_ns=1_700_000_000_123_456_789,
            xattrs={"user.note": b"a=b\nc", "user.other": b""},
        ),
        Member("null", Kind.CHARACTER_DEVICE, device=(1, 3)),
        Member("fifo", Kind.FIFO, mtime_ns=-(10**9)),
    ]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1.5", 1_500_000_000),
        ("-1.5", -1_500_000_000),
        ("1.0000000019", 10**9 + 1),
        ("7.", 7 * 10**9),
    ],
)
async def test_times_of_a_pax_header_are_exact(text: str, nanoseconds: int) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"mtime": text}
    [(member, _)] = await read(tar([info]))
    assert member.mtime_ns == nanoseconds


async def test_a_global_header_names_nothing() -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "a commit"}
    ) as archive:
        archive.addfile(tarfile.TarInfo("a"))
    assert await contents(buffer.getvalue()) == {"a": b""}


def raw_pax(records: bytes) -> bytes:
    """A tar whose first member is a pax header with these records."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    block = header.tobuf(tarfile.USTAR_FORMAT)
    return block + records.ljust(-(-len(records) // 512) * 512, b"\0") + tar({"member": b"1"})


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(b"x path=a\n", id="no number"),
        pytest.param(b"7 path=a\n", id="too short"),
        pytest.param(b"99 path=a\n", id="too long"),
        pytest.param(b"7 patha\n", id="no equals sign"),
        pytest.param(b"0 path=a\n", id="length of nothing"),
        pytest.param(b"2 path=a\n", id="length of its own number"),
        pytest.param(b"13 size=-512\n", id="negative size"),
        pytest.param(b"10 uid=-1\n", id="negative id"),
        pytest.param(b"13 mtime=soon\n", id="no time"),
        pytest.param(b"31 size=99999999999999999999999\n", id="size beyond all"),
        pytest.param(b"9" * 30, id="no end of the number"),
    ],
)
async def test_pax_records_that_do_not_add_up_are_refused(records: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="a pax header does not add up"):
        await read(raw_pax(records))


async def test_a_header_of_very_many_records_is_read_in_one_pass() -> None:
    with anyio.fail_after(10):
        assert await contents(raw_pax(b"5 a=\n" * 200_000)) == {"member": b"1"}


def special(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("special")
    member.type = kind
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        pytest.param(special(tarfile.GNUTYPE_SPARSE), "'special' is a sparse file", id="sparse"),
        pytest.param(special(b"Z"), "'special' is of type b'Z'", id="unknown"),
    ],
)
async def test_members_of_kinds_that_are_not_read_are_refused_by_name(
    member: tarfile.TarInfo, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        await read(tar([("first", b"1"), member]))


async def test_a_name_that_is_not_utf8_has_surrogates() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("búsybox"))
    [(member, _)] = await read(buffer.getvalue())
    assert os.fsencode(member.name) == b"b\xfasybox"


async def test_a_sparse_file_of_pax_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="sparse"):
        await read(raw_pax(b"22 GNU.sparse.major=1\n"))


async def test_a_negative_size_is_refused() -> None:
    block = bytearray(tarfile.TarInfo("n").tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 12  # -1 in base 256
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(InvalidArgumentError, match="negative size"):
        await read(bytes(block))


async def test_a_long_name_without_end_is_refused() -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with pytest.raises(
        InvalidArgumentError, match="extended headers of more than 1048576 bytes for one member"
    ):
        await read(header.tobuf(tarfile.GNU_FORMAT))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "the archive is empty", id="nothing"),
        pytest.param(b"\0" * 10240, "the archive is empty", id="no member"),
        pytest.param(b"hello, world\n" * 100, "not an archive", id="text"),
        pytest.param(b"hello", "not an archive", id="short text"),
        pytest.param(
            tar(PLAIN)[:1000] + b"?" * 9000, "is damaged or truncated after 'oci-layout'", id="garbage"
        ),
        pytest.param(tar(PLAIN)[:1800], "truncated inside of 'blobs/sha256/aa'", id="truncated in a member"),
        pytest.param(tar(PLAIN)[:1100], "truncated after 'oci-layout'", id="truncated in a header"),
    ],
)
async def test_what_is_no_whole_tar_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        await read(data)


@given(st.integers(0, len(tar(PLAIN))))
async def test_any_truncation_gives_whole_members_or_is_refused(size: int) -> None:
    try:
        found = await contents(tar(PLAIN)[:size])
    except InvalidArgumentError:
        return
    assert found.items() <= PLAIN.items()


@given(st.integers(0, len(tar(PLAIN)) - 1), st.integers(1, 255))
async def test_any_flipped_byte_gives_members_or_is_refused(at: int, flip: int) -> None:
    data = bytearray(tar(PLAIN))
    data[at] ^= flip
    with contextlib.suppress(InvalidArgumentError):
        assert len(await read(bytes(data))) <= len(PLAIN)


@given(st.binary(max_size=2000))
async def test_any_bytes_are_a_tar_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidArgumentError):
        await read(data)
