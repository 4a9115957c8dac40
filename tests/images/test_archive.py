"""Files of an archive become blobs while it is read."""

from __future__ import annotations

import hashlib
import tarfile

import pytest

from containerd_aio._images.archive import Archive, StoredFile, store_archive
from containerd_aio.errors import InvalidArgumentError, UnavailableError
from tests.images.archives import digest, link, oci_archive, tar
from tests.images.fakes import FakeDaemon

BOUND = 1 << 30


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


def blob_name(data: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


async def store(daemon: FakeDaemon, data: bytes) -> Archive:
    return await store_archive(daemon.services.content, data, max_size=BOUND)


async def test_files_become_blobs_and_documents_stay_here(daemon: FakeDaemon) -> None:
    archive = await store(
        daemon,
        tar({"index.json": b"{}", blob_name(b"one"): b"one", "a/layer.tar": b"two", "oci-layout": b"[]"}),
    )
    assert archive.documents == {"index.json": b"{}", "oci-layout": b"[]"}
    assert archive.files == {
        blob_name(b"one"): StoredFile(digest(b"one"), 3, b"one"),
        "a/layer.tar": StoredFile(digest(b"two"), 3, b"two"),
    }
    assert daemon.blobs == {digest(b"one"): b"one", digest(b"two"): b"two"}
    assert archive.sizes() == {digest(b"one"): 3, digest(b"two"): 3}


async def test_directories_are_nothing(daemon: FakeDaemon) -> None:
    directory = tarfile.TarInfo("blobs")
    directory.type = tarfile.DIRTYPE
    assert await store(daemon, tar([directory])) == Archive()


async def test_an_empty_file_is_no_blob(daemon: FakeDaemon) -> None:
    archive = await store(daemon, tar({"empty": b""}))
    assert archive.files == {"empty": StoredFile(digest(b""), 0, b"")}
    assert daemon.blobs == {}


async def test_a_blob_that_is_there_already_is_not_sent_again(daemon: FakeDaemon) -> None:
    data = oci_archive()
    first = await store(daemon, data)
    steps = len(daemon.calls)
    assert await store(daemon, data) == Archive(
        first.documents, {name: StoredFile(file.digest, file.size, b"") for name, file in first.files.items()}
    )
    assert len(daemon.calls) == 2 * steps
    assert daemon.ingests == {}


async def test_a_blob_that_is_not_what_its_name_says_is_refused_by_name(daemon: FakeDaemon) -> None:
    with pytest.raises(InvalidArgumentError, match=f"'{blob_name(b'one')}' in the archive is damaged"):
        await store(daemon, tar({blob_name(b"one"): b"0ne"}))
    assert (daemon.blobs, daemon.ingests) == ({}, {})


async def test_a_truncated_archive_leaves_no_ingest(daemon: FakeDaemon) -> None:
    with pytest.raises(InvalidArgumentError, match="truncated inside of 'big'"):
        await store(daemon, tar({"big": b"x" * 5000})[:3000])
    assert (daemon.blobs, daemon.ingests) == ({}, {})


async def test_another_failure_of_the_store_goes_through(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> str:
        raise UnavailableError("locked")

    monkeypatch.setattr(daemon.content, "write_blob", refuse)
    with pytest.raises(UnavailableError):
        await store(daemon, tar({"a": b"1"}))


async def test_the_same_member_twice_is_harmless_and_two_different_ones_are_refused(
    daemon: FakeDaemon,
) -> None:
    await store(daemon, tar([("a", b"1"), ("a", b"1")]))
    with pytest.raises(InvalidArgumentError, match="two different members 'a'"):
        await store(daemon, tar([("a", b"1"), ("./a", b"2")]))
    with pytest.raises(InvalidArgumentError, match=r"two members 'index\.json'"):
        await store(daemon, tar([("index.json", b"{}"), ("index.json", b"{}")]))


async def test_a_document_of_more_than_8_mib_is_refused_unread(daemon: FakeDaemon) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'manifest\.json' in the archive has 8388609 bytes"):
        await store(daemon, tar({"manifest.json": bytes((8 << 20) + 1)}))


async def test_links_are_followed_inside_of_the_archive(daemon: FakeDaemon) -> None:
    archive = await store(
        daemon,
        tar(
            [
                ("a/layer.tar", b"1"),
                link("b/layer.tar", "../a/layer.tar"),
                link("c/layer.tar", "b/layer.tar", kind=tarfile.LNKTYPE),
            ]
        ),
    )
    for name in ("a/layer.tar", "b/layer.tar", "./c/layer.tar"):
        assert archive.find(name, about="manifest.json").digest == digest(b"1")


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(link("a/layer.tar", "../../etc/passwd"), id="up and out"),
        pytest.param(link("layer.tar", "/etc/passwd"), id="absolute"),
        pytest.param(link("a/b", "../x", kind=tarfile.LNKTYPE), id="hard link, which counts from the top"),
    ],
)
async def test_links_that_lead_outside_are_refused_by_name(
    daemon: FakeDaemon, member: tarfile.TarInfo
) -> None:
    with pytest.raises(
        InvalidArgumentError, match=f"link '{member.name}' to .* leads outside of the archive"
    ):
        await store(daemon, tar([member]))


def special(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("special")
    member.type = kind
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        pytest.param(tarfile.TarInfo("../etc/passwd"), "'../etc/passwd' leads outside", id="dots"),
        pytest.param(tarfile.TarInfo("a/../../b"), "leads outside", id="dots inside"),
        pytest.param(tarfile.TarInfo("/etc/passwd"), "leads outside", id="absolute"),
        pytest.param(special(tarfile.CHRTYPE), "'special' is a device", id="character device"),
        pytest.param(special(tarfile.BLKTYPE), "is a device", id="block device"),
        pytest.param(special(tarfile.FIFOTYPE), "is a FIFO", id="FIFO"),
        pytest.param(tarfile.TarInfo("b\udcfasybox"), "not UTF-8", id="not UTF-8"),
        pytest.param(link("a", "b\udcfasybox"), "not UTF-8", id="link to what is not UTF-8"),
    ],
)
async def test_members_that_no_image_archive_has_are_refused_by_name(
    daemon: FakeDaemon, member: tarfile.TarInfo, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        await store(daemon, tar([("first", b"1"), member]))


async def test_names_with_dots_are_those_without(daemon: FakeDaemon) -> None:
    archive = await store(daemon, tar([("./blobs//x", b"1"), link("./l", "./blobs/x")]))
    assert [*archive.files] == ["blobs/x"]
    assert archive.links == {"l": "blobs/x"}


async def test_what_cannot_be_found_is_told_with_what_refers_to_it(daemon: FakeDaemon) -> None:
    archive = await store(daemon, tar([link("a", "b"), link("b", "a"), link("c", "nothing")]))
    with pytest.raises(InvalidArgumentError, match=r"manifest\.json: 'a' is a link that leads to itself"):
        archive.find("a", about="manifest.json")
    with pytest.raises(InvalidArgumentError, match=r"manifest\.json: the archive has no file 'nothing'"):
        archive.find("c", about="manifest.json")
    with pytest.raises(InvalidArgumentError, match="leads outside"):
        archive.find("../x", about="manifest.json")
