"""The schema in proto/ speaks to every containerd that it says it does.

One schema, the newest, serves all versions: so whatever a version has on the wire must be in it unchanged, and
what it has on top must not stand where that version has something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet

from tests.proto.schema import compiled_schema, schema_lines

VERSIONS = ["1.6.20", "1.7.34", "2.1.9", "main"]

NOT_CARRIED = {
    "containerd.linux.runc": "options of runtime v1, which 1.x kept beside v2 and 2.0 removed",
    "containerd.plugin": "options of .proto files, never on the wire",
    "containerd.runtime.bootstrap.v1": "between the daemon and a shim that starts",
    "containerd.runtime.linux.shim.v1": "the shims' own API for runtime v1",
    "containerd.runtime.sandbox.v1": "the shims' own API",
    "containerd.services.events.ttrpc.v1": "on the ttrpc socket, for shims",
    "containerd.task.v2": "the shims' own API",
    "containerd.task.v3": "the shims' own API",
}

# Type names that 1.7.25 changed; the fields are the same, so the bytes are.
MOVED = {"1.6.20": ("containerd.services.events.v1.Envelope", "containerd.types.Envelope")}

# What a version has and the schema has not.
LACKING = {
    # The path of the criu binary. From 1.7.25 on the number is reserved, and the daemon ignores the field.
    "1.6.20": {"field containerd.runc.v1.Options 8 criu_path: string"},
}

# What the schema has and no record of containerd's own files does.
NOT_RECORDED = "grpc.health.v1"


def record(version: str) -> set[str]:
    """The lines of a version, under the names that types have today."""
    text = (Path(__file__).parent / "records" / f"{version}.txt").read_text()
    if version in MOVED:
        text = text.replace(*MOVED[version])
    return {line for line in text.splitlines() if not line.startswith("#")}


def differences(version: str, ours: set[str]) -> Iterator[str]:
    """What does not fit between the schema and a version, as lines to show."""
    theirs = record(version)
    for line in sorted(theirs - ours - LACKING.get(version, set())):
        subject = line.split()[1] + "."
        if not any(subject.startswith(f"{package}.") for package in NOT_CARRIED):
            yield f"{version} has: {line}"
    for line in sorted(ours - theirs):
        kind, _, rest = line.partition(" ")
        if kind == "field":
            message, number, name = rest.split(":")[0].split()
            if {f"reserved {message} {number}", f"reserved {message} {name}"} & theirs:
                yield f"{version} reserves the number or name of: {line}"
        if version == "main" and NOT_RECORDED not in line:
            yield f"{version} has not: {line}"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_has_what_each_version_has(version: str) -> None:
    assert list(differences(version, schema_lines(compiled_schema()))) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_records_are_whole(version: str) -> None:
    """A record that lost its lines would agree with anything."""
    kinds = {line.split()[0] for line in record(version)}
    assert kinds >= {"package", "message", "field", "enum", "method"}
    assert len(record(version)) > 800


@pytest.mark.parametrize("version", LACKING)
def test_what_is_stated_as_lacking_is_in_that_version(version: str) -> None:
    assert LACKING[version] <= record(version)


def test_the_schema_is_proto3_throughout() -> None:
    """Other syntaxes make no lines, so that they could hide something."""
    assert {file.syntax for file in compiled_schema().file} == {"proto3"}


def test_what_is_not_carried_is_in_some_version_and_not_in_the_schema() -> None:
    packages = {f"package {name}" for name in NOT_CARRIED}
    assert packages <= set().union(*(record(version) for version in VERSIONS))
    assert not packages & schema_lines(compiled_schema())


def test_the_health_service_is_grpcs_common_one() -> None:
    """It is in none of containerd's files; these are the lines of the gRPC project's definition."""
    assert {line for line in schema_lines(compiled_schema()) if NOT_RECORDED in line} == {
        "package grpc.health.v1",
        "message grpc.health.v1.HealthCheckRequest",
        "field grpc.health.v1.HealthCheckRequest 1 service: string",
        "message grpc.health.v1.HealthCheckResponse",
        "field grpc.health.v1.HealthCheckResponse 1 status: "
        "enum grpc.health.v1.HealthCheckResponse.ServingStatus",
        "enum grpc.health.v1.HealthCheckResponse.ServingStatus 0 UNKNOWN",
        "enum grpc.health.v1.HealthCheckResponse.ServingStatus 1 SERVING",
        "enum grpc.health.v1.HealthCheckResponse.ServingStatus 2 NOT_SERVING",
        "enum grpc.health.v1.HealthCheckResponse.ServingStatus 3 SERVICE_UNKNOWN",
        "method grpc.health.v1.Health/Check: "
        "grpc.health.v1.HealthCheckRequest -> grpc.health.v1.HealthCheckResponse",
        "method grpc.health.v1.Health/Watch: "
        "grpc.health.v1.HealthCheckRequest -> stream grpc.health.v1.HealthCheckResponse",
    }


Edit = Callable[[FileDescriptorSet], None]


def _field(schema: FileDescriptorSet, message: str, name: str) -> FieldDescriptorProto:
    for file in schema.file:
        for candidate in file.message_type:
            if f"{file.package}.{candidate.name}" == message:
                return next(field for field in candidate.field if field.name == name)
    raise AssertionError(f"no {message}.{name}")


def _edit_field(message: str, name: str, /, **changes: object) -> Edit:
    def edit(schema: FileDescriptorSet) -> None:
        field = _field(schema, message, name)
        for attribute, value in changes.items():
            setattr(field, attribute, value)

    return edit


def _edit_method(name: str, /, **changes: object) -> Edit:
    def edit(schema: FileDescriptorSet) -> None:
        method = next(
            method
            for file in schema.file
            for service in file.service
            for method in service.method
            if f"{file.package}.{service.name}/{method.name}" == name
        )
        for attribute, value in changes.items():
            setattr(method, attribute, value)

    return edit


def _drop_message(schema: FileDescriptorSet) -> None:
    for file in schema.file:
        for index, message in enumerate(file.message_type):
            if (file.package, message.name) == ("containerd.events", "TaskOOM"):
                del file.message_type[index]
                return


def _renumber_running(schema: FileDescriptorSet) -> None:
    for file in schema.file:
        for enum in file.enum_type:
            if (file.package, enum.name) == ("containerd.v1.types", "Status"):
                enum.value[2].number = 20


TASK_EXIT = "containerd.events.TaskExit"
RUNC_OPTIONS = "containerd.runc.v1.Options"
MANY = FieldDescriptorProto.LABEL_REPEATED


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        pytest.param(_edit_field(TASK_EXIT, "pid", number=33), f"{TASK_EXIT} 3 pid", id="number"),
        pytest.param(_edit_field(TASK_EXIT, "pid", name="process"), f"{TASK_EXIT} 3 pid", id="name"),
        pytest.param(
            _edit_field(TASK_EXIT, "pid", type=FieldDescriptorProto.TYPE_UINT64),
            f"{TASK_EXIT} 3 pid: uint32",
            id="type",
        ),
        pytest.param(
            _edit_field(TASK_EXIT, "exited_at", type_name=".google.protobuf.Empty"),
            f"{TASK_EXIT} 5 exited_at: google.protobuf.Timestamp",
            id="message type",
        ),
        pytest.param(
            _edit_field(TASK_EXIT, "pid", label=MANY), f"has: field {TASK_EXIT} 3 pid: uint32", id="label"
        ),
        pytest.param(
            _edit_field(RUNC_OPTIONS, "root", number=8),
            f"reserves the number or name of: field {RUNC_OPTIONS} 8",
            id="reserved",
        ),
        pytest.param(
            _edit_field("containerd.services.images.v1.DeleteImageRequest", "target", proto3_optional=False),
            "3 target: optional containerd.types.Descriptor",
            id="presence",
        ),
        pytest.param(
            _edit_method("containerd.services.tasks.v1.Tasks/Wait", name="Await"), "Tasks/Wait", id="method"
        ),
        pytest.param(
            _edit_method("containerd.services.events.v1.Events/Subscribe", server_streaming=False),
            "Events/Subscribe: containerd.services.events.v1.SubscribeRequest -> stream containerd.types.Envelope",
            id="streaming",
        ),
        pytest.param(
            _edit_method("containerd.services.tasks.v1.Tasks/Get", input_type=".google.protobuf.Empty"),
            "Tasks/Get: containerd.services.tasks.v1.GetRequest",
            id="request",
        ),
        pytest.param(_drop_message, "message containerd.events.TaskOOM", id="dropped message"),
        pytest.param(_renumber_running, "enum containerd.v1.types.Status 2 RUNNING", id="enum value"),
    ],
)
def test_a_broken_schema_is_found(edit: Edit, shown: str) -> None:
    schema = compiled_schema()
    edit(schema)
    found = list(differences("main", schema_lines(schema)))
    assert any(shown in line for line in found), found
