"""What an image says becomes the process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import (
    RootfsNeeded,
    SpecContext,
    UnreadableRootfs,
    args,
    build,
    default_spec,
    env,
    image_config,
    user,
)
from containerd_aio.types import ImageConfig
from tests.spec.stand_ins import Files, image

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _with(context: SpecContext, config: ImageConfig) -> SpecContext:
    return replace(context, image=config)


@pytest.mark.parametrize(
    ("given", "command"),
    [
        pytest.param(None, ["/bin/web", "serve", "--help"], id="the image's own"),
        pytest.param(["ls"], ["/bin/web", "serve", "ls"], id="args replace Cmd and keep Entrypoint"),
        pytest.param([], ["/bin/web", "serve"], id="no args at all"),
        pytest.param(["a", "", "b c"], ["/bin/web", "serve", "a", "", "b c"], id="as they are"),
    ],
)
def test_the_command_is_entrypoint_and_cmd(
    context: SpecContext, given: list[str] | None, command: list[str]
) -> None:
    config = image(entrypoint=("/bin/web", "serve"), cmd=("--help",))
    assert build(_with(context, config), [image_config(given)])["process"]["args"] == command


def test_args_after_it_replace_everything(context: SpecContext) -> None:
    assert build(context, [image_config(["--serve"]), args("sh")])["process"]["args"] == ["sh"]


def test_an_image_without_a_command_gives_none(context: SpecContext) -> None:
    assert build(_with(context, image()), [image_config()])["process"]["args"] == []


@pytest.mark.parametrize(
    ("of_image", "of_spec", "merged"),
    [
        pytest.param((), [], [DEFAULT_PATH], id="default PATH"),
        pytest.param((), ["A=1"], [DEFAULT_PATH, "A=1"], id="default PATH and the spec's"),
        pytest.param(("A=1",), [], ["A=1"], id="no default PATH beside the image's"),
        pytest.param(("A=1", "B=2"), ["A=3", "C=4"], ["A=3", "B=2", "C=4"], id="the spec's wins"),
        pytest.param(("A=1", "A=2"), [], ["A=2"], id="the last of two wins"),
    ],
)
def test_the_environment_is_the_images_under_what_is_set(
    context: SpecContext, of_image: tuple[str, ...], of_spec: list[str], merged: list[str]
) -> None:
    built = build(_with(context, image(env=of_image)), [env(of_spec), image_config()])
    assert built["process"]["env"] == merged


def test_an_item_of_the_spec_without_a_value_removes_the_images(context: SpecContext) -> None:
    """A spec from another client may hold such items."""
    spec = default_spec("web", "example")
    spec["process"]["env"] = ["A"]
    built = image_config()(spec, _with(context, image(env=("A=1", "B=2"))))
    assert built["process"]["env"] == ["B=2"]


@pytest.mark.parametrize(("directory", "cwd"), [("", "/"), ("/srv", "/srv")])
def test_the_directory_is_the_images_or_the_root(context: SpecContext, directory: str, cwd: str) -> None:
    assert build(_with(context, image(working_dir=directory)), [image_config()])["process"]["cwd"] == cwd


@pytest.mark.parametrize(
    ("name", "uid", "gid", "gids"),
    [
        pytest.param("", 0, 0, [0, 10], id="none: root and root's groups"),
        pytest.param("web", 1000, 1001, [1001, 10, 33], id="name"),
        pytest.param("1000", 1000, 1001, [1001, 10, 33], id="uid"),
        pytest.param("1000:7", 1000, 7, [7, 10, 33], id="uid and gid"),
        pytest.param("web:www", 1000, 33, [33, 10], id="name and group"),
        pytest.param("4321:4321", 4321, 4321, [4321], id="unknown numbers"),
    ],
)
def test_the_user_is_the_images_with_supplementary_groups(
    context: SpecContext, name: str, uid: int, gid: int, gids: list[int]
) -> None:
    built = build(_with(context, image(user=name)), [image_config()])
    assert built["process"]["user"] == {"uid": uid, "gid": gid, "additionalGids": gids}


def test_roots_groups_are_not_given_to_a_user_set_before(context: SpecContext) -> None:
    built = build(context, [user("1000:1001"), image_config()])
    assert built["process"]["user"] == {"uid": 1000, "gid": 1001, "additionalGids": [1001, 10, 33]}


@pytest.mark.parametrize(
    "name", ["2147483648", "4294967296:0", "0:4294967296", "a:b:c", "nobody", ":0", "\0"]
)
def test_an_image_cannot_become_root_by_an_odd_user(context: SpecContext, name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        build(_with(context, image(user=name)), [image_config()])


@pytest.mark.parametrize("name", ["", "0", "7:7"])
def test_files_are_asked_for_where_there_are_none_yet(context: SpecContext, name: str) -> None:
    with pytest.raises(RootfsNeeded):
        build(replace(context, image=image(user=name), rootfs=None), [image_config()])


@pytest.mark.parametrize(("name", "uid", "gid"), [("", 0, 0), ("7:8", 7, 8)])
def test_an_image_without_names_runs_where_its_files_cannot_be_read(name: str, uid: int, gid: int) -> None:
    context = SpecContext("web", "example", image(user=name), UnreadableRootfs("another host"))
    built = build(context, [image_config()])
    assert built["process"]["user"] == {"uid": uid, "gid": gid, "additionalGids": [gid]}


def test_an_image_with_names_needs_its_files_read() -> None:
    context = SpecContext("web", "example", image(user="web"), UnreadableRootfs("another host"))
    with pytest.raises(InvalidArgumentError, match="give uid:gid"):
        build(context, [image_config()])


def test_an_image_without_passwd_and_group_is_fine() -> None:
    built = build(SpecContext("web", "example", image(), Files({})), [image_config()])
    assert built["process"]["user"] == {"uid": 0, "gid": 0, "additionalGids": [0]}


def test_a_container_without_an_image_has_no_configuration() -> None:
    with pytest.raises(InvalidArgumentError, match="image_config: the container has no image"):
        build(SpecContext("web", "example"), [image_config()])


def test_a_plain_str_as_args_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="image_config: 'sleep 60' is not a list of str"):
        image_config("sleep 60")


@pytest.mark.parametrize(
    "config",
    [
        image(env=("A=\0",)),
        image(entrypoint=("\0",)),
        image(cmd=("\0",)),
        image(working_dir="\0"),
        image(working_dir="\udcff"),
    ],
)
def test_text_that_no_kernel_takes_is_refused(context: SpecContext, config: ImageConfig) -> None:
    with pytest.raises(InvalidArgumentError, match="image_config: "):
        build(_with(context, config), [image_config()])
