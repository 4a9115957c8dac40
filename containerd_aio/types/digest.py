"""Digests: the names of blobs (OCI image-spec, descriptor.md, "Digests").

Two algorithms are taken: sha256, which containerd's own store uses, and sha512, which images may use. A digest
is checked before it goes into an RPC or a path: the store makes file names of it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from containerd_aio.errors import DataLossError, InvalidArgumentError

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def check_digest(text: str) -> str:
    """Return a digest unchanged: ``sha256:`` and 64 lower-case hex digits, or ``sha512:`` and 128.

    :raises InvalidArgumentError: for every other text
    """
    if _DIGEST.fullmatch(text) is None:
        raise InvalidArgumentError(
            f"{text[:160]!r} is not a digest: 'sha256:' and 64 lower-case hex digits are"
            " (or 'sha512:' and 128)"
        )
    return text


class Digester:
    """A digest that is computed while its bytes pass by."""

    def __init__(self, algorithm: str = "sha256") -> None:
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self._size = 0

    @classmethod
    def like(cls, digest: str | None) -> Digester:
        """Return a digester of the same algorithm as a digest, of sha256 where there is none.

        :raises InvalidArgumentError: if it is not a digest
        """
        return cls(check_digest(digest).partition(":")[0]) if digest is not None else cls()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self._size += memoryview(data).nbytes

    @property
    def digest(self) -> str:
        """The digest of what came so far."""
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    @property
    def size(self) -> int:
        """The number of bytes that came so far."""
        return self._size

    def check(self, expected: str) -> None:
        """Compare what came with the digest it should have.

        :raises DataLossError: if they differ; the message names both
        """
        if self.digest != expected:
            raise DataLossError(
                f"blob {expected} is damaged or incomplete: {self._size} bytes of digest {self.digest}",
                subject=f"blob '{expected}'",
            )
