"""All services together."""

from __future__ import annotations

import dataclasses

from containerd_aio import services
from containerd_aio._api.containerd.services.version import v1 as api
from containerd_aio.services import Services
from tests.services.scripted import Scripted
from tests.services.serving import serving


async def test_each_service_is_there_under_its_name() -> None:
    async with serving(Scripted(api.VersionBase, {})) as served:
        all_services = Services.of(served.caller)
        for field in dataclasses.fields(Services):
            if field.name != "caller":
                expected = getattr(services, field.name.capitalize())
                assert type(getattr(all_services, field.name)) is expected
        assert all_services.caller is served.caller
        assert all_services.snapshotter("native").name == "native"


async def test_they_share_one_connection() -> None:
    answers = {"Version": api.VersionResponse(version="2.1.9")}
    async with serving(Scripted(api.VersionBase, answers)) as served:
        assert (await Services.of(served.caller).version.get()).version == "2.1.9"
        assert [method for method, _ in served.headers] == ["/containerd.services.version.v1.Version/Version"]
