"""Specs as the runtime takes them: what an option says is what the process finds.

Most of it is tried on runc alone, with a bundle made here of busybox; the users of an image through containerd.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from containerd_aio import Client, Image, InvalidArgumentError, Task, pipes, spec
from containerd_aio.spec import Spec, SpecContext, SpecOption
from containerd_aio.spec.capability_sets import ALL_CAPABILITIES
from containerd_aio.spec.default import DEFAULT_CAPABILITIES
from containerd_aio.types import ImageConfig, Mount, Platform
from tests.integration.conftest import cannot_run

pytestmark = pytest.mark.integration

APPLETS = ("sh", "cat", "id", "hostname", "readlink", "touch", "sleep", "ls", "env", "pwd", "grep", "stat")
PASSWD = "root:x:0:0::/:/bin/sh\nweb:x:1000:1001::/:/bin/sh\n"
GROUP = "root:x:0:\nwheel:x:10:root,web\nwww:x:33:web\n"
CGROUPS = Mount("cgroup", "cgroup", "/sys/fs/cgroup", ("ro", "nosuid", "noexec", "nodev"))
DEFAULT_MASK = 0xA80425FB


@dataclass(frozen=True)
class Bundle:
    """A directory that runc makes containers of."""

    path: Path
    namespace: str
    container_id: str = "web"
    image: ImageConfig | None = None

    def spec(self, *options: SpecOption) -> Spec:
        """The default spec with ``options``, by the files of the bundle."""
        with spec.open_rootfs([Mount("bind", str(self.path / "rootfs"))]) as rootfs:
            return spec.build(SpecContext(self.container_id, self.namespace, self.image, rootfs), options)

    def runc(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What runc says; its containers are its own here."""
        # Into files: a container that runs on would keep a pipe open.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            line = ["runc", "--root", str(self.path / "runc"), *command]
            code = subprocess.run(
                line, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=120
            ).returncode
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(line, code, out.read(), err.read())

    def write(self, *options: SpecOption) -> Spec:
        """Make the spec the bundle's."""
        made = self.spec(*options)
        (self.path / "config.json").write_text(json.dumps(made))
        return made

    def run(self, command: str, *options: SpecOption) -> str:
        """What ``command``, shell, writes in a container with ``options``."""
        self.write(spec.args("sh", "-c", command), spec.env(["PATH=/bin"]), *options)
        return self.finished(self.runc("run", "--bundle", str(self.path), self.name))

    @property
    def name(self) -> str:
        """The container's name at runc, which knows no namespaces."""
        return f"{self.namespace}-{self.container_id}"

    @staticmethod
    def finished(done: subprocess.CompletedProcess[str]) -> str:
        """The output of a run that must have succeeded."""
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    """A bundle of busybox with two users; its containers and cgroups are removed at the end."""
    busybox = shutil.which("busybox")
    if os.geteuid() != 0 or busybox is None or shutil.which("runc") is None:
        cannot_run("needs root, runc and busybox")
    for directory in ("bin", "etc", "data"):
        (tmp_path / "rootfs" / directory).mkdir(parents=True)
    shutil.copy(busybox, tmp_path / "rootfs/bin/busybox")
    for applet in APPLETS:
        (tmp_path / "rootfs/bin" / applet).symlink_to("busybox")
    (tmp_path / "rootfs/etc/passwd").write_text(PASSWD)
    (tmp_path / "rootfs/etc/group").write_text(GROUP)
    bundle = Bundle(tmp_path, f"aio-{uuid.uuid4().hex[:12]}")
    yield bundle
    bundle.runc("delete", "--force", bundle.name)
    # Not "**": other containers' cgroups come and go while one looks.
    hierarchies = Path("/sys/fs/cgroup")
    for cgroup in (*hierarchies.glob(bundle.namespace), *hierarchies.glob(f"*/{bundle.namespace}")):
        cgroup.rmdir()


def capability_sets(status: str) -> dict[str, int]:
    """The capability sets in the text of ``/proc/self/status``, as bit masks."""
    return {name: int(mask, 16) for name, mask in re.findall(r"^Cap(\w+):\s+(\w+)$", status, re.MULTILINE)}


def test_the_default_confines_root(bundle: Bundle) -> None:
    status = bundle.run("cat /proc/self/status")
    sets = capability_sets(status)
    assert sets == {"Inh": 0, "Prm": DEFAULT_MASK, "Eff": DEFAULT_MASK, "Bnd": DEFAULT_MASK, "Amb": 0}
    assert sets["Bnd"].bit_count() == len(DEFAULT_CAPABILITIES)
    assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE)
    assert re.search(r"^NSpid:\s\d$", status, re.MULTILINE)


def test_the_default_shows_the_default_filesystems(bundle: Bundle) -> None:
    mounts = bundle.run("cat /proc/mounts; ls /dev")
    for wanted in ("proc /proc proc", "tmpfs /dev tmpfs", "devpts /dev/pts devpts", "sysfs /sys sysfs ro"):
        assert wanted in mounts
    assert re.search(r"^null$", mounts, re.MULTILINE)


def test_the_default_masks_what_leaks(bundle: Bundle) -> None:
    assert bundle.run("cat /proc/kcore /proc/keys; ls /sys/firmware") == ""
    said = bundle.run("(echo 1 > /proc/sys/kernel/panic) 2>&1 || true")
    assert "Read-only file system" in said


def test_the_process_finds_its_name_place_and_environment(bundle: Bundle) -> None:
    options = [
        spec.hostname("web-1"),
        spec.cwd("/data/deep"),
        spec.env({"GREETING": "a b=c\nd"}),
        spec.rlimit("nofile", 77, 88),
    ]
    said = bundle.run('hostname; pwd; echo "$GREETING"; ulimit -Sn; ulimit -Hn', *options)
    assert said == "web-1\n/data/deep\na b=c\nd\n77\n88"


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        pytest.param([], "0 0 0", id="default"),
        pytest.param([spec.user("1000:7")], "1000 7 7", id="numbers"),
        pytest.param([spec.user("web")], "1000 1001 1001", id="name"),
        pytest.param([spec.user("web:www"), spec.additional_gids("web")], "1000 33 33 10", id="all groups"),
        pytest.param([spec.user("4242"), spec.append_groups("wheel", 5)], "4242 0 0 5 10", id="more groups"),
    ],
)
def test_the_process_is_who_it_was_to_be(bundle: Bundle, options: list[SpecOption], ids: str) -> None:
    assert bundle.run("echo $(id -u) $(id -g) $(id -G)", *options) == ids


def test_an_images_configuration_is_run(bundle: Bundle) -> None:
    image = ImageConfig(
        platform=Platform("linux", "amd64"),
        diff_ids=(),
        env=("PATH=/bin", "COLOUR=blue"),
        entrypoint=("sh", "-c"),
        cmd=("exit 9",),
        working_dir="/data",
        user="web",
    )
    command = "echo $COLOUR $(pwd) $(id -u) $(id -G)"
    bundle = replace(bundle, image=image)
    bundle.write(spec.env(["COLOUR=red"]), spec.image_config([command]))
    done = bundle.runc("run", "--bundle", str(bundle.path), bundle.name)
    assert bundle.finished(done) == "red /data 1000 1001 10 33"


def test_a_read_only_root_keeps_its_mounts_writable(bundle: Bundle) -> None:
    (bundle.path / "shared").mkdir()
    (bundle.path / "kept").mkdir()
    said = bundle.run(
        "for place in /file /run/file /mem/file /shared/file /kept/file; do"
        " touch $place 2>/dev/null && echo $place; done; stat -f -c %b /mem; stat -c %a /mem",
        spec.readonly_rootfs(),
        spec.tmpfs("/mem", size=2**16, mode=0o700),
        spec.bind(bundle.path / "shared", "/shared"),
        spec.bind(bundle.path / "kept", "/kept", readonly=True),
    )
    assert said.splitlines() == ["/run/file", "/mem/file", "/shared/file", "16", "700"]
    assert os.listdir(bundle.path / "shared") == ["file"]
    assert os.listdir(bundle.path / "kept") == []


def test_a_mount_can_be_left_out(bundle: Bundle) -> None:
    mounts = bundle.run("cat /proc/mounts", spec.without_mounts("/dev/mqueue", "/run/"))
    assert " /dev/shm " in mounts
    assert " /dev/mqueue " not in mounts
    assert " /run " not in mounts


def test_sysfs_can_be_writable(bundle: Bundle) -> None:
    assert "sysfs /sys sysfs rw" in bundle.run("cat /proc/mounts", spec.writable_sysfs())


def test_files_of_the_host_can_be_shown(bundle: Bundle) -> None:
    assert bundle.run("cat /etc/hosts", spec.host_hosts()) == Path("/etc/hosts").read_text().strip()


def test_limits_are_in_the_cgroup(bundle: Bundle) -> None:
    """A container that is shown its cgroup finds them; the names of the files are of cgroup v1 and of v2."""
    said = bundle.run(
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null;"
        " cat pids/pids.max pids.max 2>/dev/null;"
        " cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max 2>/dev/null;"
        " cat cpuset/cpuset.cpus cpuset.cpus 2>/dev/null;"
        " cat cpu/cpu.shares 2>/dev/null || cat cpu.weight",
        spec.mounts(CGROUPS),
        spec.memory_limit(2**26),
        spec.pids_limit(33),
        spec.cpus(0.5),
        spec.cpuset_cpus("0"),
        spec.cpu_shares(512),
    )
    memory, pids, quota, period, cpus, weight = said.split()
    assert (memory, pids, quota, period, cpus) == (str(2**26), "33", "50000", "100000", "0")
    assert weight in ("512", "20")


def test_the_cgroup_is_named_after_the_container(bundle: Bundle) -> None:
    assert f":/{bundle.namespace}/web" in bundle.run("cat /proc/self/cgroup")


def test_the_cgroup_can_be_another(bundle: Bundle) -> None:
    path = f"/{bundle.namespace}/other"
    assert f":{path}" in bundle.run("cat /proc/self/cgroup", spec.cgroup_path(path))


def test_more_processes_than_allowed_are_refused(bundle: Bundle) -> None:
    command = "i=0; while [ $((i+=1)) -lt 40 ]; do sleep 20 & done; echo started"
    bundle.write(spec.args("sh", "-c", command), spec.env(["PATH=/bin"]), spec.pids_limit(20))
    done = bundle.runc("run", "--bundle", str(bundle.path), bundle.name)
    assert "can't fork" in done.stderr


@pytest.mark.parametrize(
    ("option", "mask"),
    [
        pytest.param(spec.capabilities("CHOWN", "CAP_KILL"), 0x21, id="set"),
        pytest.param(spec.capabilities(), 0, id="none"),
        pytest.param(spec.add_capabilities("SYS_PTRACE"), DEFAULT_MASK | 1 << 19, id="added"),
        pytest.param(spec.drop_capabilities("CHOWN", "NET_RAW"), DEFAULT_MASK & ~(1 | 1 << 13), id="dropped"),
        pytest.param(spec.drop_capabilities("ALL"), 0, id="all dropped"),
    ],
)
def test_the_process_has_these_capabilities_and_no_others(
    bundle: Bundle, option: SpecOption, mask: int
) -> None:
    sets = capability_sets(bundle.run("cat /proc/self/status", option))
    assert sets == {"Inh": 0, "Prm": mask, "Eff": mask, "Bnd": mask, "Amb": 0}


def test_the_names_of_capabilities_are_those_of_the_kernels_numbers(bundle: Bundle) -> None:
    """All that this machine has; a runtime cannot give what it was not given."""
    ours = capability_sets(Path("/proc/self/status").read_text())["Bnd"] & (1 << len(ALL_CAPABILITIES)) - 1
    names = [name for number, name in enumerate(ALL_CAPABILITIES) if ours >> number & 1]
    sets = capability_sets(bundle.run("cat /proc/self/status", spec.capabilities(*names)))
    assert sets["Eff"] == ours


def test_new_privileges_can_be_allowed(bundle: Bundle) -> None:
    assert bundle.run("grep NoNewPrivs /proc/self/status", spec.no_new_privileges(False)).endswith("0")


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid"])
def test_a_namespace_can_be_the_hosts(bundle: Bundle, kind: str) -> None:
    name = "net" if kind == "network" else kind
    ours = os.readlink(f"/proc/self/ns/{name}")
    show = f"readlink /proc/self/ns/{name}"
    assert bundle.run(show) != ours
    assert bundle.run(show, spec.host_namespace(kind)) == ours
    assert bundle.run(show, spec.linux_namespace(kind, path=f"/proc/{os.getpid()}/ns/{name}")) == ours


def test_a_network_namespace_can_be_joined(bundle: Bundle) -> None:
    path = f"/proc/{os.getpid()}/ns/net"
    said = bundle.run("readlink /proc/self/ns/net", spec.network_namespace(path))
    assert said == os.readlink("/proc/self/ns/net")


def test_a_namespace_can_be_added(bundle: Bundle) -> None:
    said = bundle.run("cat /proc/self/cgroup", spec.linux_namespace("cgroup"))
    assert bundle.namespace not in said


def test_annotations_are_kept_by_the_runtime(bundle: Bundle) -> None:
    with running(bundle, spec.annotations({"org.example.colour": "blue"})):
        state = json.loads(bundle.finished(bundle.runc("state", bundle.name)))
    assert state["annotations"] == {"org.example.colour": "blue"}


def test_an_exec_is_the_containers_process_changed(bundle: Bundle) -> None:
    command = ["sh", "-c", "echo $COLOUR $SHAPE $(pwd) $(id -u) $(id -G); cat /proc/self/status"]
    with running(bundle, spec.cwd("/etc"), spec.hostname("web")) as made:
        with spec.open_rootfs([Mount("bind", str(bundle.path / "rootfs"))]) as rootfs:
            process = spec.process_for_exec(
                made, args=command, env={"SHAPE": "round"}, user="web", capabilities=["KILL"], rootfs=rootfs
            )
        document = bundle.path / "process.json"
        document.write_text(json.dumps(process))
        said = bundle.finished(bundle.runc("exec", "--process", str(document), bundle.name))
    assert said.startswith("blue round /etc 1000 1001 10 33\n")
    assert capability_sets(said)["Bnd"] == 1 << 5


def test_resources_update_a_running_container(bundle: Bundle) -> None:
    with running(bundle, spec.mounts(CGROUPS), spec.pids_limit(10), spec.memory_limit(2**26)):
        document = bundle.path / "resources.json"
        document.write_text(json.dumps(spec.resources(pids=20, cpus=0.25)))
        bundle.finished(bundle.runc("update", "--resources", str(document), bundle.name))
        show = "cd /sys/fs/cgroup; cat pids/pids.max cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes || "
        show += "cat pids.max cpu.max memory.max"
        said = bundle.finished(bundle.runc("exec", bundle.name, "sh", "-c", f"({show}) 2>/dev/null"))
    assert [word for word in said.split() if word != "100000"] == ["20", "25000", str(2**26)]


@contextmanager
def running(bundle: Bundle, *options: SpecOption) -> Iterator[Spec]:
    """A container of the bundle that sleeps; its spec."""
    made = bundle.write(spec.args("sleep", "60"), spec.env(["PATH=/bin", "COLOUR=blue"]), *options)
    bundle.finished(bundle.runc("run", "--detach", "--bundle", str(bundle.path), bundle.name))
    try:
        yield made
    finally:
        bundle.runc("delete", "--force", bundle.name)


WHO = "echo $(id -u) $(id -g) $(id -G)"


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        pytest.param([], "0 0 0", id="the image's own"),
        pytest.param([spec.user("app")], "1000 1000 1000", id="name"),
        pytest.param([spec.user("app"), spec.additional_gids("app")], "1000 1000 1000 50", id="all groups"),
        pytest.param([spec.user("www-data:staff")], "33 50 50", id="name and group"),
        pytest.param([spec.user("5")], "5 60 60", id="uid in passwd"),
        pytest.param([spec.user("4242:4242")], "4242 4242 4242", id="numbers"),
    ],
)
async def test_users_are_those_of_the_image(
    client: Client, image: Image, options: list[SpecOption], ids: str
) -> None:
    done = await client.run(image, ["sh", "-c", WHO], options=options, check=True)
    assert done.stdout.decode().strip() == ids


async def test_a_user_that_the_image_does_not_have_is_refused_and_leaves_nothing(
    client: Client, image: Image
) -> None:
    with pytest.raises(InvalidArgumentError, match="no valid row for the user 'nemo'"):
        await client.new_container("web", image=image, args=["true"], options=[spec.user("nemo")])
    assert await client.list_containers() == []


async def said_by(task: Task, command: str, *, user: str | None = None) -> str:
    """What ``command``, shell, writes in the container of ``task``."""
    name = f"exec-{uuid.uuid4().hex[:8]}"
    async with await task.exec(name, ["sh", "-c", command], user=user, stdio=pipes()) as process:
        exited = process.wait()
        await process.start()
        (await exited).check()
        assert process.stdout is not None
        return b"".join([chunk async for chunk in process.stdout]).decode().strip()


@pytest.fixture
async def sleeper(client: Client, image: Image) -> AsyncIterator[Task]:
    """A running task that does nothing."""
    async with (
        await client.new_container("sleeper", image=image, args=["sleep", "60"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        yield task


async def test_an_exec_finds_users_that_the_running_container_added(sleeper: Task) -> None:
    """They stand in the uppermost layer, of its own."""
    await said_by(
        sleeper, "echo nemo:x:777:778::/:/bin/sh >> /etc/passwd; echo crew:x:779:nemo >> /etc/group"
    )
    assert await said_by(sleeper, WHO, user="nemo") == "777 778 778 779"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param("rm /etc/passwd", "no valid row", id="file deleted"),
        pytest.param("rm -r /etc", "no valid row", id="directory deleted"),
        pytest.param("rm -r /etc; mkdir /etc", "no valid row", id="directory made anew"),
        pytest.param("ln -sf ../../../../../../../mine /etc/passwd", "no valid row", id="link out"),
        pytest.param("ln -sf passwd /etc/passwd", "leads nowhere", id="link to itself"),
        pytest.param("rm /etc/passwd; mkfifo /etc/passwd", "not a regular file", id="FIFO"),
        pytest.param("rm /etc/passwd; mknod /etc/passwd c 1 5", "not a regular file", id="endless device"),
        pytest.param("echo app:x:4294967296:0::/:/bin/sh > /etc/passwd", "no valid row", id="uid 2**32"),
    ],
)
async def test_a_container_that_spoils_its_passwd_has_no_users(
    sleeper: Task, tmp_path: Path, change: str, why: str
) -> None:
    """And the host's, where the user would exist, is never read."""
    assert await said_by(sleeper, WHO, user="app") == "1000 1000 1000 50"
    await said_by(sleeper, change)
    with pytest.raises(InvalidArgumentError, match=why):
        await sleeper.exec("who", ["id"], user="app")
