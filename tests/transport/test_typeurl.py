"""Type URLs: containerd's bare names, and JSON under registered paths."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio import _api
from containerd_aio._api._message import Message
from containerd_aio._api.containerd.events import ContainerCreateRuntime, TaskExit
from containerd_aio._api.containerd.runc.v1 import Options
from containerd_aio._api.containerd.services.images.v1 import ImageCreate
from containerd_aio._api.containerd.services.streaming.v1 import StreamInit
from containerd_aio._api.containerd.types.transfer import OciRegistry
from containerd_aio._api.io.containerd.cgroups import v1, v2
from containerd_aio._api.runtimeoptions.v1 import Options as RuntimeOptions
from containerd_aio._transport import typeurl
from containerd_aio._transport.typeurl import (
    from_bytes,
    from_json_any,
    json_any,
    message_class,
    pack,
    to_bytes,
    type_url,
    unpack,
)
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue

NAMES = [
    pytest.param(Options, "containerd.runc.v1.Options", id="runc"),
    pytest.param(RuntimeOptions, "runtimeoptions.v1.Options", id="runtime"),
    pytest.param(TaskExit, "containerd.events.TaskExit", id="event"),
    pytest.param(ImageCreate, "containerd.services.images.v1.ImageCreate", id="image-event"),
    pytest.param(OciRegistry, "containerd.types.transfer.OCIRegistry", id="capitals"),
    pytest.param(StreamInit, "containerd.services.streaming.v1.StreamInit", id="stream"),
    pytest.param(v1.Metrics, "io.containerd.cgroups.v1.Metrics", id="cgroup-1"),
    pytest.param(v2.Metrics, "io.containerd.cgroups.v2.Metrics", id="cgroup-2"),
]


@pytest.mark.parametrize(("cls", "name"), NAMES)
def test_a_type_url_is_the_bare_full_name(cls: type[Message], name: str) -> None:
    assert type_url(cls) == name
    assert type_url(cls()) == name


def test_a_nested_message_is_named_by_its_outer_one() -> None:
    assert type_url(ContainerCreateRuntime) == "containerd.events.ContainerCreate.Runtime"


@pytest.mark.parametrize(("cls", "name"), NAMES)
def test_the_class_of_a_type_url_is_found(cls: type[Message], name: str) -> None:
    assert message_class(name) is cls
    assert message_class(f"type.googleapis.com/{name}") is cls


@pytest.mark.parametrize(
    "url",
    [
        "",
        "Options",
        "containerd.runc.v1.Nothing",
        "containerd.runc.v1.options",
        "containerd.runc.v1.__name__",
        "os.path.Path",
        "containerd_aio.errors.ContainerdError",
        typeurl.SPEC,
    ],
)
def test_a_type_url_of_no_message_here_has_no_class(url: str) -> None:
    assert message_class(url) is None


def test_every_generated_message_has_a_name_of_its_own() -> None:
    names: list[str] = []
    for module in pkgutil.walk_packages(_api.__path__, f"{_api.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Message) and value.__module__ == module.name:
                package = module.name.removeprefix("containerd_aio._api.")
                names.append(type_url(value))
                if value is not Message:
                    assert type_url(value).startswith(f"{package}."), value
    assert len(set(names)) == len(names)
    assert len(names) > 200


def test_a_message_goes_in_and_comes_out() -> None:
    value = pack(TaskExit(container_id="web", pid=7))
    assert value.type_url == "containerd.events.TaskExit"
    assert unpack(value, TaskExit) == TaskExit(container_id="web", pid=7)


def test_a_prefix_is_passed_over_when_reading() -> None:
    value = AnyValue("type.googleapis.com/containerd.events.TaskExit", b"")
    assert unpack(value, TaskExit) == TaskExit()


def test_another_type_is_refused() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"a containerd\.runc\.v1\.Options is wanted here, not 'contain"
    ):
        unpack(pack(TaskExit(pid=1)), Options)


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x01\xff"])
def test_bytes_that_are_no_such_message_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match=r"not a containerd\.events\.TaskExit"):
        unpack(AnyValue("containerd.events.TaskExit", data), TaskExit)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (typeurl.SPEC, "Spec"),
        (typeurl.PROCESS, "Process"),
        (typeurl.LINUX_RESOURCES, "LinuxResources"),
    ],
)
def test_the_registered_paths(url: str, path: str) -> None:
    assert url == f"types.containerd.io/opencontainers/runtime-spec/1/{path}"


json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_documents)
def test_a_document_goes_in_and_comes_out(document: object) -> None:
    value = json_any(typeurl.SPEC, document)
    assert value.type_url == typeurl.SPEC
    assert from_json_any(value) == document


def test_json_is_compact_and_utf_8() -> None:
    assert json_any("x", {"a": ["ü", 1]}).value == '{"a":["ü",1]}'.encode()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(float("nan"), id="nan"),
        pytest.param({"x": b"bytes"}, id="bytes"),
        pytest.param({"x": object()}, id="object"),
        pytest.param("\udc80", id="no-text"),
    ],
)
def test_what_json_cannot_hold_is_refused(document: object) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be written as JSON"):
        json_any(typeurl.SPEC, document)


def test_a_document_in_itself_is_refused() -> None:
    document: list[object] = []
    document.append(document)
    with pytest.raises(InvalidArgumentError):
        json_any(typeurl.SPEC, document)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff", id="not-utf-8"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="is not JSON"):
        from_json_any(AnyValue(typeurl.SPEC, data))


@given(st.builds(AnyValue, st.text(min_size=1), st.binary()))
def test_a_value_goes_into_bytes_and_comes_out(value: AnyValue) -> None:
    assert from_bytes(to_bytes(value)) == value


def test_the_bytes_are_those_that_containerd_stores() -> None:
    assert to_bytes(AnyValue("t", b"v")) == b"\x0a\x01t\x12\x01v"


@pytest.mark.parametrize("data", [b"", b"\x12\x01v", b"\xff", b"\x0a\x05t"], ids=repr)
def test_bytes_that_are_no_value_with_its_type_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="this is no value with its type"):
        from_bytes(data)
