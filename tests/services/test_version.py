"""The Version service."""

from __future__ import annotations

from containerd_aio._api.containerd.services.version import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.services.version import Version
from containerd_aio.types import VersionInfo
from tests.services.scripted import Scripted
from tests.services.serving import serving


async def test_the_version_and_its_revision_are_returned() -> None:
    service = Scripted(api.VersionBase, {"Version": api.VersionResponse(version="v2.1.9", revision="9269")})
    async with serving(service, rpc_timeout=60) as served:
        assert await Version(served.caller).get() == VersionInfo("v2.1.9", "9269")
        assert served.deadlines("Version/Version") == [True]
    assert service.requests == [("Version", Empty())]
