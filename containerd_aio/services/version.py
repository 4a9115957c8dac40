"""containerd's Version service."""

from __future__ import annotations

from typing import Final

from containerd_aio._api.containerd.services.version import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.call import Caller
from containerd_aio.types import VersionInfo

_SERVICE: Final = "containerd.services.version.v1.Version/"


class Version:
    """The version of a daemon. No namespace is needed."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get(self) -> VersionInfo:
        """Return the version and the revision that the daemon was built from."""
        answer = await self._caller.unary(_SERVICE + "Version", Empty(), api.VersionResponse, quick=True)
        return VersionInfo(answer.version, answer.revision)
