"""What the kernel says, in the words of the library."""

from __future__ import annotations

import errno

import pytest

from containerd_aio import (
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from containerd_aio._copying.faults import in_container, on_this_host
from containerd_aio.spec.layers import NotReadable


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOENT, NotFoundError, "is not there"),
        (errno.ENOTDIR, FailedPreconditionError, "is not a directory"),
        (errno.EISDIR, FailedPreconditionError, "is a directory"),
        (errno.EROFS, FailedPreconditionError, "read-only; copy before the container has a task"),
        (errno.EBUSY, FailedPreconditionError, "is a mount point"),
        (errno.EACCES, PermissionDeniedError, "permissions of this process"),
        (errno.ENOSPC, ResourceExhaustedError, "no space left"),
        (errno.EDQUOT, ResourceExhaustedError, "quota"),
        (errno.ELOOP, InvalidArgumentError, "too many links"),
        (errno.EAGAIN, FailedPreconditionError, "lease"),
        (errno.EOVERFLOW, FailedPreconditionError, "user namespace.*task.run"),
        (errno.ERANGE, InvalidArgumentError, "an attribute"),
        (errno.E2BIG, InvalidArgumentError, "an attribute"),
        (errno.ENAMETOOLONG, InvalidArgumentError, "name that is too long"),
    ],
)
def test_what_the_kernel_refuses_is_told_of_the_container(
    number: int, kind: type[ContainerdError], text: str
) -> None:
    with (
        pytest.raises(kind, match=f"^'/srv/x' in container 'web' .*{text}") as caught,
        in_container("web")("/srv/x"),
    ):
        raise OSError(number, "as the kernel says")
    assert caught.value.subject == "'/srv/x' in container 'web'"
    assert isinstance(caught.value.__cause__, OSError)


def test_what_is_nobody_s_fault_stays_what_it_is() -> None:
    named = in_container("web")
    with pytest.raises(OSError, match="Too many open files") as caught, named("/x"):
        raise OSError(errno.EMFILE, "Too many open files")
    assert not isinstance(caught.value, ContainerdError)
    for error in (PermissionDeniedError("ours"), ValueError("no OSError")):
        with pytest.raises(type(error)) as found, named("/x"):
            raise error
        assert found.value is error


def test_layers_that_do_not_say_enough_are_told() -> None:
    with (
        pytest.raises(FailedPreconditionError, match=r"cannot be read without a task \(redirect_dir\)"),
        in_container("web")("/x"),
    ):
        raise NotReadable("redirect_dir")


def test_files_of_this_host_stay_builtin_errors_with_their_whole_path() -> None:
    named = on_this_host("/target")
    with pytest.raises(NotADirectoryError) as caught, named("/sub/x"):
        raise OSError(errno.ENOTDIR, "x")
    assert caught.value.filename == "/target/sub/x"
    with pytest.raises(InvalidArgumentError), named("/x"):
        raise InvalidArgumentError("ours")
    with pytest.raises(OSError, match="bare"), named("/x"):
        raise OSError("bare")


def test_a_path_of_the_container_shows_no_terminal_codes() -> None:
    with pytest.raises(NotFoundError) as caught, in_container("web")("/\x1b[2J\udcff"):
        raise FileNotFoundError(errno.ENOENT, "x")
    assert str(caught.value) == r"'/\x1b[2J\udcff' in container 'web' is not there"
