"""The fixtures for users' tests, in a pytest of their own; tests/integration has those of a real containerd."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of a user whose tests are async functions that anyio runs."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\nanyio_mode = auto\nfilterwarnings = error\n")
    pytester.makeconftest('import pytest\n\n@pytest.fixture\ndef anyio_backend(): return "asyncio"\n')
    return pytester


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", "containerd_aio.pytest_plugin", "-rs", *options)


def test_who_does_not_use_the_fixtures_does_not_pay_for_them() -> None:
    """pytest imports the plugin at every start, in every project where this library is installed."""
    code = "import sys, containerd_aio.pytest_plugin; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "'containerd_aio.pytest_plugin'" in done.stdout
    for dear in ("containerd_aio.client", "betterproto", "grpclib"):
        assert f"'{dear}'" not in done.stdout


def test_a_fake_containerd_is_new_for_each_test(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import pytest

        @pytest.mark.parametrize("time", [1, 2])
        async def test_a_backup(fake_containerd, time):
            fake_containerd.script(["backup"], stdout=b"saved")
            async with fake_containerd.client() as client:
                assert (await client.run("fake", ["backup"], id="same")).stdout == b"saved"
            assert fake_containerd.calls["Tasks/Create"] == 1
        """)
    run(project).assert_outcomes(passed=2)


NEEDS_ONE = "def test_of_a_real_one(containerd): ..."


def test_where_no_containerd_can_run_its_tests_are_skipped_with_the_reason(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    project.makepyfile(NEEDS_ONE)
    result = run(project)
    result.assert_outcomes(skipped=1)
    result.stdout.re_match_lines(["SKIPPED.*needs root"])


def test_where_the_one_asked_for_cannot_run_its_tests_fail(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    project.makepyfile(NEEDS_ONE)
    result = run(project, "--containerd-program=containerd")
    result.assert_outcomes(errors=1)
    result.stdout.re_match_lines(["E .*needs root"])
