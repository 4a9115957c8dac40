"""Members of an archive, written below a directory that is held by a descriptor.

The writer is likely root, and what it writes to is a running container's, which may change the tree at any moment.
So nothing that is there is ever opened for writing: what lies at a member's name may be a device of the host, a file
that the container shares with it, or a link. A member is made under a name of its own beside its place, by a
directory that was reached name by name without following a link, and is then renamed to it: it is there as a whole
or not at all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from containerd_aio._copying.faults import Naming
from containerd_aio._copying.landing import Landing, Names, implied, look_into, names_of, path_of
from containerd_aio._copying.placing import made_beside, put_in_place, temporary_name
from containerd_aio._tar.member import Kind, Member
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.layered import LayeredDirectories

_HOLD: Final = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLE: Final = 64 * 1024
_NODES: Final = {
    Kind.CHARACTER_DEVICE: stat.S_IFCHR,
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
}


@dataclass(slots=True)
class _Open:
    """A file that is being written."""

    member: Member
    place: Names
    parent: int
    temporary: str
    descriptor: int


@dataclass(frozen=True, slots=True)
class _NewDirectory:
    """A directory that was made, whose mode and time are set when nothing is written to it any more."""

    place: Names
    identity: tuple[int, int]
    member: Member


class DirectoryWriter:
    """Writes members below the directory ``base`` of the tree that ``root`` is the top of.

    Everything here blocks. With ``own`` false, owners are not set, nor links gone through: for a directory of this
    host. Nothing is written to the places that are ``hidden``. ``root`` stays the caller's.
    """

    def __init__(
        self,
        root: int,
        base: Names,
        named: Naming,
        *,
        own: bool = True,
        hidden: frozenset[Names] = frozenset(),
    ) -> None:
        self._root = root
        self._named = named
        self._own = own
        look = look_into(LayeredDirectories([root]))
        self._landing = Landing(look, base, named, follow_links=own, hidden=hidden)
        self._parent: tuple[Names, int] | None = None
        self._file: _Open | None = None
        self._directories: list[_NewDirectory] = []

    def take(self, items: Iterable[Member | bytes]) -> None:
        """Write members, each followed by its content.

        :raises InvalidArgumentError: or another error, as the tree is named, if one cannot or must not be written
        """
        for item in items:
            if isinstance(item, Member):
                self._end_file()
                self._begin(item)
            elif self._file is not None:
                with self._named(path_of(self._file.place)):
                    _write(self._file.descriptor, item)

    def finish(self) -> None:
        """End the last member, and give the new directories their modes and times."""
        self._end_file()
        self._end_directories()

    def close(self) -> None:
        """Drop what was not finished, and let go of all."""
        file, self._file = self._file, None
        with ExitStack() as last:
            last.callback(self._hold_parent, None)
            last.callback(self._end_directories)
            if file is not None:
                os.close(file.descriptor)
                # The container may have moved it, and put a directory of its own there.
                with suppress(FileNotFoundError, IsADirectoryError):
                    os.unlink(file.temporary, dir_fd=file.parent)

    def _begin(self, member: Member) -> None:
        names = names_of(member.name, about=f"the archive's member {member.name!r}")
        parent, directory = self._directory_for(names, member)
        place = (*directory, names[-1])
        with self._named(path_of(place)):
            if self._landing.keeps(member.kind, place, names):
                return
            match member.kind:
                case Kind.FILE:
                    self._begin_file(member, place, parent)
                case Kind.DIRECTORY:
                    self._landing.made(names, self._make_directory(parent, place, member))
                case Kind.SYMLINK:
                    self._make_link(member, place, parent)
                case Kind.HARDLINK:
                    self._make_hard_link(member, place, parent)
                case _:
                    self._make_node(member, place, parent)

    def _directory_for(self, names: Names, member: Member) -> tuple[int, Names]:
        """Hold the directory that a member belongs in; it is made where the archive has only what is in it."""
        found = self._landing.parent(names)
        place = found.names
        if self._parent is not None and self._parent[0] == place and not found.missing:
            return self._parent[1], place
        with self._named(path_of(place)):
            descriptor = self._reached(place)
        self._hold_parent((place, descriptor))
        for name in found.missing:
            place = (*place, name)
            with self._named(path_of(place)):
                self._make_directory(descriptor, place, implied(member))
                descriptor = os.open(name, _HOLD, dir_fd=descriptor)
            self._hold_parent((place, descriptor))
        self._landing.made(names[:-1], place)
        return descriptor, place

    def _reached(self, place: Names) -> int:
        """Open a directory name by name; none of them was a link, and if one is now, it is not followed."""
        descriptor = os.open(".", _HOLD, dir_fd=self._root)
        for name in place:
            above = descriptor
            try:
                descriptor = os.open(name, _HOLD, dir_fd=above)
            finally:
                os.close(above)
        return descriptor

    def _hold_parent(self, parent: tuple[Names, int] | None) -> None:
        before, self._parent = self._parent, parent
        if before is not None:
            os.close(before[1])

    def _begin_file(self, member: Member, place: Names, parent: int) -> None:
        temporary = temporary_name()
        descriptor = os.open(temporary, _NEW, 0o600, dir_fd=parent)
        self._file = _Open(member, place, parent, temporary, descriptor)

    def _end_file(self) -> None:
        if self._file is None:
            return
        file = self._file
        with self._named(path_of(file.place)):
            _end_with_hole(file.descriptor)
            self._dress(file.descriptor, file.member)
            put_in_place(file.temporary, file.place[-1], file.parent)
            self._file = None
            os.close(file.descriptor)

    def _make_directory(self, parent: int, place: Names, member: Member) -> Names:
        try:
            os.mkdir(place[-1], 0o700, dir_fd=parent)
        except FileExistsError:
            # Somebody was faster, another copy for instance; a directory of theirs is as one that was there.
            os.close(os.open(place[-1], _HOLD, dir_fd=parent))
            return place
        descriptor = os.open(place[-1], _HOLD, dir_fd=parent)
        try:
            self._directories.append(_NewDirectory(place, _identity_of(descriptor), member))
        finally:
            os.close(descriptor)
        return place

    def _make_link(self, member: Member, place: Names, parent: int) -> None:
        with made_beside(parent, place[-1]) as temporary:
            os.symlink(member.target, temporary, dir_fd=parent)
            self._dress_by_name(temporary, parent, member, stat.S_IFLNK)
        self._landing.link_brought(place)

    def _make_hard_link(self, member: Member, place: Names, parent: int) -> None:
        about = f"the target of the archive's hard link {member.name!r}"
        names = names_of(member.target, about=about)
        directory = self._landing.parent(names)
        if not names or directory.missing:
            raise InvalidArgumentError(f"{about} is not there: {member.target!r}")
        source = self._reached(directory.names)
        try:
            if not stat.S_ISREG(os.stat(names[-1], dir_fd=source, follow_symlinks=False).st_mode):
                raise InvalidArgumentError(f"{about} is no file: {member.target!r}")
            with made_beside(parent, place[-1]) as temporary:
                os.link(names[-1], temporary, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError as error:
            raise InvalidArgumentError(f"{about} is not there: {member.target!r}") from error
        finally:
            os.close(source)

    def _make_node(self, member: Member, place: Names, parent: int) -> None:
        kind = _NODES[member.kind]
        with made_beside(parent, place[-1]) as temporary:
            os.mknod(temporary, kind | 0o600, os.makedev(*member.device), dir_fd=parent)
            self._dress_by_name(temporary, parent, member, kind)

    def _end_directories(self) -> None:
        # The deepest first: to set the mode of one is to change nothing above it.
        directories, self._directories = self._directories, []
        for made in reversed(directories):
            with self._named(path_of(made.place)), suppress(FileNotFoundError, NotADirectoryError):
                descriptor = self._reached(made.place)
                try:
                    if _identity_of(descriptor) == made.identity:
                        self._dress(descriptor, made.member)
                finally:
                    os.close(descriptor)

    def _dress_by_name(self, name: str, parent: int, member: Member, kind: int) -> None:
        # What has the name now is held first: somebody in the container may have put another file there, a hard
        # link to one whose owner must not change.
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if stat.S_IFMT(os.fstat(descriptor).st_mode) != kind:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            self._dress(descriptor, member)
        finally:
            os.close(descriptor)

    def _dress(self, descriptor: int, member: Member) -> None:
        """Set all but the content, in the order in which nothing undoes what went before."""
        path = f"/proc/self/fd/{descriptor}"
        if self._own:
            os.chown(path, member.uid, member.gid)
        if member.kind is not Kind.SYMLINK:
            os.chmod(path, member.mode)
        for name, value in member.xattrs.items():
            _set_attribute(path, name, value)
        os.utime(path, ns=(member.mtime_ns, member.mtime_ns))


def _set_attribute(path: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        # A user's own attribute is left out where a filesystem has none; what a program may do is not.
        if error.errno != errno.EOPNOTSUPP or not name.startswith("user."):
            raise


def _identity_of(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _write(descriptor: int, data: bytes) -> None:
    if len(data) >= _HOLE and data == bytes(len(data)):
        # The archive of a sparse file is full of them: 8 EiB of nothing must not fill a disk.
        os.lseek(descriptor, len(data), os.SEEK_CUR)
        return
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _end_with_hole(descriptor: int) -> None:
    """Give a file the size that was written to it; zeros at its end were only passed over."""
    os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))
