"""What stands in for an image and for a container's files in the tests of specs."""

from __future__ import annotations

from collections.abc import Mapping

from containerd_aio.types import ImageConfig, Platform

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
web:x:1000:1001:Web:/srv:/bin/sh
"""
GROUP = b"""\
root:x:0:root
wheel:x:10:root,web
www:x:33:web
web:x:1001:web
"""


class Files:
    """A root filesystem in memory; it keeps what was asked for."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.asked: list[str] = []

    def read(self, path: str) -> bytes | None:
        self.asked.append(path)
        return self.files.get(path)


def image(
    *,
    env: tuple[str, ...] = (),
    entrypoint: tuple[str, ...] = (),
    cmd: tuple[str, ...] = (),
    working_dir: str = "",
    user: str = "",
) -> ImageConfig:
    """An image's configuration with these fields and nothing else."""
    return ImageConfig(
        platform=Platform("linux", "amd64"),
        diff_ids=(),
        env=env,
        entrypoint=entrypoint,
        cmd=cmd,
        working_dir=working_dir,
        user=user,
    )
