"""What `import containerd_aio` promises: every name is there, in order, and nothing generated leaks."""

from __future__ import annotations

import importlib
import inspect
import typing

import pytest

import containerd_aio

PUBLIC = [
    "",
    ".contrib.aiohttp",
    ".contrib.fastapi",
    ".errors",
    ".events",
    ".filters",
    ".private_daemon",
    ".spec",
    ".stdio",
    ".types",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_complete_and_true(name: str) -> None:
    module = importlib.import_module(f"containerd_aio{name}")
    if name == ".errors":
        names = [
            n
            for n, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]
    else:
        names = module.__all__
        assert len(names) == len(set(names))  # the linter sorts them
    assert all(hasattr(module, each) for each in names)


def test_every_error_is_exported_at_the_top() -> None:
    from containerd_aio import errors

    classes = {
        n
        for n, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert classes <= set(containerd_aio.__all__)


@pytest.mark.parametrize("name", [n for n in containerd_aio.__all__ if n[0].isupper()])
def test_the_annotations_of_public_classes_resolve_and_name_nothing_generated(name: str) -> None:
    """FastAPI and others read them at run time."""
    kind = getattr(containerd_aio, name)
    for member_name, member in inspect.getmembers(kind):
        if member_name.startswith("_") or not inspect.isfunction(member):
            continue
        hints = typing.get_type_hints(member)
        assert "containerd_aio._api" not in repr(hints)
    assert "containerd_aio._api" not in repr(typing.get_type_hints(kind))


def test_everything_public_has_a_docstring() -> None:
    for name in containerd_aio.__all__:
        thing = getattr(containerd_aio, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing) and thing.__module__.startswith("containerd_aio"):
            for member_name, member in vars(thing).items():
                if not member_name.startswith("_") and (
                    inspect.isfunction(member) or isinstance(member, property)
                ):
                    assert inspect.getdoc(member), f"{name}.{member_name}"
