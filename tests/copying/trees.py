"""Trees of files for the tests: made in a directory, and read back."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SECOND = 10**9


@dataclass(frozen=True)
class Item:
    """A file as a test sees it; ``same_as`` is the first name of a file that has several."""

    kind: str
    mode: int = 0o644
    content: bytes = b""
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    same_as: str = ""


Tree = dict[str, Item]
Given = tarfile.TarInfo | tuple[str, bytes]


def make_tree(top: Path, tree: Tree) -> None:
    """Make the files below a directory; the caller is root, or owns all of them."""
    for name, item in tree.items():
        path = os.fsencode(top) + b"/" + os.fsencode(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if item.same_as:
            os.link(os.fsencode(top) + b"/" + os.fsencode(item.same_as), path)
        elif item.kind == "directory":
            os.makedirs(path, exist_ok=True)
        elif item.kind == "link":
            os.symlink(item.content, path)
        else:
            with open(path, "wb") as file:
                file.write(item.content)
    for name, item in reversed(tree.items()):
        path = os.fsencode(top) + b"/" + os.fsencode(name)
        if os.geteuid() == 0:
            os.chown(path, item.uid, item.gid, follow_symlinks=False)
        if item.kind != "link":
            os.chmod(path, item.mode)
        os.utime(path, ns=(item.mtime_ns, item.mtime_ns), follow_symlinks=False)


def read_tree(top: Path) -> Tree:
    """What there is below a directory."""
    found: Tree = {}
    first: dict[int, str] = {}
    base = os.fsencode(top)
    for directory, directories, files in os.walk(base):
        for entry in sorted([*directories, *files]):
            path = os.path.join(directory, entry)
            name = os.fsdecode(os.path.relpath(path, base))
            found[name] = read_item(path, name, first)
    return found


def read_item(path: bytes, name: str, first: dict[int, str]) -> Item:
    status = os.lstat(path)
    kind, content = "file", b""
    if stat.S_ISDIR(status.st_mode):
        kind = "directory"
    elif stat.S_ISLNK(status.st_mode):
        kind, content = "link", os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = Path(os.fsdecode(path)).read_bytes()
    else:
        kind = {stat.S_IFIFO: "fifo", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}[
            stat.S_IFMT(status.st_mode)
        ]
    same = first.setdefault(status.st_ino, name) if kind == "file" and status.st_nlink > 1 else name
    return Item(
        kind,
        mode=0o777 if kind == "link" else stat.S_IMODE(status.st_mode),
        content=content,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        same_as="" if same == name else same,
    )


def tar_of(members: Iterable[Given]) -> bytes:
    """A tar of members, files with their contents among them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info


def directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    return member(name, tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.SYMTYPE, target)


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.LNKTYPE, target)


def from_tar(data: bytes) -> Tree:
    """What is in a tar, as tarfile reads it."""
    found: Tree = {}
    kinds = {
        tarfile.DIRTYPE: "directory",
        tarfile.SYMTYPE: "link",
        tarfile.CHRTYPE: "device",
        tarfile.FIFOTYPE: "fifo",
    }
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            kind = kinds.get(info.type, "file")
            file = archive.extractfile(info) if info.isreg() else None
            exact = info.pax_headers.get("mtime")
            seconds, _, rest = (exact or str(int(info.mtime))).partition(".")
            found[info.name] = Item(
                kind,
                mode=0o777 if kind == "link" else info.mode,
                content=os.fsencode(info.linkname) if kind == "link" else file.read() if file else b"",
                uid=info.uid,
                gid=info.gid,
                mtime_ns=int(seconds) * SECOND + int(rest.ljust(9, "0")),
                same_as=info.linkname if info.type == tarfile.LNKTYPE else "",
            )
    return found
