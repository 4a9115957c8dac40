"""What the kernel hides from a container and forbids it."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build
from containerd_aio.spec.confinement import apparmor_profile, masked_paths, readonly_paths, selinux_label


def test_paths_replace_the_default_ones(context: SpecContext) -> None:
    linux = build(context, [masked_paths(PurePosixPath("/proc/kcore")), readonly_paths("/proc/sys", "/a")])[
        "linux"
    ]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == (["/proc/kcore"], ["/proc/sys", "/a"])


def test_without_paths_nothing_is_hidden_or_read_only(context: SpecContext) -> None:
    linux = build(context, [masked_paths(), readonly_paths()])["linux"]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([], [])


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="masked_paths: 'proc' is not an absolute path"):
        masked_paths("/a", "proc")
    with pytest.raises(InvalidArgumentError, match="readonly_paths: 'proc' is not an absolute path"):
        readonly_paths("proc")


def test_a_profile_is_set_and_taken_away(context: SpecContext) -> None:
    assert build(context, [apparmor_profile("mine")])["process"]["apparmorProfile"] == "mine"
    assert (
        "apparmorProfile" not in build(context, [apparmor_profile("mine"), apparmor_profile(None)])["process"]
    )


def test_a_label_is_set_with_that_of_the_files_and_taken_away(context: SpecContext) -> None:
    built = build(context, [selinux_label("u:r:t:s0", mount_label="u:r:f:s0")])
    assert (built["process"]["selinuxLabel"], built["linux"]["mountLabel"]) == ("u:r:t:s0", "u:r:f:s0")
    built = selinux_label("u:r:other:s0")(built, context)
    assert (built["process"]["selinuxLabel"], built["linux"]["mountLabel"]) == ("u:r:other:s0", "u:r:f:s0")
    built = selinux_label(None)(built, context)
    assert "selinuxLabel" not in built["process"]
    assert "mountLabel" not in built["linux"]


@pytest.mark.parametrize("name", ["", 1, "a\0"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="apparmor_profile: "):
        apparmor_profile(name)
    with pytest.raises(InvalidArgumentError, match="selinux_label: "):
        selinux_label(name)
    with pytest.raises(InvalidArgumentError, match="selinux_label: "):
        selinux_label("u:r:t:s0", mount_label=name)


def test_a_label_of_files_cannot_become_other_options_of_their_mount() -> None:
    with pytest.raises(InvalidArgumentError, match="selinux_label: .* holds a quote"):
        selinux_label("u:r:t:s0", mount_label='u:r:f:s0",lowerdir="/')
