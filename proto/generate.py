"""Make containerd_aio/_api and the tests' descriptor set from the files in proto/.

    python proto/generate.py            write what has changed
    python proto/generate.py --check    write nothing; name what differs, exit 1 if anything does

protoc reads the schema and betterproto's compiler models give every type, field and method its Python name;
what a class looks like is decided here. Stock betterproto output would turn Timestamps into ``datetime``
(containerd's nanoseconds get lost), import a second copy of Google's types, and emit client stubs that
nobody calls. Needs the packages of the dependency group ``generate``.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from betterproto.compile.importing import parse_source_type_name
from betterproto.compile.naming import pythonize_class_name
from betterproto.lib.google.protobuf import FileDescriptorSet
from betterproto.lib.google.protobuf.compiler import CodeGeneratorRequest
from betterproto.plugin import models, parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROTO = Path(__file__).resolve().parent
API = Path("containerd_aio/_api")
DESCRIPTORS = Path("tests/proto/descriptors.binpb")
LINE_LENGTH = "110"

# Names that a generated module uses for itself: no message, enum or service may be called so.
TAKEN = {"Message", "Enum", "List", "Dict", "Optional", "AsyncIterator"}


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        sys.stderr.write(__doc__ or "")
        return 2
    root = PROTO.parent
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        write_descriptors(fresh / DESCRIPTORS)
        write_api(fresh / API)
        differing = sorted(differences(fresh, root))
        if not arguments:
            for path in differing:
                update(fresh / path, root / path)
    for path in differing:
        sys.stdout.write(f"{'out of date' if arguments else 'written'}: {path}\n")
    return 1 if arguments and differing else 0


def protoc(output: Path, *options: str) -> None:
    """Compile every file under proto/ into one FileDescriptorSet."""
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--descriptor_set_out={output}"]
    if subprocess.run([*command, *options, *files]).returncode:
        raise SystemExit("protoc does not take the schema")


def write_descriptors(output: Path) -> None:
    output.parent.mkdir(parents=True)
    protoc(output)


def write_api(output: Path) -> None:
    """Write the Python package, formatted."""
    output.mkdir(parents=True)
    with tempfile.NamedTemporaryFile() as compiled:
        protoc(Path(compiled.name), "--include_source_info")
        # Without this betterproto cannot read which fields are in a oneof.
        models.monkey_patch_oneof_index()  # type: ignore[no-untyped-call]
        schema = FileDescriptorSet().parse(Path(compiled.name).read_bytes())
    for name, text in modules(schema).items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for source in sorted((PROTO / "python").glob("*.py")):
        marker = f"# Copied by proto/generate.py from proto/python/{source.name}. Do not edit this copy.\n"
        (output / source.name).write_text(marker + source.read_text())
    (output / "__init__.py").write_text('"""Generated from proto/ by proto/generate.py. Never edited."""\n')
    command = [sys.executable, "-m", "black", "--quiet", "--line-length", LINE_LENGTH, str(output)]
    subprocess.run(command, check=True)


def modules(schema: FileDescriptorSet) -> dict[str, str]:
    """The text of each generated module by its path."""
    # The two places where betterproto's generator is told to do it our way.
    parser.outputfile_compiler = module_text  # type: ignore[attr-defined]
    models.get_type_reference = type_reference  # type: ignore[attr-defined]
    request = CodeGeneratorRequest(parameter="INCLUDE_GOOGLE", proto_file=schema.file)
    with contextlib.redirect_stderr(io.StringIO()):  # it tells each file that it would write
        response = parser.generate_code(request)
    return {file.name: file.content for file in response.file}


def type_reference(*, package: str, imports: set[str], source_type: str, **_: object) -> str:
    """How a module of this package writes the name of a type, adding the import that it takes.

    Every other package is imported under its whole name, with underscores, from the root of _api.
    """
    other, name = parse_source_type_name(source_type)
    class_name = pythonize_class_name(name)
    if other == package:
        return class_name
    parent, _dot, leaf = other.rpartition(".")
    alias = other.replace(".", "_")
    imports.add(f"from {up(package)}{parent} import {leaf} as {alias}")
    return f"{alias}.{class_name}"


def up(package: str) -> str:
    """The dots that lead from a package's ``__init__`` to the root of _api."""
    return "." * (package.count(".") + 2)


def module_text(output_file: models.OutputTemplate) -> str:
    """The whole module of one protobuf package; betterproto names the argument."""
    module = output_file
    names = {definition.py_name for definition in [*module.enums, *module.messages]}
    if collisions := TAKEN & names:
        raise SystemExit(f"{module.package}: the names {collisions} are taken")
    refuse_unsupported(module)
    body = "\n\n".join(
        "\n".join(lines)
        for lines in [
            *(enum_lines(enum) for enum in module.enums),
            *(message_lines(message) for message in module.messages),
            *(service_lines(service) for service in module.services),
        ]
    )
    return "\n".join([*import_lines(module, body), body, ""])


def refuse_unsupported(module: models.OutputTemplate) -> None:
    """Fail on what containerd's schema does not have, and the base classes and the codec therefore lack."""
    for message in module.messages:
        for field in fields_of(message):
            if (
                isinstance(field, models.OneOfFieldCompiler)
                or field.field_wraps
                or field.field_type == "group"
            ):
                raise SystemExit(
                    f"{full_name(message)}.{field.proto_name}: oneofs, wrappers, groups do not work"
                )
    for service in module.services:
        for method in service.methods:
            if method.client_streaming and not method.server_streaming:
                raise SystemExit(f"{method.route}: a stream of requests for one response does not work")


def import_lines(module: models.OutputTemplate, body: str) -> Iterator[str]:
    yield f"# Generated by proto/generate.py from {', '.join(module.input_filenames)}. Do not edit."
    yield f'"""The protobuf package {module.package}."""\n'
    yield "from __future__ import annotations\n"
    typing_names = [name for name in ("Dict", "List", "Optional") if f" {name}[" in body]
    if "AsyncIterator[" in body:
        yield "from collections.abc import AsyncIterator"
    if typing_names:
        yield f"from typing import {', '.join(typing_names)}\n"
    yield "import betterproto"
    if module.services:
        yield "import grpclib.const"
    yield ""
    if module.services:
        yield f"from {up(module.package)} import _service"
    yield f"from {up(module.package)}_message import {'Enum, ' if module.enums else ''}Message"
    yield from sorted(module.imports)


def comment_lines(node: models.MessageCompiler) -> list[str]:
    """The comment that stands above this in the schema."""
    for location in node.source_file.source_code_info.location:
        if list(location.path) == node.path:
            return [line.removeprefix(" ") for line in location.leading_comments.splitlines()]
    return []


def docstring(lines: list[str]) -> list[str]:
    if len(lines) == 1:
        return [f'    """{lines[0]}"""']
    return [f'    """{lines[0]}', *(f"    {line}" for line in lines[1:]), '    """']


def enum_lines(enum: models.EnumDefinitionCompiler) -> Iterator[str]:
    yield f"class {enum.py_name}(Enum):"
    yield from docstring(comment_lines(enum) or [f"{full_name(enum)}."])
    for entry in enum.entries:
        yield f"    {entry.name} = {entry.value}"


def message_lines(message: models.MessageCompiler) -> Iterator[str]:
    yield f"class {message.py_name}(Message):"
    # A docstring in any case: without one the dataclass decorator builds one, slowly.
    yield from docstring(comment_lines(message) or [f"{full_name(message)}."])
    yield f'    __proto_name__ = "{full_name(message)}"\n'
    for field in fields_of(message):
        yield from (f"    # {line}" for line in comment_lines(field))
        yield "    " + field.get_field_string().replace('"', "")


def fields_of(message: models.MessageCompiler) -> list[models.FieldCompiler]:
    return [field for field in message.fields if isinstance(field, models.FieldCompiler)]


def full_name(definition: models.MessageCompiler) -> str:
    # The models name a nested type by its path, each part with an underscore before it.
    return definition.output_file.package + definition.proto_obj.name.replace("_", ".")


def service_lines(service: models.ServiceCompiler) -> Iterator[str]:
    """The server side: every method answers UNIMPLEMENTED until a subclass says otherwise."""
    yield f"class {service.py_name}Base:"
    yield f'    """A server of {service.output_file.package}.{service.proto_name}; override its methods."""'
    for method in service.methods:
        request, response = method.py_input_message_type, method.py_output_message_type
        if method.client_streaming:
            request = f"AsyncIterator[{request}]"
        if method.server_streaming:
            response = f"AsyncIterator[{response}]"
        yield f"    async def {method.py_name}(self, request: {request}, /) -> {response}:"
        yield "        raise grpclib.GRPCError(grpclib.Status.UNIMPLEMENTED)"
        if method.server_streaming:
            yield f"        yield {method.py_output_message_type}()  # makes this an async generator"
        yield ""
    yield "    def __mapping__(self) -> Dict[str, grpclib.const.Handler]:"
    yield "        return {"
    yield from (f"            {handler_text(method)}," for method in service.methods)
    yield "        }"


def handler_text(method: models.ServiceMethodCompiler) -> str:
    kind = "_".join(
        "stream" if many else "unary" for many in (method.client_streaming, method.server_streaming)
    )
    arguments = f"self.{method.py_name}, {method.py_input_message_type}, {method.py_output_message_type}"
    return f'"{method.route}": _service.{kind}({arguments})'


def differences(fresh: Path, root: Path) -> Iterator[Path]:
    """The generated files, relative to the root, that are missing, stale or not the same."""
    made = set(files_of(fresh, [fresh / API, fresh / DESCRIPTORS.parent]))
    committed = set(files_of(root, [root / API])) | {DESCRIPTORS}
    for path in made | committed:
        pair = [side / path for side in (fresh, root)]
        if not all(file.exists() for file in pair) or pair[0].read_bytes() != pair[1].read_bytes():
            yield path


def files_of(base: Path, directories: Iterable[Path]) -> Iterator[Path]:
    for directory in directories:
        for path in directory.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(base)


def update(fresh: Path, committed: Path) -> None:
    if not fresh.exists():
        committed.unlink()
        return
    committed.parent.mkdir(parents=True, exist_ok=True)
    # In one step: whoever imports the package meanwhile sees a whole file.
    beside = committed.with_name(committed.name + ".new")
    beside.write_bytes(fresh.read_bytes())
    os.replace(beside, committed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
