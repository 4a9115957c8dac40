"""The process of an exec is the container's, changed."""

from __future__ import annotations

import copy
import json

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import RootfsNeeded, Spec, UnreadableRootfs, default_spec, process_for_exec
from tests.spec.stand_ins import Files


@pytest.fixture
def spec() -> Spec:
    """A container's spec as it may be stored."""
    stored = default_spec("web", "example")
    stored["process"] |= {
        "args": ["/bin/web"],
        "env": ["A=1", "B=2"],
        "cwd": "/srv",
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "commandLine": "web",
        "apparmorProfile": "web",
        "user": {"uid": 7, "gid": 8, "additionalGids": [8, 9]},
    }
    return stored


def test_only_the_command_and_the_terminal_are_its_own(spec: Spec) -> None:
    expected = copy.deepcopy(spec["process"])
    expected |= {"args": ["ps", "-a"], "terminal": False}
    del expected["consoleSize"], expected["commandLine"]
    assert process_for_exec(spec, args=["ps", "-a"]) == expected


def test_the_containers_spec_stays_as_it_was(spec: Spec, files: Files) -> None:
    before = copy.deepcopy(spec)
    process = process_for_exec(
        spec,
        args=["ps"],
        env={"A": None},
        cwd="/",
        user="web",
        terminal=True,
        capabilities=["KILL"],
        rootfs=files,
    )
    process["rlimits"].clear()
    assert spec == before


def test_the_environment_is_merged(spec: Spec) -> None:
    process = process_for_exec(spec, args=["ps"], env={"A": None, "B": "3", "C": "4"})
    assert process["env"] == ["B=3", "C=4"]


def test_the_directory_can_be_another(spec: Spec) -> None:
    assert process_for_exec(spec, args=["ps"], cwd="/tmp")["cwd"] == "/tmp"


@pytest.mark.parametrize(
    ("user", "uid", "gid", "gids"),
    [
        pytest.param("web", 1000, 1001, [1001, 10, 33], id="name"),
        pytest.param("1000", 1000, 1001, [1001, 10, 33], id="uid"),
        pytest.param("web:www", 1000, 33, [33, 10], id="name and group"),
        pytest.param("1000:5", 1000, 5, [5], id="numbers"),
    ],
)
def test_the_user_can_be_another(
    spec: Spec, files: Files, user: str, uid: int, gid: int, gids: list[int]
) -> None:
    process = process_for_exec(spec, args=["ps"], user=user, rootfs=files)
    assert process["user"] == {"uid": uid, "gid": gid, "additionalGids": gids}


def test_numbers_need_no_files(spec: Spec) -> None:
    assert process_for_exec(spec, args=["ps"], user="0:0")["user"]["additionalGids"] == [0]


def test_a_name_needs_files(spec: Spec) -> None:
    with pytest.raises(RootfsNeeded):
        process_for_exec(spec, args=["ps"], user="web")
    with pytest.raises(InvalidArgumentError, match="give uid:gid"):
        process_for_exec(spec, args=["ps"], user="web", rootfs=UnreadableRootfs("another host"))


def test_a_terminal_brings_its_name(spec: Spec) -> None:
    process = process_for_exec(spec, args=["sh"], terminal=True)
    assert process["terminal"] is True
    assert process["env"] == ["A=1", "B=2", "TERM=xterm"]


def test_a_terminal_keeps_the_name_it_is_given(spec: Spec) -> None:
    process = process_for_exec(spec, args=["sh"], terminal=True, env=["TERM=vt100"])
    assert process["env"] == ["A=1", "B=2", "TERM=vt100"]


def test_capabilities_can_be_others(spec: Spec) -> None:
    sets = process_for_exec(spec, args=["ps"], capabilities=["KILL"])["capabilities"]
    assert sets == {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}


def test_capabilities_can_be_none(spec: Spec) -> None:
    assert process_for_exec(spec, args=["ps"], capabilities=[])["capabilities"]["effective"] == []


def test_a_container_without_a_process_gives_one_all_the_same() -> None:
    for stored in ({}, {"process": None}, {"process": {"cwd": None, "user": None, "capabilities": None}}):
        spec: Spec = json.loads(json.dumps(stored))
        process = process_for_exec(spec, args=["ps"], user="1:2", capabilities=["KILL"], env=["A=1"])
        assert process["cwd"] == "/"
        assert process["user"] == {"uid": 1, "gid": 2, "additionalGids": [2]}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        pytest.param({"args": "ps -a"}, "'ps -a' is not a list of str", id="plain str as args"),
        pytest.param({"args": []}, "names no program", id="no args"),
        pytest.param({"args": [""]}, "names no program", id="empty program"),
        pytest.param({"args": ["ps", 1]}, "1 is not a str", id="number in args"),
        pytest.param({"env": "A=1"}, "'A=1' is not a list of str", id="plain str as env"),
        pytest.param({"env": {"A=": "1"}}, "is not the name of a variable", id="name with ="),
        pytest.param({"cwd": "srv"}, "'srv' is not an absolute path", id="relative cwd"),
        pytest.param({"user": ""}, "'' is empty", id="empty user"),
        pytest.param({"user": "4294967296"}, "is an id out of range", id="user out of range"),
        pytest.param({"capabilities": "KILL"}, "'KILL' is not a list of str", id="plain str as capabilities"),
        pytest.param({"capabilities": ["FLY"]}, "'FLY' is not a capability", id="unknown capability"),
    ],
)
def test_what_cannot_be_run_is_refused(spec: Spec, wrong: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"exec: .*{why}"):
        process_for_exec(spec, **{"args": ["ps"], **wrong})  # type: ignore[arg-type]
