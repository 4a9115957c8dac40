"""Archives on stdin and stdout, the ``-`` of ``import`` and ``cp``."""

from __future__ import annotations

import sys

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.descriptors import DescriptorSource


def piped_in() -> DescriptorSource:
    """Return stdin as a stream, which closes nothing but itself.

    :raises InvalidArgumentError: if it is a terminal, where nobody types an archive
    """
    if sys.stdin.isatty():
        raise InvalidArgumentError(
            "- is an archive on stdin, and stdin is a terminal: pipe one in, or name a file"
        )
    return DescriptorSource(sys.stdin.fileno())


def check_piped_out() -> None:
    """Refuse to show an archive to a person.

    :raises InvalidArgumentError: if stdout is a terminal
    """
    if sys.stdout.isatty():
        raise InvalidArgumentError(
            "- is an archive on stdout, and stdout is a terminal: pipe it on, or name a file"
        )
