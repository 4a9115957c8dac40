"""A compiled schema as lines of text, one for each thing that is on the wire.

::

    package containerd.types
    message containerd.types.Descriptor
    field containerd.types.Descriptor 5 annotations: map<string, string>
    reserved containerd.runc.v1.Options 8
    enum containerd.v1.types.Status 2 RUNNING
    method containerd.services.tasks.v1.Tasks/Get: containerd.services.tasks.v1.GetRequest -> ...

File names, comments and options are not on the wire and make no line. ``records/`` holds the lines of several
versions of containerd. For another one, compile its .proto files and print theirs::

    protoc --include_imports --descriptor_set_out=containerd.binpb ...
    python -m tests.proto.schema containerd.binpb > tests/proto/records/<version>.txt
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

DESCRIPTORS: Final = Path(__file__).parent / "descriptors.binpb"

_NEVER_PACKED: Final = {
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_BYTES,
    FieldDescriptorProto.TYPE_MESSAGE,
}


def compiled_schema() -> FileDescriptorSet:
    """What proto/ compiles to; ``nox -s generate`` writes it beside this file."""
    return FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())


def schema_lines(schema: FileDescriptorSet) -> set[str]:
    # The one proto2 file of containerd holds options of .proto files, nothing for the wire.
    return {line for file in schema.file if file.syntax == "proto3" for line in _file_lines(file)}


def _file_lines(file: FileDescriptorProto) -> Iterator[str]:
    yield f"package {file.package}"
    for enum in file.enum_type:
        yield from _enum_lines(enum, file.package)
    for message in file.message_type:
        yield from _message_lines(message, file.package)
    for service in file.service:
        for method in service.method:
            yield f"method {file.package}.{service.name}/{method.name}: {_signature(method)}"


def _enum_lines(enum: EnumDescriptorProto, scope: str) -> Iterator[str]:
    for value in enum.value:
        yield f"enum {scope}.{enum.name} {value.number} {value.name}"


def _message_lines(message: DescriptorProto, scope: str) -> Iterator[str]:
    name = f"{scope}.{message.name}"
    yield f"message {name}"
    for field in message.field:
        yield f"field {name} {field.number} {field.name}: {_field_type(field, message)}"
    for reserved in message.reserved_range:
        yield from (f"reserved {name} {number}" for number in range(reserved.start, reserved.end))
    yield from (f"reserved {name} {text}" for text in message.reserved_name)
    for enum in message.enum_type:
        yield from _enum_lines(enum, name)
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from _message_lines(nested, name)


def _field_type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{message.name}.{nested.name}"):
            key, value = sorted(nested.field, key=lambda entry_field: entry_field.number)
            return f"map<{_type_name(key)}, {_type_name(value)}>"
    text = _type_name(field)
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        text = f"repeated {text}"
        if field.type not in _NEVER_PACKED:
            packed = field.options.packed or not field.options.HasField("packed")
            text += " [packed]" if packed else " [unpacked]"
    elif field.proto3_optional:
        text = f"optional {text}"
    elif field.HasField("oneof_index"):
        text += f" in {message.oneof_decl[field.oneof_index].name}"
    return text


def _type_name(field: FieldDescriptorProto) -> str:
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        return field.type_name.removeprefix(".")
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        return "enum " + field.type_name.removeprefix(".")
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _signature(method: MethodDescriptorProto) -> str:
    request = ("stream " if method.client_streaming else "") + method.input_type.removeprefix(".")
    response = ("stream " if method.server_streaming else "") + method.output_type.removeprefix(".")
    return f"{request} -> {response}"


if __name__ == "__main__":
    (path,) = sys.argv[1:]
    print("\n".join(sorted(schema_lines(FileDescriptorSet.FromString(Path(path).read_bytes())))))
