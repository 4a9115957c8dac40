"""Options of the runc shim, laid over those of the container."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._api.containerd.runc.v1 import CheckpointOptions as CheckpointMessage
from containerd_aio._api.containerd.runc.v1 import Options
from containerd_aio._transport.runc import (
    beyond_default_options,
    checkpoint_options,
    runc_options,
    takes_runc_options,
)
from containerd_aio._transport.typeurl import pack, unpack
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, CheckpointOptions, RuncOptions, TaskEndpoint

KATA = AnyValue("runtimeoptions.v1.Options", b"")
CRIU_PATH = b"\x42\x03/no"  # field 8, which containerd dropped

options_made = st.builds(
    RuncOptions,
    binary_name=st.none() | st.text(min_size=1),
    systemd_cgroup=st.none() | st.booleans(),
    io_uid=st.none() | st.integers(0, 2**32 - 1),
)


def test_every_option_is_one_of_containerds() -> None:
    texts = ("binary_name", "root", "shim_cgroup", "criu_image_path", "criu_work_path")
    truths = ("systemd_cgroup", "no_pivot_root", "no_new_keyring")
    numbers = ("io_uid", "io_gid")
    assert {field.name for field in fields(RuncOptions)} == {*texts, *truths, *numbers}
    values: dict[str, object] = dict.fromkeys(texts, "/x") | dict.fromkeys(truths, True)
    values |= dict.fromkeys(numbers, 7)
    message = unpack(runc_options(RuncOptions(**values)), Options)  # type: ignore[arg-type]
    assert {name: getattr(message, name) for name in values} == values
    assert not message.task_api_address


def test_what_is_not_given_stays_as_the_container_has_it() -> None:
    stored = runc_options(RuncOptions(binary_name="crun", systemd_cgroup=True, root="/r"))
    changed = unpack(runc_options(RuncOptions(systemd_cgroup=False, io_uid=1), stored), Options)
    assert changed == Options(binary_name="crun", root="/r", io_uid=1)


def test_what_this_library_does_not_know_stays_too() -> None:
    stored = AnyValue("containerd.runc.v1.Options", CRIU_PATH)
    assert CRIU_PATH in runc_options(RuncOptions(root="/r"), stored).value


def test_options_of_another_runtime_are_not_changed() -> None:
    with pytest.raises(InvalidArgumentError, match=r"runc.v1.Options is wanted.*runtimeoptions"):
        runc_options(RuncOptions(root="/r"), KATA)
    assert not takes_runc_options(KATA)
    assert takes_runc_options(None)
    assert takes_runc_options(pack(Options()))


def test_an_endpoint_goes_in_with_them() -> None:
    value = runc_options(RuncOptions(root="/r"), endpoint=TaskEndpoint("ttrpc+unix:///s", 3))
    assert unpack(value, Options) == Options(
        root="/r", task_api_address="ttrpc+unix:///s", task_api_version=3
    )


@given(options_made, options_made)
def test_the_upper_layer_counts_where_it_says_something(lower: RuncOptions, upper: RuncOptions) -> None:
    message = unpack(runc_options(upper, runc_options(lower)), Options)
    expected = lower.given() | upper.given()
    assert {name: getattr(message, name) for name in expected} == expected


def test_every_option_of_a_checkpoint_is_one_of_containerds() -> None:
    options = CheckpointOptions(
        exit=True,
        open_tcp=True,
        external_unix_sockets=True,
        terminal=True,
        file_locks=True,
        empty_namespaces=("network",),
        cgroups_mode="soft",
        work_path="/work",
    )
    message = unpack(checkpoint_options(options, image_path="/images"), CheckpointMessage)
    for field in fields(CheckpointOptions):
        value = getattr(options, field.name)
        assert getattr(message, field.name) == (list(value) if isinstance(value, tuple) else value)
    assert (message.image_path, message.parent_path) == ("/images", "")


def test_file_locks_are_taken_unless_told_otherwise() -> None:
    assert unpack(checkpoint_options(CheckpointOptions()), CheckpointMessage) == CheckpointMessage(
        file_locks=True
    )


def test_what_reaches_beyond_the_container_is_named() -> None:
    harmless = RuncOptions(systemd_cgroup=True, io_uid=1, io_gid=2)
    assert beyond_default_options(runc_options(harmless)) == []
    assert beyond_default_options(runc_options(RuncOptions())) == []
    for name in ("binary_name", "root", "shim_cgroup", "criu_image_path", "criu_work_path"):
        options = replace(RuncOptions(), **{name: "/x"})  # type: ignore[arg-type]
        assert beyond_default_options(runc_options(options)) == [f"runtime option {name}"]
    assert beyond_default_options(runc_options(RuncOptions(no_pivot_root=True))) == [
        "runtime option no_pivot_root"
    ]


def test_what_is_not_known_is_beyond_as_well() -> None:
    name = "containerd.runc.v1.Options"
    assert beyond_default_options(AnyValue(name, CRIU_PATH)) == ["unknown runtime options"]
    assert beyond_default_options(AnyValue(name, b"\xff")) == ["malformed runtime options"]
    assert beyond_default_options(KATA) == ["runtime options runtimeoptions.v1.Options"]
