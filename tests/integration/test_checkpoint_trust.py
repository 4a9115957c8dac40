"""Restoring what somebody else made: nothing that a container does not have by default, unless they are trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from containerd_aio import Client, Image, InvalidArgumentError, RuncOptions, spec
from containerd_aio._transport.typeurl import SPEC, json_any
from containerd_aio.spec import Spec, SpecOption
from containerd_aio.spec.schema import LinuxDevice

pytestmark = pytest.mark.integration

SLEEP = ["sleep", "3600"]


async def checkpoint_of(client: Client, image: Image, *options: SpecOption, **changes: object) -> Image:
    """A checkpoint without memory of a container with this spec."""
    async with await client.new_container("theirs", image=image, args=SLEEP, options=options) as container:
        if changes:
            found: Spec = {**await container.spec(), **changes}  # type: ignore[typeddict-item]
            info = await container.info()
            await container.update(replace(info, spec=json_any(SPEC, found)), "spec")
        return await container.checkpoint("theirs", task=False)


@pytest.mark.parametrize(
    ("options", "changes", "listed"),
    [
        pytest.param([], {"hooks": {"prestart": [{"path": "/bin/sh"}]}}, "hooks.prestart", id="hooks"),
        pytest.param([spec.bind("/etc", "/mnt")], {}, "mount of '/etc' at /mnt", id="a host bind"),
        pytest.param([spec.host_namespace("network")], {}, "network namespace of the host", id="a namespace"),
        pytest.param([spec.add_capabilities("CAP_SYS_ADMIN")], {}, "capability CAP_SYS_ADMIN", id="power"),
        pytest.param([], {"root": {"path": "/"}}, "root filesystem at '/'", id="another root"),
    ],
)
async def test_a_spec_that_wants_more_is_refused(
    client: Client, image: Image, options: list[SpecOption], changes: dict[str, object], listed: str
) -> None:
    checkpoint = await checkpoint_of(client, image, *options, **changes)
    with pytest.raises(InvalidArgumentError, match="trusted=True") as caught:
        await client.restore("ours", checkpoint)
    assert listed in str(caught.value)
    assert await client.list_containers() == []
    async with await client.restore("ours", checkpoint, trusted=True) as container:
        trusted = await container.spec()
        assert trusted["linux"].pop("cgroupsPath") == f"/{client.namespace}/ours"


async def test_a_spec_that_is_none_is_refused_though_trusted(client: Client, image: Image) -> None:
    checkpoint = await checkpoint_of(client, image, linux={"cgroupsPath": 7})
    with pytest.raises(InvalidArgumentError, match=r"damaged: linux\.cgroupsPath is not a string"):
        await client.restore("ours", checkpoint, trusted=True)


async def test_a_spec_without_a_section_wants_what_is_missing(client: Client, image: Image) -> None:
    checkpoint = await checkpoint_of(client, image, linux=None)
    with pytest.raises(InvalidArgumentError, match="network namespace of the host"):
        await client.restore("ours", checkpoint)


async def test_devices_are_refused(client: Client, image: Image) -> None:
    device: LinuxDevice = {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}

    def add(found: Spec, _: object) -> Spec:
        return {**found, "linux": {**found["linux"], "devices": [device]}}

    checkpoint = await checkpoint_of(client, image, add)
    with pytest.raises(InvalidArgumentError, match="device /dev/kmsg"):
        await client.restore("ours", checkpoint)


async def test_a_spec_of_ones_own_stands_in_place_of_theirs(client: Client, image: Image) -> None:
    checkpoint = await checkpoint_of(client, image, spec.bind("/etc", "/mnt"))
    mine = spec.default_spec("ours", client.namespace)
    mine["process"]["args"] = ["true"]
    async with await client.restore("ours", checkpoint, spec=mine) as container:
        assert await container.spec() == mine


async def test_what_a_container_may_have_is_taken(client: Client, image: Image) -> None:
    options = [
        spec.memory_limit(64 << 20),
        spec.hostname("box"),
        spec.env({"A": "b"}),
        spec.tmpfs("/scratch"),
    ]
    checkpoint = await checkpoint_of(client, image, *options)
    async with await client.restore("ours", checkpoint) as container:
        found = await container.spec()
        assert found["hostname"] == "box"
        assert "A=b" in found["process"]["env"]
        assert found["linux"]["resources"]["memory"] == {"limit": 64 << 20}
        assert found["linux"]["cgroupsPath"] == f"/{client.namespace}/ours"
        assert (await container.image()).name == image.name


@pytest.mark.parametrize(
    ("runtime", "options", "listed"),
    [
        pytest.param("/bin/evil", None, "runtime '/bin/evil'", id="a shim of theirs"),
        pytest.param(
            None, RuncOptions(binary_name="/bin/evil"), "runtime option binary_name", id="a runc of theirs"
        ),
        pytest.param(None, RuncOptions(root="/etc"), "runtime option root", id="a place for its state"),
    ],
)
async def test_a_runtime_of_theirs_is_refused(
    client: Client, image: Image, runtime: str | None, options: RuncOptions | None, listed: str
) -> None:
    async with await client.new_container(
        "theirs", image=image, args=SLEEP, runtime=runtime, runtime_options=options
    ) as container:
        checkpoint = await container.checkpoint("theirs", task=False)
    with pytest.raises(InvalidArgumentError) as caught:
        await client.restore("ours", checkpoint)
    assert listed in str(caught.value)
    async with await client.restore("ours", checkpoint, runtime=False) as container:
        assert (await container.info()).runtime.options is None
    async with await client.restore("ours", checkpoint, trusted=True) as container:
        assert (await container.info()).runtime == (await theirs(checkpoint, client, runtime, options))


async def theirs(
    checkpoint: Image, client: Client, runtime: str | None, options: RuncOptions | None
) -> object:
    async with await client.new_container(
        "same", image=checkpoint, args=SLEEP, runtime=runtime, runtime_options=options
    ) as container:
        return (await container.info()).runtime


async def test_a_plain_image_is_no_checkpoint(client: Client, image: Image) -> None:
    with pytest.raises(InvalidArgumentError, match="is no checkpoint"):
        await client.restore("ours", image)
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        with pytest.raises(InvalidArgumentError, match="is no checkpoint"):
            await container.new_task(checkpoint=image)
        with pytest.raises(InvalidArgumentError, match="not a str"):
            await container.new_task(checkpoint="kept")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="must be absolute"):
            await container.new_task(checkpoint=Path("kept"))
