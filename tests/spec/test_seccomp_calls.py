"""The profile for containers that are not trusted."""

from __future__ import annotations

import pytest

from containerd_aio.spec import (
    SpecContext,
    add_capabilities,
    build,
    capabilities,
    drop_capabilities,
    seccomp_default,
)
from containerd_aio.spec.capability_sets import ALL_CAPABILITIES
from containerd_aio.spec.schema import LinuxSeccomp, LinuxSyscall
from containerd_aio.spec.seccomp_calls import default_profile


def _allowed(profile: LinuxSeccomp) -> set[str]:
    """The calls that are allowed whatever their arguments are."""
    free = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule]
    return {name for rule in free for name in rule["names"]}


def _rules(profile: LinuxSeccomp, name: str) -> list[LinuxSyscall]:
    return [rule for rule in profile["syscalls"] if name in rule["names"]]


@pytest.fixture
def profile(context: SpecContext) -> LinuxSeccomp:
    """What a container with the default capabilities gets."""
    return build(context, [seccomp_default()])["linux"]["seccomp"]


def test_what_is_not_listed_is_refused(profile: LinuxSeccomp) -> None:
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)


def test_each_call_is_named_once_where_it_is_allowed_to_all() -> None:
    rules = default_profile()["syscalls"]
    assert isinstance(rules, list)
    first = rules[0]["names"]
    assert len(first) == len(set(first)) > 350
    assert not set(first) & {name for rule in rules[1:] for name in rule["names"]}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "read",
            "write",
            "openat",
            "openat2",
            "execve",
            "mmap",
            "futex",
            "futex_waitv",
            "rseq",
            "epoll_pwait2",
        ),
        *("clock_gettime64", "statx", "faccessat2", "chroot", "ptrace", "landlock_create_ruleset", "seccomp"),
    ],
)
def test_what_programs_need_is_allowed(profile: LinuxSeccomp, name: str) -> None:
    assert name in _allowed(profile)


@pytest.mark.parametrize(
    "name",
    [
        *("keyctl", "add_key", "request_key", "userfaultfd", "io_uring_setup", "io_uring_enter", "uselib"),
        *(
            "mount",
            "unshare",
            "setns",
            "bpf",
            "perf_event_open",
            "init_module",
            "kexec_load",
            "reboot",
            "syslog",
        ),
        *("open_by_handle_at", "settimeofday", "swapon", "iopl", "acct", "clone", "clone3", "pivot_root"),
    ],
)
def test_what_concerns_the_whole_host_is_refused(profile: LinuxSeccomp, name: str) -> None:
    assert name not in _allowed(profile)


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        *(("SYS_ADMIN", name) for name in ("mount", "unshare", "clone", "clone3", "bpf", "syslog")),
        *(("BPF", "bpf"), ("PERFMON", "perf_event_open"), ("SYSLOG", "syslog"), ("SYS_BOOT", "reboot")),
        *(
            ("SYS_MODULE", "init_module"),
            ("SYS_TIME", "settimeofday"),
            ("DAC_READ_SEARCH", "open_by_handle_at"),
        ),
        *(("SYS_PTRACE", "kcmp"), ("SYS_RAWIO", "iopl"), ("SYS_PACCT", "acct"), ("SYS_NICE", "mbind")),
        ("SYS_TTY_CONFIG", "vhangup"),
    ],
)
def test_a_capability_opens_what_it_is_for(
    context: SpecContext, profile: LinuxSeccomp, capability: str, name: str
) -> None:
    assert name not in _allowed(profile)
    more = build(context, [add_capabilities(capability), seccomp_default()])["linux"]["seccomp"]
    assert name in _allowed(more)
    assert _allowed(profile) < _allowed(more)


def test_without_a_capability_its_calls_are_closed(context: SpecContext, profile: LinuxSeccomp) -> None:
    built = build(context, [drop_capabilities("SYS_CHROOT"), seccomp_default()])
    assert _allowed(profile) - _allowed(built["linux"]["seccomp"]) == {"chroot"}


def test_arguments_decide_where_a_call_has_two_faces(profile: LinuxSeccomp) -> None:
    [clone] = _rules(profile, "clone")
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}]
    assert len(_rules(profile, "personality")) == 5
    [clone3] = _rules(profile, "clone3")
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


@pytest.mark.parametrize("above", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_every_family_of_sockets_but_one_is_allowed(profile: LinuxSeccomp, above: int) -> None:
    """Also where a program sets bits of the argument that the kernel does not look at."""
    comparisons = [rule["args"] for rule in _rules(profile, "socket")]
    assert all(each["op"] == "SCMP_CMP_MASKED_EQ" for [each] in comparisons)
    refused = {
        family
        for family in range(64)
        if not any((above | family) & each["value"] == each.get("valueTwo", 0) for [each] in comparisons)
    }
    assert refused == {40}


def test_every_capability_that_is_named_exists(context: SpecContext) -> None:
    rules = default_profile()["syscalls"]
    assert isinstance(rules, list)
    named = {
        each
        for rule in rules
        for condition in (rule.get("includes", {}), rule.get("excludes", {}))
        for each in condition.get("caps", [])
    }
    assert named <= set(ALL_CAPABILITIES)
    whole = build(context, [capabilities("ALL"), seccomp_default()])["linux"]["seccomp"]
    assert not _rules(whole, "clone3")[0].get("errnoRet")
