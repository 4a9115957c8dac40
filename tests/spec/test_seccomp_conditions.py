"""When a rule holds, on machines and kernels that are not this one."""

from __future__ import annotations

import os

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.seccomp_conditions import Host, condition_of

ARM = Host("arm64", "SCMP_ARCH_AARCH64", (4, 8))
NOTHING: frozenset[str] = frozenset()


def test_this_host_is_known_by_its_machine_and_kernel() -> None:
    host = Host.current()
    assert os.uname().release.startswith("{}.{}".format(*host.kernel))
    assert (host.architecture, host.seccomp_architecture) != ("", "")


@pytest.mark.parametrize(
    ("kernel", "holds"), [("4.8", True), ("4.7", True), ("4.9", False), ("4.10", False), ("5.0", False)]
)
def test_versions_are_compared_as_numbers(kernel: str, holds: bool) -> None:
    assert condition_of("seccomp", {"minKernel": kernel}, None).holds(ARM, NOTHING) is holds
    assert condition_of("seccomp", None, {"minKernel": kernel}).holds(ARM, NOTHING) is not holds


def test_all_that_is_included_must_be_and_nothing_that_is_excluded() -> None:
    condition = condition_of("seccomp", {"arches": ["arm64"], "minKernel": "4.0"}, {"caps": ["CAP_BPF"]})
    assert condition.holds(ARM, NOTHING)
    assert condition.holds(ARM, frozenset({"CAP_KILL"}))
    assert not condition.holds(ARM, frozenset({"CAP_BPF"}))
    assert not condition.holds(Host("amd64", "SCMP_ARCH_X86_64", (4, 8)), NOTHING)
    assert not condition.holds(Host("arm64", "SCMP_ARCH_AARCH64", (3, 19)), NOTHING)


@pytest.mark.parametrize("value", [7, "caps", {"cap": []}, {"caps": "CAP_BPF"}, {"minKernel": 4.8}])
def test_what_is_no_condition_is_refused(value: object) -> None:
    for includes, excludes in ((value, None), (None, value)):
        with pytest.raises(InvalidArgumentError, match="seccomp: "):
            condition_of("seccomp", includes, excludes)
