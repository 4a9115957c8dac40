"""Options on the real daemon: what each says is what the container's own process finds.

Several go into one container, to be quick; what this host cannot do is refused by the runtime in words that name it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from containerd_aio import Client, Image, InvalidArgumentError, StartFailedError, Task, pipes, spec
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.spec import Spec, SpecContext, SpecOption
from containerd_aio.spec.capability_sets import ALL_CAPABILITIES
from containerd_aio.spec.hooks import MOMENTS
from tests.integration.conftest import cannot_run
from tests.integration.test_spec import capability_sets

pytestmark = pytest.mark.integration

UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers").exists()
REALTIME = Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")  # of cgroup v1, where the kernel shares it out
MISCELLANEOUS = ("/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/vsock", "/dev/autofs")


async def said(client: Client, image: Image, command: str, *options: SpecOption) -> str:
    """What ``command``, shell, writes in a container with ``options``, to either stream."""
    done = await client.run(image, ["sh", "-c", f"exec 2>&1; {command}"], options=options)
    return done.stdout.decode().strip()


async def refused(client: Client, image: Image, *options: SpecOption) -> str:
    """Why the runtime makes no container with ``options``."""
    with pytest.raises(StartFailedError) as refusal:
        await client.run(image, ["true"], options=options)
    return str(refusal.value)


@asynccontextmanager
async def running(client: Client, image: Image, *options: SpecOption) -> AsyncIterator[Task]:
    """A container with ``options`` that sleeps."""
    async with (
        await client.new_container(
            "sleeper", image=image, args=["sleep", "60"], options=options
        ) as container,
        await container.new_task() as task,
    ):
        await task.start()
        yield task


async def told(task: Task, command: str) -> str:
    """What ``command``, shell, writes in a running container, to either stream."""
    return (await task.run(["sh", "-c", f"exec 2>&1; {command}"])).stdout.decode().strip()


async def test_the_process_has_what_it_was_given(client: Client, image: Image, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# of the service\nCOLOUR=dark  blue\nSHAPE\n")
    text = await said(
        client,
        image,
        'umask; cat /proc/self/oom_score_adj; echo "$COLOUR,$SHAPE,$PATH"; id -u; cat /proc/self/status',
        spec.umask(0o27),
        spec.oom_score_adj(321),
        spec.env({"SHAPE": "round", "PATH": "/nowhere"}),
        spec.env_file(tmp_path / "env"),
        spec.default_path(),
        spec.user("1000:1000"),
        spec.ambient_capabilities("NET_BIND_SERVICE"),
        spec.no_new_privileges(False),
    )
    lines = text.splitlines()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines[:4] == ["0027", "321", f"dark  blue,,{path}", "1000"]
    bind_service = 1 << ALL_CAPABILITIES.index("CAP_NET_BIND_SERVICE")
    sets = capability_sets(text)
    assert (sets["Eff"], sets["Amb"], sets["Inh"]) == (bind_service, bind_service, bind_service)
    assert re.search(r"^NoNewPrivs:\s0$", text, re.MULTILINE)


async def test_the_files_and_parameters_of_the_kernel_are_as_told(client: Client, image: Image) -> None:
    text = await said(
        client,
        image,
        "cat /proc/mounts; echo; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/fs/mqueue/msg_max;"
        " wc -c < /proc/version; wc -c < /proc/meminfo; test -w /proc/sys/net/ipv4/ip_forward; echo $?",
        spec.sysctls({"net.ipv4.ip_unprivileged_port_start": 81, "fs/mqueue/msg_max": "17"}),
        spec.dev_shm_size(2**20),
        spec.without_run_mount(),
        spec.cgroupfs(),
        spec.writable_cgroupfs(),
        spec.masked_paths("/proc/version"),
        spec.readonly_paths("/proc/bus"),
    )
    listed, values = text.split("\n\n")
    mounts = {line.split()[1]: line.split()[2:4] for line in listed.splitlines()}
    assert "size=1024k" in mounts["/dev/shm"][1]
    assert "/run" not in mounts
    groups = [flags for place, (kind, flags) in mounts.items() if kind in ("cgroup", "cgroup2")]
    assert groups
    assert all(flags.startswith("rw,") for flags in groups)
    assert mounts["/proc/bus"][1].startswith("ro,")
    assert "/proc/sys" not in mounts
    port, messages, masked, shown, unwritable = values.split()
    assert (port, messages, masked, unwritable) == ("81", "17", "0", "0")
    assert int(shown) > 0


async def test_a_terminal_begins_with_its_size(client: Client, image: Image) -> None:
    options = [spec.console_size(101, 33)]
    async with (
        await client.new_container("web", image=image, args=["stty", "size"], options=options) as container,
        await container.new_task(stdio=pipes(terminal=True)) as task,
    ):
        exited = task.wait()
        await task.start()
        (await exited).check()
        assert task.stdout is not None
        assert b"".join([chunk async for chunk in task.stdout]) == b"33 101\r\n"


@pytest.fixture
def miscellaneous() -> str:
    """A device of this host that any process may open, and no container without a rule."""
    for path in MISCELLANEOUS:
        if os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode):
            return path
    cannot_run(f"this host has none of {', '.join(MISCELLANEOUS)}")


async def test_devices_are_there_and_open_as_far_as_they_are_allowed(
    client: Client, image: Image, miscellaneous: str, tmp_path: Path
) -> None:
    """The runtime knows our numbers: the nodes are made of the same ones."""
    found = os.stat(miscellaneous)
    (tmp_path / "deep").mkdir()
    os.mknod(tmp_path / "deep/zero", 0o640 | stat.S_IFCHR, os.makedev(1, 5))
    os.chown(tmp_path / "deep/zero", 7, 8)
    (tmp_path / "link").symlink_to(miscellaneous)
    (tmp_path / "file").touch()
    numbers = (os.major(found.st_rdev), os.minor(found.st_rdev))
    text = await said(
        client,
        image,
        f"stat -c '%n %F %t,%T %a %u:%g' {miscellaneous} {tmp_path}/link /own/* /own/*/* /second;"
        f" for way in '<' '>'; do for path in {miscellaneous} {tmp_path}/link /own/deep/zero /second; do"
        " (eval \": $way $path\") 2>&1 | grep -q 'not permitted' && echo $way $path is refused; done; done;"
        " head -c 3 /own/deep/zero | od -An -tx1",
        spec.device(miscellaneous, "r"),
        spec.device(tmp_path / "link", "r", follow_links=True),
        spec.devices(tmp_path, "/own"),
        spec.device_node("/second", "c", *numbers, permissions="", mode=0o604, uid=5, gid=6),
    )
    kind, shown = "character special file", "{:x},{:x}".format(*numbers)
    owner = f"{found.st_uid}:{found.st_gid}"
    assert text.splitlines() == [
        f"{miscellaneous} {kind} {shown} {found.st_mode & 0o777:o} {owner}",
        f"{tmp_path}/link {kind} {shown} {found.st_mode & 0o777:o} {owner}",
        next(line for line in text.splitlines() if line.startswith("/own/deep directory")),
        f"/own/deep/zero {kind} 1,5 640 7:8",
        f"/second {kind} {shown} 604 5:6",
        *(f"> {path} is refused" for path in (miscellaneous, f"{tmp_path}/link", "/second")),
        " 00 00 00",
    ]


async def test_a_node_without_a_rule_is_not_opened_until_the_rules_allow_it(
    client: Client, image: Image, miscellaneous: str
) -> None:
    found = os.stat(miscellaneous)
    node = spec.device_node("/own", "c", os.major(found.st_rdev), os.minor(found.st_rdev), "")
    opening = "(: < /own) 2>&1 | grep -c 'not permitted'"
    assert await said(client, image, opening, node) == "1"
    assert await said(client, image, opening, node, spec.default_device_rules()) == "1"
    assert await said(client, image, opening, node, spec.all_devices_allowed()) == "0"
    assert await said(client, image, opening, node, spec.parent_cgroup_devices()) == "1"


async def test_a_privileged_container_has_no_walls(client: Client, image: Image, miscellaneous: str) -> None:
    show = f"cat /proc/mounts; cat /proc/self/status; ls -A /sys/firmware | wc -l; ls {miscellaneous}"
    text = await said(client, image, show, spec.cgroupfs(), spec.privileged())
    ours = capability_sets(Path("/proc/thread-self/status").read_text())["Eff"]
    assert capability_sets(text)["Eff"] == ours & (1 << len(ALL_CAPABILITIES)) - 1
    assert "sysfs /sys sysfs rw" in text
    assert not re.search(r"^\S+ /(proc|sys/firmware)/\S* ", text, re.MULTILINE)  # nothing is masked
    assert not re.search(r"^\S+ /sys\S* \S+ ro,", text, re.MULTILINE)
    assert f"{miscellaneous}: No such file" in text
    text = await said(client, image, show, spec.privileged(devices=True))
    assert text.splitlines()[-1] == miscellaneous


def a_disk() -> str:
    """The numbers of a disk of this host, as ``8:0``."""
    for path in sorted(Path("/sys/block").glob("*/dev")):
        return path.read_text().strip()
    cannot_run("this host has no block device")


async def test_limits_are_in_the_cgroup_and_can_be_changed(client: Client, image: Image) -> None:
    """The names of the files are those of cgroup v1, then those of v2."""
    disk = a_disk()
    options = [
        spec.cgroupfs(),
        spec.linux_namespace("cgroup"),
        spec.memory_reservation(2**25),
        spec.memory_limit(2**26),
        spec.block_io(read_bps={disk: 2**20}, write_iops={disk: 99}),
    ]
    if UNIFIED:
        show = "cd /sys/fs/cgroup; cat memory.low pids.max cpu.max; cat io.max"
        options.append(spec.unified({"memory.high": 2**25}))
        throttled = f"{disk} rbps=1048576 wbps=max riops=max wiops=99"
    else:
        throttle = "blkio/blkio.throttle."
        show = (
            "cd /sys/fs/cgroup; cat memory/memory.soft_limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us;"
            f" cat {throttle}read_bps_device {throttle}write_iops_device"
        )
        throttled = f"{disk} 1048576\n{disk} 99"
    if realtime := REALTIME.exists():
        above = REALTIME.parent / client.namespace
        above.mkdir(exist_ok=True)
        (above / REALTIME.name).write_text("20000")  # it must have what is given to those below
        options.append(spec.cpu_realtime(500, 100_000))
    async with running(client, image, *options) as task:
        before = (await told(task, show)).split("\n", 3)
        await task.update(spec.resources(memory_reservation=2**24, pids=23, cpus=0.5))
        after = (await told(task, show)).split("\n", 3)
        if realtime:
            shown = await told(task, "cd /sys/fs/cgroup/cpu; cat cpu.rt_runtime_us cpu.rt_period_us")
            assert shown.split() == ["500", "100000"]
        if UNIFIED:
            assert await told(task, "cat /sys/fs/cgroup/memory.high") == str(2**25)
    assert before == [str(2**25), "max", before[2], throttled]
    assert after == [str(2**24), "23", after[2], throttled]
    assert after[2] in ("50000", "50000 100000")
    assert before[2] in ("-1", "max 100000")


@pytest.fixture
def open_home(daemon: PrivateDaemon) -> Iterator[None]:
    """Containers of other users than root may reach their files, as on a containerd that runs as a service."""
    home = Path(daemon.address).parent
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (home, home / "root", home / "state")}
    for path, mode in modes.items():
        path.chmod(mode | 0o011)
    yield
    for path, mode in modes.items():
        path.chmod(mode)


@pytest.mark.usefixtures("open_home")
async def test_the_users_of_a_user_namespace_are_others_on_the_host(client: Client, image: Image) -> None:
    options = [
        spec.user_namespace([(0, 70_000, 65_536)]),
        spec.user_namespace([(0, 100_000, 1000), (1000, 200_000, 5)], [(0, 300_000, 65_536)]),
    ]
    async with running(client, image, *options) as task:
        text = await told(task, "id -u; tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map")
        process = os.stat(f"/proc/{task.pid}")
    assert text.splitlines() == ["0", " 0 100000 1000", " 1000 200000 5", " 0 300000 65536"]
    assert (process.st_uid, process.st_gid) == (100_000, 300_000)


async def test_a_seccomp_profile_refuses_calls_by_its_conditions(
    client: Client, image: Image, tmp_path: Path
) -> None:
    """One of Docker's form: what the runtime would make of it by itself holds for all."""
    making = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {**making, "excludes": {"caps": ["CAP_SYS_PTRACE"]}},
            {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS", "includes": {"caps": ["CAP_BPF"]}},
        ],
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    command = "mkdir /made; ls -d /made; grep Seccomp: /proc/self/status"
    confined = await said(client, image, command, spec.seccomp_file(path))
    assert "mkdir: can't create directory '/made': Permission denied" in confined
    assert confined.endswith("Seccomp:\t2")
    more = spec.add_capabilities("SYS_PTRACE")
    assert await said(client, image, command, more, spec.seccomp_file(path)) == "/made\nSeccomp:\t2"
    options = [spec.seccomp(profile), spec.seccomp_unconfined()]
    assert await said(client, image, command, *options) == "/made\nSeccomp:\t0"


# Calls that a container without a profile can make, with arguments that do no harm; how each ends.
CALLS = """
import asyncio, ctypes, errno, json, os, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (250, 323, 425, 435), "aarch64": (219, 282, 425, 435)}[os.uname().machine]
def call(function, *arguments):
    pid = os.fork()
    if pid == 0:
        ended = function(*map(ctypes.c_ulong, arguments))
        os._exit(ctypes.get_errno() if ended == -1 else 0)
    return errno.errorcode.get(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "done")
print(json.dumps({
    "keyctl": call(libc.syscall, numbers[0], 0, 0, 0),
    "userfaultfd": call(libc.syscall, numbers[1], 1),
    "io_uring_setup": call(libc.syscall, numbers[2], 1, 0),
    "clone3": call(libc.syscall, numbers[3], 0, 0),
    "unshare": call(libc.unshare, 0x10000000),
    "clone": call(libc.syscall, {"x86_64": 56, "aarch64": 220}[os.uname().machine], 0x10000011, 0, 0, 0, 0),
    "personality": call(libc.personality, 0x0040000),
    "asking": call(libc.personality, 0xFFFFFFFF),
    "socket": call(libc.socket, 40, 1, 0),
    "wide socket": call(libc.syscall, {"x86_64": 41, "aarch64": 198}[os.uname().machine], 1 << 32 | 40, 1, 0),
}), flush=True)
thread = threading.Thread(target=subprocess.run, args=([sys.executable, "-c", "print('child')"],))
thread.start()
thread.join()
async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(await reader.read())
    writer.close()
asyncio.run(main())
"""


async def test_the_default_profile_refuses_what_is_risky_and_lets_programs_run(
    client: Client, image: Image
) -> None:
    """This Python is lent to the container; its threads and processes begin with clone3 where there is one."""
    places = {"/usr", "/lib", "/lib64", os.path.realpath(sys.base_prefix)}
    lent = [spec.bind(each, each, readonly=True) for each in sorted(places) if os.path.isdir(each)]
    program = os.path.realpath(sys.executable)

    async def ended(*options: SpecOption) -> dict[str, str]:
        options = (*lent, spec.env({"LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"}), *options)
        done = await client.run(image, [program, "-I", "-c", CALLS], options=options)
        first, *others = done.stdout.decode().splitlines()
        assert others == ["child", "b''"], done.stderr.decode()
        found: dict[str, str] = json.loads(first)
        return found

    without = await ended()
    assert not {without[name] for name in ("keyctl", "personality", "socket", "clone3")} & {"EPERM", "ENOSYS"}
    confined = await ended(spec.seccomp_default())
    assert confined == {**dict.fromkeys(without, "EPERM"), "asking": "done", "clone3": "ENOSYS"}
    more = await ended(spec.add_capabilities("SYS_ADMIN"), spec.seccomp_default())
    assert {name for name in more if more[name] != confined[name]} == {"clone", "clone3", "unshare"}


async def test_hooks_are_called_at_their_moments(client: Client, image: Image, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()

    def calling(moment: str) -> SpecOption:
        command = ["/bin/sh", "-c", 'cat > "$LOG.$0.state"; echo $0 >> "$LOG"', moment]
        variables = {"LOG": os.fspath(log), "PATH": "/usr/bin:/bin"}
        return spec.hook(moment, *command, env=variables, timeout=60)  # type: ignore[arg-type]

    options = [spec.bind(tmp_path, tmp_path), *map(calling, reversed(MOMENTS))]
    assert await said(client, image, f"echo process >> {log}", *options) == ""
    said_by = log.read_text().split()
    said_by.remove("poststart")  # beside what happens in the container
    assert said_by == [
        *("prestart", "createRuntime", "createContainer", "startContainer"),
        *("process", "poststop"),
    ]
    for moment in MOMENTS:
        state = json.loads((tmp_path / f"log.{moment}.state").read_text())
        assert state["ociVersion"]


async def test_a_hook_that_fails_fails_the_task_and_leaves_nothing(client: Client, image: Image) -> None:
    text = await refused(client, image, spec.hook("createRuntime", "/bin/sh", "-c", "echo sorry >&2; exit 3"))
    assert "hook" in text
    assert "sorry" in text


def mount_memory(name: str, path: Path) -> None:
    """Mount an empty filesystem called ``name``."""
    subprocess.run(["mount", "-t", "tmpfs", name, path], check=True)


@contextmanager
def shared_mount(path: Path) -> Iterator[Path]:
    """A mount at ``path`` that tells of mounts in it."""
    path.mkdir()
    mount_memory("shared", path)
    try:
        subprocess.run(["mount", "--make-shared", path], check=True)
        (path / "of_host").mkdir()
        (path / "of_container").mkdir()
        yield path
    finally:
        subprocess.run(["umount", "-R", path], check=True)


@pytest.mark.parametrize(("propagation", "both_ways"), [("rslave", False), ("rshared", True)])
async def test_mounts_made_later_are_seen_as_far_as_they_are_passed_on(
    client: Client, image: Image, tmp_path: Path, propagation: str, both_ways: bool
) -> None:
    with shared_mount(tmp_path / "shared") as place:
        options = [
            spec.bind(place, "/shared", propagation=propagation),  # type: ignore[arg-type]
            spec.add_capabilities("SYS_ADMIN"),
        ]
        async with running(client, image, *options) as task:
            mount_memory("of_host", place / "of_host")
            assert "of_host /shared/of_host" in await told(task, "cat /proc/mounts")
            await task.run(["mount", "-t", "tmpfs", "of_container", "/shared/of_container"], check=True)
            seen = f"of_container {place}/of_container" in Path("/proc/mounts").read_text()
    assert seen is both_ways


async def test_a_container_can_run_in_a_directory_of_the_host(client: Client, tmp_path: Path) -> None:
    """It has no image then, and no snapshot."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    (tmp_path / "bin").mkdir()
    shutil.copy(busybox, tmp_path / "bin/busybox")
    (tmp_path / "here").touch()
    options = [spec.rootfs_path(tmp_path), spec.readonly_rootfs(False)]
    with pytest.raises(InvalidArgumentError, match=r"neither an image nor a spec: .* rootfs_path\(\)"):
        await client.new_container("web", args=["true"], options=options[1:])
    async with (
        await client.new_container("web", args=["/bin/busybox", "ls", "/"], options=options) as container,
        await container.new_task(stdio=pipes()) as task,
    ):
        exited = task.wait()
        await task.start()
        (await exited).check()
        assert task.stdout is not None
        assert b"here\n" in await task.stdout.receive()
        assert (await container.info()).snapshot_key is None
    assert (tmp_path / "here").exists()


async def test_a_spec_without_a_command_or_a_root_says_so(client: Client, image: Image) -> None:
    nothing = spec.from_bytes('{"process": null, "root": null, "linux": null}')
    with pytest.raises(InvalidArgumentError, match="nothing to run"):
        await client.run(image, options=[nothing])
    with pytest.raises(InvalidArgumentError, match="neither an image nor a spec"):
        await client.new_container("web", options=[nothing, spec.args("true")])


async def test_a_label_that_is_options_of_a_mount_is_refused(client: Client, image: Image) -> None:
    """One that was not made by `selinux_label`."""

    def labelled(found: Spec, _: SpecContext) -> Spec:
        return {**found, "linux": {**found["linux"], "mountLabel": 'u:r:f:s0",lowerdir="/'}}

    with pytest.raises(InvalidArgumentError, match="mountLabel .* holds a quote"):
        await client.run(image, ["true"], options=[labelled])


async def test_a_spec_from_a_file_is_run_in_the_cgroup_of_the_new_container(
    client: Client, image: Image, tmp_path: Path
) -> None:
    """Another container's, and changed on the way."""
    options = [spec.hostname("before"), spec.env({"COLOUR": "blue"})]
    async with await client.new_container("other", image=image, args=["true"], options=options) as other:
        (tmp_path / "config.json").write_text(json.dumps(await other.spec()))
    command = "hostname; echo $COLOUR; cat /proc/self/cgroup"
    options = [
        spec.from_file(tmp_path / "config.json"),
        spec.namespaced_cgroup(),
        spec.args("sh", "-c", command),
        spec.hostname("after"),
    ]
    done = await client.run(image, id="new", options=options, check=True)
    lines = done.stdout.decode().splitlines()
    assert lines[:2] == ["after", "blue"]
    assert lines[2].endswith(f":/{client.namespace}/new")


def features() -> Mapping[str, Mapping[str, object]]:
    """What the runtime says that it can do; nothing from one that is too old to say."""
    done = subprocess.run(["runc", "features"], capture_output=True, text=True, check=False)
    found: Mapping[str, Mapping[str, object]] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


async def test_clocks_can_be_ahead_where_the_runtime_can(client: Client, image: Image) -> None:
    option = spec.time_offsets(boottime=10**8)
    namespaces = features().get("linux", {}).get("namespaces", [])
    if "time" in str(namespaces):
        assert float((await said(client, image, "cat /proc/uptime", option)).split()[0]) > 10**8
    else:
        assert "time" in await refused(client, image, option)


# What makes it possible on a host, where anything does; else how the runtime names it.
IMPOSSIBLE = (
    (spec.selinux_label("no_u:such_r:label_t:s0"), "", "(?i)selinux|label"),
    (spec.apparmor_profile("containerd-aio-none"), "", "apparmor"),
    (spec.rdt(cache="L3:0=f"), "/sys/fs/resctrl/schemata", "RDT"),
    (spec.unified({"memory.high": "max"}), "/sys/fs/cgroup/cgroup.controllers", "cgroup v1"),
    (spec.sysctls({"net.ipv4.no_such_parameter": 1}), "", "no_such_parameter"),
    (spec.network_namespace("/no/such/namespace"), "", "/no/such/namespace"),
    (spec.block_io(read_bps={"4000:0": 1}), "", "4000:0"),
)


async def test_what_this_host_cannot_do_is_refused_by_the_runtime(client: Client, image: Image) -> None:
    """So the options have reached it."""
    for option, possible, words in IMPOSSIBLE:
        if possible and os.path.exists(possible):
            assert (await client.run(image, ["true"], options=[option])).exit_status.code == 0
        else:
            assert re.search(words, await refused(client, image, option))
