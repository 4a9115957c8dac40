"""Platforms: this machine's, and which images suit it."""

from __future__ import annotations

import platform as python_platform

import pytest

from containerd_aio._images.platforms import host_platform, normalize, rank
from containerd_aio.types import Platform


def parse(text: str) -> Platform:
    parts = [*text.split("/"), ""]
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2])


@pytest.mark.parametrize(
    ("machine", "platform"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64/v8"),
        ("armv7l", "linux/arm/v7"),
        ("i686", "linux/386"),
        ("riscv64", "linux/riscv64"),
        ("newcpu", "linux/newcpu"),
    ],
)
def test_the_machines_name_becomes_gos(monkeypatch: pytest.MonkeyPatch, machine: str, platform: str) -> None:
    monkeypatch.setattr(python_platform, "machine", lambda: machine)
    assert str(host_platform()) == platform


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/aarch64", "linux/arm64/v8"),
        ("linux/arm64/8", "linux/arm64/v8"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armel", "linux/arm/v6"),
        ("Linux/X86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
    ],
)
def test_aliases_and_implied_variants_are_spelled_out(given: str, normal: str) -> None:
    assert normalize(parse(given)) == parse(normal)


@pytest.mark.parametrize(
    ("candidate", "wanted", "expected"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm64", "linux/amd64", None),
        ("windows/amd64", "linux/amd64", None),
        ("linux/arm/v6", "linux/arm/v7", 1),
        ("linux/arm/v5", "linux/arm/v7", 2),
        ("linux/arm/v8", "linux/arm/v7", None),
        ("linux/amd64/v3", "linux/amd64", None),
        ("linux/amd64", "linux/amd64/v3", 1),
        ("linux/arm64/v9", "linux/arm64/v8", None),
        ("unknown/unknown", "linux/amd64", None),
    ],
)
def test_an_image_suits_its_own_platform_best_and_older_arms_next(
    candidate: str, wanted: str, expected: int | None
) -> None:
    assert rank(parse(candidate), parse(wanted)) == expected
