"""Our reading of an overlay is the kernel's: the same trees, read by both.

The trees grow at random, as images do: each layer is written through a real overlay of those below it, so the
whiteouts and opaque directories are the kernel's own. Files are then read by a busybox that has the last overlay
for its root, and by us from the directories alone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import open_rootfs
from containerd_aio.types import Mount
from tests.integration.conftest import cannot_run

pytestmark = pytest.mark.integration

PATHS = ["a", "b", "a/a", "a/b", "b/a", "a/a/b"]
TARGETS = ["a", "b", "/a", "/b/a", "../b", "../../a/b", "a/../../b", ".", "/"]
STEPS = st.one_of(
    st.builds("file {}".format, st.sampled_from(PATHS)),
    st.builds("directory {}".format, st.sampled_from(PATHS)),
    st.builds("remove {}".format, st.sampled_from(PATHS)),
    st.builds("link {} {}".format, st.sampled_from(TARGETS), st.sampled_from(PATHS)),
    st.builds("move {} {}".format, st.sampled_from(PATHS), st.sampled_from(PATHS)),
)
LAYERS = st.lists(st.lists(STEPS, min_size=4, max_size=10), min_size=2, max_size=4)

# What a step cannot do is left undone.
WORDS = """
box=/bin/busybox
file() { $box mkdir -p "${1%/*}"; [ -e "$1" ] || echo "$written $1" > "$1"; }
directory() { $box mkdir -p "$1"; }
remove() { $box rm -rf "$1"; }
link() { $box ln -s "$1" "$2"; }
move() { $box mv "$1" "$2"; }
show() { if [ -f "$1" ]; then $box cat "$1"; elif [ -e "$1" ]; then echo other; else echo none; fi; }
cd /
"""


@pytest.fixture(scope="module")
def lowest() -> Iterator[Path]:
    """A layer with busybox in it."""
    busybox = shutil.which("busybox")
    with tempfile.TemporaryDirectory(prefix="aio-overlay-") as home:
        layer = Path(home, "lowest")
        (layer / "bin").mkdir(parents=True)
        try:
            shutil.copy(busybox or "busybox", layer / "bin/busybox")
            with overlay([layer], Path(home, "upper")) as (merged, _):
                script(merged, "")
        except (OSError, subprocess.CalledProcessError) as error:
            cannot_run(f"no overlay can be mounted here, or no busybox run: {error}")
        yield layer


@given(layers=LAYERS)
# Without shrinking: an example takes 100 ms, and shrinking one takes minutes.
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_we_read_what_the_kernel_shows(lowest: Path, layers: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="aio-overlay-") as home:
        below = [lowest]
        for number, steps in enumerate(layers):
            upper = Path(home, str(number))
            with overlay(below, upper) as (merged, _):
                script(merged, f"written='in layer {number}'\n" + "\n".join(steps))
            below.insert(0, upper)
        with overlay(below, Path(home, "top")) as (merged, mount):
            shown = script(merged, "\n".join(f"show {path}" for path in PATHS)).splitlines()
            found = [read(mount, path) for path in PATHS]
    assert found == shown


def test_the_kernel_hides_files_in_the_ways_we_know(lowest: Path) -> None:
    """Else the test above might never have met one."""
    with tempfile.TemporaryDirectory(prefix="aio-overlay-") as home:
        first, second = Path(home, "1"), Path(home, "2")
        with overlay([lowest], first) as (merged, _):
            script(merged, "written=below\nfile a/a\nfile b/a\nfile b/b")
        with overlay([first, lowest], second) as (merged, mount):
            script(merged, "remove a\ndirectory a\nremove b/a")
            assert (second / "b/a").is_char_device()
            assert not (second / "a").is_char_device()
            assert [read(mount, path) for path in ("a/a", "b/a", "b/b")] == ["none", "none", "below b/b"]


def read(mount: Mount, path: str) -> str:
    """What we read, in the words of ``show``."""
    with open_rootfs([mount]) as rootfs:
        try:
            content = rootfs.read(path)
        except InvalidArgumentError as error:
            # busybox says "none" of links in a circle, as it does of links to nothing.
            return "none" if "leads nowhere" in str(error) else "other"
    return "none" if content is None else content.decode().strip()


def script(root: Path, text: str) -> str:
    """Let a shell that has nothing but ``root`` run ``text``; what it writes."""
    line = ["chroot", str(root), "/bin/busybox", "sh", "-c", f"{WORDS}\n{text}\n:"]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=120).stdout


@contextmanager
def overlay(lower: Sequence[Path], upper: Path) -> Iterator[tuple[Path, Mount]]:
    """Mount an overlay of ``lower`` and a new ``upper``; where it is, and how a snapshotter describes it."""
    merged, work = upper.with_name("merged"), upper.with_name(f"{upper.name}-work")
    for directory in (upper, merged, work):
        directory.mkdir(exist_ok=True)
    options = (f"lowerdir={':'.join(map(str, lower))}", f"upperdir={upper}", f"workdir={work}")
    line = ["mount", "-t", "overlay", "-o", ",".join(options), "overlay", str(merged)]
    subprocess.run(line, check=True, capture_output=True)
    try:
        yield merged, Mount("overlay", "overlay", options=options)
    finally:
        subprocess.run(["umount", str(merged)], check=True, capture_output=True)
