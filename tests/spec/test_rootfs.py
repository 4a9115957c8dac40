"""Reading a container's files from the host: the right ones, and never others.

The tests make real directories. Those of overlays use ``userxattr``, whose attributes everybody may set, so that
they run without root too; root makes `trusted.` ones besides.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import RootfsUnreadableError, UnreadableRootfs, open_rootfs
from containerd_aio.spec.layered import trusted_attributes_shown
from containerd_aio.spec.resolution import MAX_LINKS
from containerd_aio.spec.rootfs import MAX_FILE_SIZE
from containerd_aio.types import Mount
from tests.conftest import UNHEEDED

PASSWD = "/etc/passwd"
ROOT = os.geteuid() == 0


class Layer:
    """A directory of a test, to be filled as an image would fill it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def file(self, name: str, content: str = "") -> None:
        self.directory(os.path.dirname(name)).joinpath(os.path.basename(name)).write_text(content)

    def directory(self, name: str) -> Path:
        place = self.path / name.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def link(self, name: str, target: str) -> None:
        (self.directory(os.path.dirname(name)) / os.path.basename(name)).symlink_to(target)

    def whiteout(self, name: str) -> None:
        """What overlayfs leaves where a file was deleted; Linux lets everybody make this one device."""
        place = self.directory(os.path.dirname(name)) / os.path.basename(name)
        os.mknod(place, 0o020000, os.makedev(0, 0))

    def mark(self, name: str, attribute: str, value: bytes = b"y") -> None:
        os.setxattr(self.path / name.lstrip("/"), attribute, value)


@pytest.fixture
def make_layer(tmp_path: Path) -> Callable[[], Layer]:
    """Makes empty layers."""
    count = iter(range(1000))
    return lambda: Layer(tmp_path / f"layer{next(count)}")


@pytest.fixture
def layer(make_layer: Callable[[], Layer]) -> Layer:
    """One empty layer."""
    return make_layer()


def overlay(*layers: Layer, options: tuple[str, ...] = ("userxattr",)) -> Mount:
    """An overlay of ``layers``, the uppermost first, as overlayfs's snapshotter describes it."""
    upper, *lower = (str(layer.path) for layer in layers)
    return Mount("overlay", "overlay", options=(f"upperdir={upper}", f"lowerdir={':'.join(lower)}", *options))


def bind(layer: Layer) -> Mount:
    """A single directory, as the native snapshotter describes it."""
    return Mount("bind", str(layer.path), options=("rbind", "rw"))


def read(mount: Mount, path: str = PASSWD) -> bytes | None:
    """What a container with this root filesystem has at ``path``."""
    with open_rootfs([mount]) as rootfs:
        return rootfs.read(path)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody, where we are root."""
    if ROOT:
        os.seteuid(65534)
    try:
        yield
    finally:
        if ROOT:
            os.seteuid(0)


# One directory.


def test_a_file_is_read(layer: Layer) -> None:
    layer.file(PASSWD, "root:x:0:0")
    assert read(bind(layer)) == b"root:x:0:0"


@pytest.mark.parametrize("path", ["etc/passwd", "//etc//passwd", "/./etc/../etc/passwd", "/../../etc/passwd"])
def test_a_path_may_be_written_in_odd_ways(layer: Layer, path: str) -> None:
    layer.file(PASSWD, "here")
    assert read(bind(layer), path) == b"here"


@pytest.mark.parametrize("path", [PASSWD, "/nowhere/passwd", "/file/passwd", "/file/../etc/passwd"])
def test_a_file_that_is_not_there_is_none(layer: Layer, path: str) -> None:
    layer.file("/file")
    assert read(bind(layer), path) is None


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(PASSWD, "real", id="relative link"),
        pytest.param(PASSWD, "/etc/real", id="absolute link, from the container's root"),
        pytest.param(PASSWD, "../../../../etc/real", id="more steps up than there are"),
        pytest.param(PASSWD, "/../etc/./real", id="up from the root"),
    ],
)
def test_links_are_followed_inside(layer: Layer, name: str, target: str) -> None:
    layer.file("/etc/real", "inside")
    layer.link(name, target)
    assert read(bind(layer)) == b"inside"


def test_a_link_to_a_directory_is_followed(layer: Layer) -> None:
    """The way of NixOS, and of images whose /etc was moved."""
    layer.file("/nix/store/etc/passwd", "inside")
    layer.link("/etc", "/nix/current/etc")
    layer.link("/nix/current", "store")
    assert read(bind(layer)) == b"inside"


@pytest.mark.parametrize("depth", range(6))
def test_a_link_never_leads_out(layer: Layer, tmp_path: Path, depth: int) -> None:
    (tmp_path / "secret").write_text("the host's")
    layer.link("/up", "./" + "../" * depth + "secret")
    layer.link("/absolute", str(tmp_path / "secret"))
    layer.link("/escape", "./" + "../" * depth)
    for path in ("/up", "/absolute", "/escape/secret", f"/escape/{tmp_path}/secret"):
        assert read(bind(layer), path) is None


@given(steps=st.lists(st.sampled_from(["..", ".", "a", "b", "out", "in", "/", ""]), max_size=12))
@settings(suppress_health_check=[*UNHEEDED, HealthCheck.function_scoped_fixture])
def test_no_way_through_links_leads_out(tmp_path: Path, steps: list[str]) -> None:
    root = tmp_path / "root"
    if not root.exists():
        (root / "a" / "b").mkdir(parents=True)
        (root / "a" / "out").symlink_to("../../..")
        (root / "b").symlink_to("/a/b")
        (root / "out").symlink_to(tmp_path)
        (root / "in").symlink_to("a")
        (tmp_path / "secret").write_text("the host's")
        (root / "secret").write_text("the container's")
    link = root / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("/".join([*steps, "secret"]))
    assert read(Mount("bind", str(root)), "/link") in (b"the container's", None)


def test_a_link_that_leads_nowhere_is_no_file(layer: Layer) -> None:
    layer.link(PASSWD, "/nowhere")
    assert read(bind(layer)) is None


@pytest.mark.parametrize("target", ["file/../passwd", "file/./../passwd", "file/", "file/."])
def test_nothing_lies_behind_the_name_of_a_file(layer: Layer, target: str) -> None:
    """As in the kernel, which refuses it with ENOTDIR."""
    layer.file("/etc/file")
    layer.file("/etc/passwd")
    layer.link("/link", f"etc/{target}")
    assert read(bind(layer), "/link") is None


def test_links_in_a_circle_are_refused(layer: Layer) -> None:
    layer.link(PASSWD, "other")
    layer.link("/etc/other", "passwd")
    with pytest.raises(InvalidArgumentError, match="/etc/passwd of the container leads nowhere"):
        read(bind(layer))


@pytest.mark.parametrize("count", [MAX_LINKS, MAX_LINKS + 1])
def test_links_are_followed_as_far_as_linux_does(layer: Layer, count: int) -> None:
    for number in range(count):
        layer.link(f"/link{number}", f"link{number + 1}")
    layer.file(f"/link{count}", "end")
    if count > MAX_LINKS:
        with pytest.raises(InvalidArgumentError, match="leads nowhere"):
            read(bind(layer), "/link0")
    else:
        assert read(bind(layer), "/link0") == b"end"


def test_a_tree_of_links_cannot_keep_us_busy(layer: Layer) -> None:
    layer.directory("/a")
    layer.link("/long", "a/../" * 800 + "a")
    layer.link("/longer", "long/../" * 30 + "long")
    with pytest.raises(InvalidArgumentError, match="leads nowhere"):
        read(bind(layer), "/longer")


def test_a_name_that_is_too_long_is_refused(layer: Layer) -> None:
    layer.link(PASSWD, "x" * 300)
    with pytest.raises(InvalidArgumentError, match="leads nowhere"):
        read(bind(layer))


def test_a_fifo_is_refused_without_waiting_for_a_writer(layer: Layer) -> None:
    os.mkfifo(layer.directory("/etc") / "passwd")
    with pytest.raises(InvalidArgumentError, match="/etc/passwd of the container is not a regular file"):
        read(bind(layer))


def test_a_socket_is_refused(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(layer.directory("/etc"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("passwd")
        with pytest.raises(InvalidArgumentError, match="not a regular file"):
            read(bind(layer))


def test_a_device_is_refused(layer: Layer) -> None:
    """A whiteout's device, which needs no privilege; only an overlay gives it a meaning."""
    layer.whiteout(PASSWD)
    with pytest.raises(InvalidArgumentError, match="not a regular file"):
        read(bind(layer))


@pytest.mark.parametrize("path", ["/etc", "/", "..", "/etc/."])
def test_a_directory_is_refused(layer: Layer, path: str) -> None:
    layer.directory("/etc")
    with pytest.raises(InvalidArgumentError, match="not a regular file"):
        read(bind(layer), path)


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_may_have_ten_megabytes(layer: Layer, more: int) -> None:
    layer.file(PASSWD)
    os.truncate(layer.path / "etc/passwd", MAX_FILE_SIZE + more)
    if more:
        with pytest.raises(InvalidArgumentError, match="is larger than 10485760 bytes"):
            read(bind(layer))
    else:
        content = read(bind(layer))
        assert content is not None
        assert len(content) == MAX_FILE_SIZE


def test_marks_of_an_overlay_mean_nothing_in_a_single_directory(layer: Layer) -> None:
    layer.file(PASSWD, "here")
    layer.mark("/etc", "user.overlay.opaque")
    layer.mark("/etc", "user.overlay.redirect", b"/elsewhere")
    layer.mark(PASSWD, "user.overlay.metacopy")
    assert read(bind(layer)) == b"here"


# Overlays.


@pytest.fixture
def upper(make_layer: Callable[[], Layer]) -> Layer:
    """The uppermost of three layers."""
    return make_layer()


@pytest.fixture
def middle(make_layer: Callable[[], Layer]) -> Layer:
    """The one under it."""
    return make_layer()


@pytest.fixture
def lower(make_layer: Callable[[], Layer]) -> Layer:
    """The lowest, with a passwd and a group."""
    layer = make_layer()
    layer.file(PASSWD, "lower")
    layer.file("/etc/group", "lower group")
    return layer


def test_the_uppermost_layer_that_has_a_file_decides(upper: Layer, middle: Layer, lower: Layer) -> None:
    middle.file(PASSWD, "middle")
    assert read(overlay(upper, middle, lower)) == b"middle"
    upper.file(PASSWD, "upper")
    assert read(overlay(upper, middle, lower)) == b"upper"
    assert read(overlay(upper, middle, lower), "/etc/group") == b"lower group"


def test_a_view_without_an_upper_directory_is_read(middle: Layer, lower: Layer) -> None:
    middle.file(PASSWD, "middle")
    options = (f"lowerdir={middle.path}:{lower.path}", "userxattr")
    assert read(Mount("overlay", "overlay", options=options)) == b"middle"


def test_a_whiteout_hides_a_file(upper: Layer, middle: Layer, lower: Layer) -> None:
    middle.whiteout(PASSWD)
    assert read(overlay(upper, middle, lower)) is None
    upper.file(PASSWD, "again")
    assert read(overlay(upper, middle, lower)) == b"again"


def test_a_whiteout_hides_a_directory(upper: Layer, middle: Layer, lower: Layer) -> None:
    middle.whiteout("/etc")
    assert read(overlay(upper, middle, lower)) is None


def test_a_directory_above_a_whiteout_is_not_merged(upper: Layer, middle: Layer, lower: Layer) -> None:
    upper.file("/etc/group", "upper group")
    middle.whiteout("/etc")
    assert read(overlay(upper, middle, lower)) is None
    assert read(overlay(upper, middle, lower), "/etc/group") == b"upper group"


def test_an_opaque_directory_hides_what_lies_below(upper: Layer, middle: Layer, lower: Layer) -> None:
    middle.file("/etc/group", "middle group")
    middle.mark("/etc", "user.overlay.opaque")
    upper.file("/etc/shadow", "upper shadow")
    assert read(overlay(upper, middle, lower)) is None
    assert read(overlay(upper, middle, lower), "/etc/group") == b"middle group"
    assert read(overlay(upper, middle, lower), "/etc/shadow") == b"upper shadow"


def test_only_y_makes_a_directory_opaque(upper: Layer, lower: Layer) -> None:
    upper.directory("/etc")
    upper.mark("/etc", "user.overlay.opaque", b"x")
    assert read(overlay(upper, lower)) == b"lower"


def test_a_directory_replaces_a_file(upper: Layer, middle: Layer, lower: Layer) -> None:
    """What lies below the file is not merged with the directory."""
    upper.directory("/etc")
    middle.file("/etc", "no directory")
    assert read(overlay(upper, middle, lower)) is None


def test_a_file_replaces_a_directory(upper: Layer, lower: Layer) -> None:
    upper.file("/etc", "no directory")
    assert read(overlay(upper, lower)) is None
    assert read(overlay(upper, lower), "/etc") == b"no directory"


def test_a_link_leads_through_all_layers(upper: Layer, middle: Layer, lower: Layer) -> None:
    upper.link(PASSWD, "../usr/passwd")
    middle.link("/usr", "/etc/share")
    lower.file("/etc/share/passwd", "found")
    assert read(overlay(upper, middle, lower)) == b"found"


def test_a_link_above_hides_the_directory_below(upper: Layer, lower: Layer) -> None:
    upper.link("/etc", "/other")
    upper.file("/other/passwd", "other")
    assert read(overlay(upper, lower)) == b"other"


def test_a_link_never_leads_out_of_an_overlay(upper: Layer, lower: Layer, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the host's")
    upper.link("/link", "../secret")
    assert read(overlay(upper, lower), "/link") is None


def test_a_renamed_directory_is_not_guessed(upper: Layer, lower: Layer) -> None:
    upper.directory("/etc")
    upper.mark("/etc", "user.overlay.redirect", b"/old")
    with pytest.raises(RootfsUnreadableError, match=r"redirect_dir\); give uid:gid"):
        read(overlay(upper, lower))


def test_a_file_whose_data_is_elsewhere_is_not_taken_for_empty(upper: Layer, lower: Layer) -> None:
    upper.file(PASSWD)
    upper.mark(PASSWD, "user.overlay.metacopy", b"")
    with pytest.raises(RootfsUnreadableError, match=r"metacopy\); give uid:gid"):
        read(overlay(upper, lower))


def test_attributes_of_the_other_kind_mean_nothing(upper: Layer, lower: Layer) -> None:
    """An image may bring ``user.`` ones with it; without ``userxattr`` the kernel does not look at them."""
    upper.directory("/etc")
    upper.mark("/etc", "user.overlay.opaque")
    plain = overlay(upper, lower, options=())
    try:
        upper.mark("/etc", "trusted.other")
    except PermissionError:
        with pytest.raises(RootfsUnreadableError, match="only root of the host"):
            read(plain)
    else:
        assert read(plain) == b"lower"
        upper.mark("/etc", "trusted.overlay.opaque")
        assert read(plain) is None


def test_without_privileges_an_overlay_of_roots_is_not_guessed(upper: Layer, lower: Layer) -> None:
    """Its marks are not shown then, and a hidden passwd would be read."""
    with unprivileged(), pytest.raises(RootfsUnreadableError, match="only root of the host"):
        read(overlay(upper, lower, options=()))


# What cannot be read.


def test_a_directory_that_is_not_there_is_on_another_host(tmp_path: Path) -> None:
    with pytest.raises(RootfsUnreadableError, match=r"/etc/passwd of the container .* give uid:gid"):
        read(Mount("bind", str(tmp_path / "missing")))


def test_a_layer_that_is_no_directory_is_on_another_host(layer: Layer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RootfsUnreadableError, match="Not a directory"):
        read(Mount("overlay", "overlay", options=(f"lowerdir={layer.path}:{tmp_path}/file", "userxattr")))


def test_mounts_that_are_no_directories_cannot_be_read() -> None:
    with pytest.raises(RootfsUnreadableError, match="type 'erofs'"):
        read(Mount("erofs", "/layer.erofs"))


@pytest.fixture
def shown_layer(layer: Layer) -> Iterator[Layer]:
    """A layer with a passwd, in directories that everybody may pass."""
    layer.file(PASSWD, "found")
    parents = [path for path in (layer.path, *layer.path.parents) if not path.stat().st_mode & 0o001]
    modes = [parent.stat().st_mode for parent in parents]
    for parent, mode in zip(parents, modes, strict=True):
        parent.chmod(mode | 0o111)
    yield layer
    (layer.path / "etc").chmod(0o755)
    for parent, mode in zip(parents, modes, strict=True):
        parent.chmod(mode)


def test_without_privileges_readable_files_are_read(shown_layer: Layer) -> None:
    """Else the next tests would say nothing."""
    with unprivileged():
        assert read(bind(shown_layer)) == b"found"


def test_without_permission_a_file_cannot_be_read(shown_layer: Layer) -> None:
    (shown_layer.path / "etc/passwd").chmod(0)
    with unprivileged(), pytest.raises(RootfsUnreadableError, match="Permission denied"):
        read(bind(shown_layer))


def test_without_permission_the_marks_of_a_directory_are_not_guessed(
    shown_layer: Layer, lower: Layer
) -> None:
    (shown_layer.path / "etc").chmod(0o111)
    with unprivileged(), pytest.raises(RootfsUnreadableError, match="Permission denied"):
        read(overlay(shown_layer, lower))


def test_an_unreadable_rootfs_tells_its_reason() -> None:
    with pytest.raises(
        RootfsUnreadableError, match=r"/etc/group .*\(containerd is elsewhere\); give uid:gid"
    ):
        UnreadableRootfs("containerd is elsewhere").read("/etc/group")


def test_a_fault_of_the_host_is_told_as_it_is(layer: Layer) -> None:
    """No descriptors left: neither the image nor the caller did anything wrong."""
    layer.file(PASSWD)
    with (
        open_rootfs([bind(layer)]) as rootfs,
        no_descriptors_left(),
        pytest.raises(OSError, match="Too many open"),
    ):
        rootfs.read(PASSWD)


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Use up the descriptors that this process may have."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("status", "namespace", "shown"),
    [
        pytest.param("Name:\tpy\nCapEff:\t000001ffffffffff\n", 0xEFFFFFFD, True, id="root"),
        pytest.param("Name:\tpy\nCapEff:\t000001ffffffffff\n", 4026532000, False, id="of a user namespace"),
        pytest.param("CapEff:\t00000000a80425fb\n", 0xEFFFFFFD, False, id="in a container"),
        pytest.param("CapEff:\t0000000000000000\n", 0xEFFFFFFD, False, id="no root"),
        pytest.param("Name:\tpy\n", 0xEFFFFFFD, False, id="unknown"),
    ],
)
def test_trusted_attributes_are_shown_to_root_of_the_host(status: str, namespace: int, shown: bool) -> None:
    assert trusted_attributes_shown(status, namespace) is shown


def test_nothing_stays_open(upper: Layer, middle: Layer, lower: Layer) -> None:
    upper.link("/a", "/etc/passwd")
    upper.link("/circle", "circle")
    before = os.listdir("/proc/self/fd")
    assert read(overlay(upper, middle, lower), "/a") == b"lower"
    for path in ("/circle", "/etc"):
        with pytest.raises(InvalidArgumentError):
            read(overlay(upper, middle, lower), path)
    with pytest.raises(RootfsUnreadableError):
        read(Mount("overlay", "overlay", options=(f"lowerdir={lower.path}:/nowhere", "userxattr")))
    assert os.listdir("/proc/self/fd") == before
