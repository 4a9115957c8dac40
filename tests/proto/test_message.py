"""The base class of the generated messages: presence, equality, and that they still are betterproto's."""

from __future__ import annotations

import copy
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import betterproto
import pytest

import containerd_aio._api
from containerd_aio._api._message import Message, absent, field_types
from containerd_aio._api.containerd.events import TaskExit
from containerd_aio._api.containerd.runc.v1 import Options
from containerd_aio._api.containerd.services.containers.v1 import Container, ContainerRuntime
from containerd_aio._api.containerd.services.images.v1 import DeleteImageRequest
from containerd_aio._api.containerd.types import Descriptor, Mount
from containerd_aio._api.containerd.v1.types import Process, Status
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import Timestamp
from containerd_aio._api.io.containerd.cgroups.v2 import PsiData
from tests.proto.everything import Everything
from tests.proto.reference import message_classes, reference_class
from tests.proto.schema import compiled_schema, schema_lines


def names_of(cls: type[Message]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


# What is absent


@pytest.mark.parametrize("cls", message_classes(), ids=lambda cls: cls.__proto_name__)
def test_absent_fields_read_as_their_zero_and_stay_absent(cls: type[Message]) -> None:
    message: Any = cls()
    other: Any = reference_class(cls)()
    for name, field in zip(names_of(cls), other.DESCRIPTOR.fields, strict=True):
        value = getattr(message, name)
        if value is None or isinstance(value, Message):
            assert field.message_type is not None or field.has_presence
        else:
            zero = getattr(other, field.name)
            assert value == (type(value)(zero) if isinstance(value, list | dict) else zero)
        assert not message.is_set(name)
        assert getattr(message, name) is value
    assert not message
    assert message == cls()
    assert repr(message) == f"{cls.__name__}()"


def test_what_an_absent_field_reads_as_is_each_message_s_own() -> None:
    one, other = Container(), Container()
    one.labels["a"] = "b"
    one.spec.type_url = "t"
    assert (other.labels, other.spec.type_url) == ({}, "")


def test_an_absent_enum_reads_as_its_first_member() -> None:
    assert Process().status is Status.UNKNOWN


def test_changing_what_was_read_makes_it_present_all_the_way_up() -> None:
    container = Container()
    container.runtime.options.value = b"x"
    assert container.is_set("runtime")
    assert container.runtime.is_set("options")
    assert container == Container(runtime=ContainerRuntime(options=ProtoAny(value=b"x")))


def test_setting_a_zero_in_what_was_read_makes_it_present() -> None:
    container = Container()
    container.created_at.seconds = 0
    assert container.is_set("created_at")


def test_a_message_put_in_is_present_though_empty() -> None:
    given, assigned = Container(runtime=ContainerRuntime()), Container()
    assigned.runtime = ContainerRuntime()
    assert given.is_set("runtime")
    assert assigned.is_set("runtime")
    assert given == assigned != Container()


def test_an_absent_message_that_is_put_elsewhere_stays_absent() -> None:
    """So what was read from one message can be passed on to another, there or not."""
    assert not Container(created_at=TaskExit().exited_at).is_set("created_at")
    assert Container(created_at=TaskExit(exited_at=Timestamp()).exited_at).is_set("created_at")


def test_a_message_may_be_made_absent_until_it_is_changed() -> None:
    container = Container(created_at=absent(Timestamp))
    assert container == Container()
    container.created_at.nanos = 0
    assert container == Container(created_at=Timestamp())


@pytest.mark.parametrize(
    ("message", "name", "expected"),
    [
        (Container(id=""), "id", False),
        (Container(id="web"), "id", True),
        (Container(labels={}), "labels", False),
        (Container(labels={"": ""}), "labels", True),
        (Mount(options=[]), "options", False),
        (Mount(options=[""]), "options", True),
        (PsiData(avg10=-0.0), "avg10", True),
        (PsiData(avg10=0.0), "avg10", False),
        (DeleteImageRequest(target=None), "target", False),
        (DeleteImageRequest(target=Descriptor()), "target", True),
        (Everything(maybe_int=0), "maybe_int", True),
    ],
)
def test_is_set_tells_what_would_be_sent(message: Message, name: str, expected: bool) -> None:
    assert message.is_set(name) is expected
    assert bool(message) is expected


# Comparing, showing, copying


def test_messages_are_equal_if_they_would_be_sent_alike() -> None:
    assert Container(id="a", labels={"x": "1", "y": "2"}) == Container(id="a", labels={"y": "2", "x": "1"})
    assert Container(id="a") != Container(id="b")
    assert Container(id="a") == Container(id="a", image="", labels={})
    assert Container(spec=ProtoAny()) != Container()
    assert Container(id="a") != ContainerRuntime(name="a")
    assert PsiData(avg10=float("nan")) == PsiData(avg10=float("nan"))
    assert PsiData(avg10=float("nan")) != PsiData(avg10=1.0)


def test_comparing_deep_messages_takes_linear_time() -> None:
    one, other = Everything(), Everything()
    for _ in range(90):
        one, other = Everything(child=one), Everything(child=other)
    assert one == other


def test_messages_cannot_be_hashed_for_they_change() -> None:
    with pytest.raises(TypeError):
        hash(Container())


def test_repr_shows_what_is_set() -> None:
    container = Container(id="web", image="", runtime=ContainerRuntime())
    assert container.labels == {}
    assert repr(container) == "Container(id='web', runtime=ContainerRuntime())"


def test_a_copy_shares_and_a_deep_copy_does_not() -> None:
    container = Container(labels={"a": "b"}, spec=ProtoAny(type_url="t"))
    shallow, deep = copy.copy(container), copy.deepcopy(container)
    assert container == shallow == deep
    assert shallow.labels is container.labels
    assert deep.labels is not container.labels
    assert deep.spec is not container.spec


def test_a_copy_of_an_absent_message_is_absent() -> None:
    container = Container()
    assert container.spec.type_url == ""
    assert not copy.deepcopy(container).is_set("spec")
    assert not copy.copy(container).is_set("spec")


def test_unknown_and_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="Container has no field image_name"):
        Container(image_name="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Container("web")  # type: ignore[call-arg]


def test_deprecated_fields_make_no_noise() -> None:
    """What to send is for the daemon's version to decide; here warnings are errors."""
    assert Options(task_api_address="unix:///x").task_api_address == "unix:///x"


# Still betterproto's


def test_messages_are_betterproto_dataclasses() -> None:
    container = Container(id="web", labels={"a": "b"}, runtime=ContainerRuntime())
    assert isinstance(container, betterproto.Message)
    assert dataclasses.is_dataclass(container)
    assert Container().parse(bytes(container)) == container
    assert Container().from_dict(container.to_dict()).id == "web"
    assert betterproto.serialized_on_wire(container.runtime)
    assert not betterproto.serialized_on_wire(container.spec)
    assert dataclasses.replace(Mount(type="bind"), source="/a") == Mount(type="bind", source="/a")


@pytest.mark.parametrize("cls", message_classes(), ids=lambda cls: cls.__proto_name__)
def test_classes_agree_with_the_compiled_schema(cls: type[Message]) -> None:
    descriptor = reference_class(cls).DESCRIPTOR
    numbers = [betterproto.FieldMetadata.get(field).number for field in dataclasses.fields(cls)]
    assert numbers == [field.number for field in descriptor.fields]
    assert field_types(cls).keys() == set(names_of(cls))


def test_every_message_of_the_schema_has_a_class() -> None:
    classes = {cls.__proto_name__ for cls in message_classes()}
    messages = {line.split()[1] for line in schema_lines(compiled_schema()) if line.startswith("message ")}
    assert messages == classes - {"test.Everything"}


# What an import costs


def imported_by(module: str) -> set[str]:
    """The modules under _api that one of them imports, in an interpreter that has nothing else of the package."""
    (path,) = containerd_aio.__path__
    code = (
        "import sys, types\n"
        "sys.modules['containerd_aio'] = package = types.ModuleType('containerd_aio')\n"
        f"package.__path__ = [{path!r}]\n"
        f"import {module}\n"
        "print(*(name for name in sys.modules if '._api.' in name))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition("._api.")[2] for name in result.stdout.split()}


def test_a_service_loads_only_what_it_refers_to() -> None:
    parents = {"containerd", "containerd.services", "containerd.services.version", "google"}
    own = {"_message", "_service", "containerd.services.version.v1", "google.protobuf"}
    assert imported_by("containerd_aio._api.containerd.services.version.v1") == parents | own


def test_no_generated_module_uses_googles_types_from_betterproto() -> None:
    (root,) = containerd_aio._api.__path__
    sources = list(Path(root).rglob("*.py"))
    assert len(sources) > 50
    assert not [path for path in sources if "betterproto.lib" in path.read_text()]
