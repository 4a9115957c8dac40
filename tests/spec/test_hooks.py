"""Programs that the runtime calls."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build
from containerd_aio.spec.hooks import MOMENTS, hook
from containerd_aio.spec.schema import Hooks


def test_there_is_a_moment_for_each_key_of_the_runtime_spec() -> None:
    assert set(MOMENTS) == set(Hooks.__annotations__)


def test_a_hook_is_a_program_with_its_arguments(context: SpecContext) -> None:
    option = hook("poststop", "/bin/tidy", "--all", env={"A": "1"}, timeout=5)
    assert build(context, [option])["hooks"] == {
        "poststop": [{"path": "/bin/tidy", "args": ["/bin/tidy", "--all"], "env": ["A=1"], "timeout": 5}]
    }


def test_hooks_are_called_in_the_order_of_the_options(context: SpecContext) -> None:
    options = [hook("poststop", "/bin/a"), hook("createRuntime", "/bin/b"), hook("poststop", "/bin/c")]
    hooks = build(context, options)["hooks"]
    assert [each["path"] for each in hooks["poststop"]] == ["/bin/a", "/bin/c"]
    assert [each["path"] for each in hooks["createRuntime"]] == ["/bin/b"]


@pytest.mark.parametrize(
    ("moment", "command", "values"),
    [
        ("prestop", ["/bin/a"], {}),
        ("create_runtime", ["/bin/a"], {}),
        ("poststop", [], {}),
        ("poststop", ["tidy"], {}),
        ("poststop", ["/bin/a", "b\0"], {}),
        ("poststop", ["/bin/a"], {"timeout": 0}),
        ("poststop", ["/bin/a"], {"timeout": 1.5}),
        ("poststop", ["/bin/a"], {"env": "A=1"}),
    ],
)
def test_what_cannot_be_called_is_refused(
    moment: str, command: list[str], values: Mapping[str, object]
) -> None:
    with pytest.raises(InvalidArgumentError, match="hook: "):
        hook(moment, *command, **values)  # type: ignore[arg-type]
