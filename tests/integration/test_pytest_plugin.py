"""The fixtures for users' tests, on a real containerd: one daemon for all, and each test alone in its namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import CONTAINERD
from tests.integration.leaks import left_on_host

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.integration

TESTS = """
    from pathlib import Path
    import pytest

    def test_that_is_not_async(containerd):
        Path("address").write_text(containerd.address)

    @pytest.mark.anyio
    @pytest.mark.parametrize("time", [1, 2])
    async def test_a_container(containerd, containerd_client, time):
        assert containerd_client.address == containerd.address
        assert await containerd_client.list_images() == []
        [image] = await containerd_client.import_images(ARCHIVE)
        container = await containerd_client.new_container("same", image=image, args=["sleep", "3600"])
        task = await container.new_task()
        await task.start()  # and left to run
        Path(f"{containerd_client.namespace}.used").touch()

    async def test_what_is_left(containerd):
        async with containerd.client() as client:
            for used in Path().glob("*.used"):
                assert await client.with_namespace(used.stem).list_containers() == []
"""


@pytest.fixture
def project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, archive_path: Path
) -> pytest.Pytester:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\nanyio_mode = auto\nfilterwarnings = error\n")
    pytester.makeconftest('import pytest\n\n@pytest.fixture\ndef anyio_backend(): return "asyncio"\n')
    pytester.makepyfile(TESTS.replace("ARCHIVE", repr(str(archive_path))))
    return pytester


def test_each_test_has_a_namespace_of_its_own_and_nothing_is_left_on_the_host(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest_inprocess(
        "-p", "containerd_aio.pytest_plugin", f"--containerd-program={CONTAINERD}"
    )
    result.assert_outcomes(passed=4)
    namespaces = [used.stem for used in project.path.glob("*.used")]
    assert len(namespaces) == 2
    home = (project.path / "address").read_text().removesuffix("/containerd.sock")
    assert left_on_host(home, *namespaces) == []
