"""What was typed, as options of a container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from containerd_aio.cli.order import Order, size
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("4096b", 4096),
        ("64k", 65_536),
        ("64M", 2**26),
        ("1g", 2**30),
        ("2GiB", 2**31),
        ("1T", 2**40),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "-1", "1.5G", "1 G", "1P", "1i", "\u0661", "1M\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="give 64M or 1G"):
        size(text)


def test_every_option_reaches_the_spec(tmp_path: Path) -> None:
    order = Order(
        image="busybox",
        terminal=True,
        env=["A=1"],
        cwd="/tmp",
        user="5:6",
        memory="64M",
        cpus=0.5,
        host_network=True,
        volumes=[f"{tmp_path}:/data:ro"],
        mounts=["type=tmpfs,target=/scratch"],
        read_only=True,
    )
    spec: Any = build(SpecContext("web", "default"), order.options())
    process, linux = spec["process"], spec["linux"]
    assert process["terminal"]
    assert {"A=1", "TERM=xterm"} <= set(process["env"])
    assert (process["cwd"], process["user"]["uid"], process["user"]["gid"]) == ("/tmp", 5, 6)
    assert linux["resources"]["memory"]["limit"] == 2**26
    assert linux["resources"]["cpu"]["quota"] == linux["resources"]["cpu"]["period"] // 2
    assert "network" not in [each["type"] for each in linux["namespaces"]]
    assert spec["root"]["readonly"]
    places = [each["destination"] for each in spec["mounts"]]
    assert {"/etc/resolv.conf", "/etc/hosts", "/data", "/scratch"} <= set(places)


def test_an_id_is_made_where_none_is_given() -> None:
    assert Order(image="busybox", id="web").container_id() == "web"
    order = Order(image="busybox")
    assert order.container_id() != order.container_id()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        pytest.param({"detach": True, "remove": True}, "takes no --rm", id="-d --rm"),
        pytest.param({"detach": True, "private": True}, "takes no -d", id="-d --private"),
        pytest.param({"detach": True, "interactive": True}, "one of the two alone", id="-d -i"),
        pytest.param({"detach": True, "terminal": True}, "one of the two alone", id="-d -t"),
        pytest.param({"log": Path("/x"), "interactive": True}, "neither -i nor -t", id="--log -i"),
        pytest.param({"log": Path("/x"), "terminal": True}, "neither -i nor -t", id="--log -t"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        Order(image="busybox", **given).check()


@pytest.mark.parametrize(
    "given",
    [{}, {"remove": True}, {"interactive": True}, {"detach": True, "interactive": True, "terminal": True}],
)
def test_what_goes_together_is_taken(given: dict[str, Any]) -> None:
    Order(image="busybox", **given).check()
