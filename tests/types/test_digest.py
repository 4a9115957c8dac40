"""Digests as containerd's store takes them, and nothing else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import DataLossError, InvalidArgumentError
from containerd_aio.types.digest import Digester, check_digest

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("digest", [SHA256, SHA512])
def test_a_digest_comes_back_unchanged(digest: str) -> None:
    assert check_digest(digest) == digest


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("sha256:", id="no digits"),
        pytest.param(SHA256[:-1], id="a digit short"),
        pytest.param(SHA256 + "0", id="a digit long"),
        pytest.param(SHA256.upper(), id="upper case"),
        pytest.param("sha256:" + "A" * 64, id="upper-case digits"),
        pytest.param(SHA256 + "\n", id="a line's end after it"),
        pytest.param("\n" + SHA256, id="a line's end before it"),
        pytest.param("sha512:" + "0" * 64, id="sha512 with the length of sha256"),
        pytest.param("sha256:" + "0" * 128, id="sha256 with the length of sha512"),
        pytest.param("sha1:" + "0" * 40, id="another algorithm"),
        pytest.param("sha256:../../../../etc/passwd".ljust(71, "x"), id="a path"),
        pytest.param("sha256:" + "٣" * 64, id="digits of another script"),
        pytest.param("0" * 64, id="no algorithm"),
    ],
)
def test_every_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a digest"):
        check_digest(text)


def test_a_long_text_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_digest("x" * 100_000)
    assert len(str(caught.value)) < 400


@given(st.lists(st.binary(max_size=100)))
def test_the_digest_of_pieces_is_that_of_the_whole(pieces: list[bytes]) -> None:
    digester = Digester()
    for piece in pieces:
        digester.update(memoryview(piece))
    whole = b"".join(pieces)
    assert digester.digest == f"sha256:{hashlib.sha256(whole).hexdigest()}"
    assert digester.size == len(whole)
    assert check_digest(digester.digest) == digester.digest


@given(st.text(max_size=200))
def test_only_what_a_digester_could_write_is_a_digest(text: str) -> None:
    try:
        check_digest(text)
    except InvalidArgumentError:
        return
    algorithm, _, digits = text.partition(":")
    assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_digester_takes_the_algorithm_of_the_digest(algorithm: str) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, b'blob').hexdigest()}"
    digester = Digester.like(digest)
    digester.update(b"blob")
    assert digester.digest == digest
    digester.check(digest)


def test_without_a_digest_it_is_sha256() -> None:
    assert Digester.like(None).digest == f"sha256:{hashlib.sha256(b'').hexdigest()}"


def test_like_refuses_what_is_no_digest() -> None:
    with pytest.raises(InvalidArgumentError):
        Digester.like("md5:" + "0" * 32)


def test_damaged_bytes_are_told_with_both_digests() -> None:
    digester = Digester()
    digester.update(b"damaged")
    with pytest.raises(DataLossError) as caught:
        digester.check(SHA256)
    assert SHA256 in str(caught.value)
    assert digester.digest in str(caught.value)
    assert "7 bytes" in str(caught.value)
