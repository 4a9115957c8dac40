"""Image references: what short ones mean, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._images.reference import Reference, normalize_name
from containerd_aio.errors import InvalidArgumentError

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("user/app", "docker.io/user/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("example.org/a/b/c:v1", "example.org/a/b/c:v1"),
        ("example.org/a__b/c-d.e:v1", "example.org/a__b/c-d.e:v1"),
        ("HOST/app", "HOST/app:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}"),
        ("docker.io/library/busybox:latest", "docker.io/library/busybox:latest"),
    ],
)
def test_a_short_reference_means_its_full_form(text: str, full: str) -> None:
    assert normalize_name(text) == full


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a part is empty"),
        ("/", "a part is empty"),
        ("a//b", "a part is empty"),
        ("Busybox", "must be lower case"),
        ("example.org/Foo", "must be lower case"),
        ("busybox:", "is not a tag"),
        ("busybox:-x", "is not a tag"),
        ("busybox:" + "x" * 129, "is not a tag"),
        ("busybox@", "is not a digest"),
        ("busybox@sha256:abc", "is not a digest"),
        ("busybox@" + DIGEST.upper(), "is not a digest"),
        ("busy box", "not a part of a repository's name"),
        ("../etc/passwd", "is not a registry's host name"),
        ("example.org/../x", "not a part of a repository's name"),
        ("-example.org/x", "is not a registry's host name"),
        ("busybox\n", "not a part of a repository's name"),
        ("búsybox", "not a part of a repository's name"),
        ("ab" * 32, "an image's id"),
        ("example.org/" + "a" * 250, "longer than 255"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        Reference.parse(text)


def test_the_parts_of_a_reference_can_be_read_alone() -> None:
    reference = Reference.parse(f"example.org:5000/team/app:v1@{DIGEST}")
    assert (reference.domain, reference.path) == ("example.org:5000", "team/app")
    assert (reference.tag, reference.digest) == ("v1", DIGEST)
    assert reference.name == "example.org:5000/team/app"


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("busybox", "busybox:latest"),
        ("user/app:1", "user/app:1"),
        ("docker.io/library/a/b", "library/a/b:latest"),
        ("example.org/app", "example.org/app:latest"),
    ],
)
def test_the_familiar_form_is_short_and_means_the_same(text: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert reference.familiar == familiar
    assert Reference.parse(familiar) == reference


@given(st.text(max_size=40) | st.from_regex(r"[a-zA-Z0-9./:@_-]{1,40}", fullmatch=True))
def test_any_text_is_a_reference_that_reads_back_the_same_or_is_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidArgumentError:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
