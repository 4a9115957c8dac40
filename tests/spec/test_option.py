"""Options are pure, and run from left to right."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio import spec
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec, SpecContext, SpecOption
from containerd_aio.types import Mount
from tests.spec.stand_ins import GROUP, PASSWD, Files, image

OPTIONS: dict[str, SpecOption] = {
    "add_capabilities": spec.add_capabilities("SYS_PTRACE"),
    "additional_gids": spec.additional_gids("web"),
    "annotations": spec.annotations({"a": "b"}),
    "append_groups": spec.append_groups("wheel", 7),
    "args": spec.args("sleep", "60"),
    "bind": spec.bind("/srv", "/data"),
    "capabilities": spec.capabilities("KILL"),
    "cgroup_path": spec.cgroup_path("/example/other"),
    "compose": spec.compose(spec.hostname("web"), spec.terminal()),
    "cpu_quota": spec.cpu_quota(50_000),
    "cpu_shares": spec.cpu_shares(512),
    "cpus": spec.cpus(1.5),
    "cpuset_cpus": spec.cpuset_cpus("0-1"),
    "cpuset_mems": spec.cpuset_mems("0"),
    "cwd": spec.cwd("/srv"),
    "domainname": spec.domainname("example"),
    "drop_capabilities": spec.drop_capabilities("MKNOD"),
    "env": spec.env({"A": "1", "B": None}),
    "host_hosts": spec.host_hosts(),
    "host_localtime": spec.host_localtime(),
    "host_namespace": spec.host_namespace("network"),
    "host_resolv_conf": spec.host_resolv_conf(),
    "hostname": spec.hostname("web"),
    "image_config": spec.image_config(["--serve"]),
    "linux_namespace": spec.linux_namespace("ipc", path="/proc/1/ns/ipc"),
    "memory_limit": spec.memory_limit(2**26),
    "memory_swap": spec.memory_swap(-1),
    "mounts": spec.mounts(Mount("tmpfs", "tmpfs", "/tmp", ("size=64k",))),
    "network_namespace": spec.network_namespace("/run/netns/web"),
    "no_new_privileges": spec.no_new_privileges(False),
    "pids_limit": spec.pids_limit(10),
    "readonly_rootfs": spec.readonly_rootfs(),
    "rlimit": spec.rlimit("nofile", 4096),
    "shim_group": spec.shim_group("pod"),
    "terminal": spec.terminal(),
    "tmpfs": spec.tmpfs("/tmp", size=4096),
    "user": spec.user("web:wheel"),
    "without_mounts": spec.without_mounts("/run"),
    "writable_sysfs": spec.writable_sysfs(),
}
NOT_OPTIONS = {
    *("SpecContext", "SpecOption", "Spec", "Rootfs", "UnreadableRootfs", "LinuxResources"),
    *("RootfsNeeded", "RootfsUnreadableError"),
    *("beyond_default", "build", "default_spec", "open_rootfs", "process_for_exec", "resources"),
}


def _context() -> SpecContext:
    files = Files({"/etc/passwd": PASSWD, "/etc/group": GROUP})
    return SpecContext("web", "example", image(entrypoint=("/bin/web",), user="web"), files)


def test_every_option_is_in_these_tests() -> None:
    assert OPTIONS.keys() == set(spec.__all__) - NOT_OPTIONS


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_something(name: str) -> None:
    """Else the tests of purity would say nothing about it."""
    before = spec.default_spec("web", "example")
    assert OPTIONS[name](before, _context()) != before


@given(names=st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6), last=st.sampled_from(sorted(OPTIONS)))
def test_an_option_leaves_the_spec_it_is_given_as_it_was(names: list[str], last: str) -> None:
    before = spec.build(_context(), [OPTIONS[name] for name in names])
    kept = copy.deepcopy(before)
    OPTIONS[last](before, _context())
    assert before == kept


@given(names=st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6))
def test_options_can_be_used_again_and_give_the_same_json(names: list[str]) -> None:
    options = [OPTIONS[name] for name in names]
    first = spec.build(_context(), options)
    assert spec.build(_context(), options) == first
    assert json.loads(json.dumps(first)) == first


@pytest.mark.parametrize("name", OPTIONS)
def test_changing_what_an_option_returned_does_not_change_the_option(name: str) -> None:
    before = spec.default_spec("web", "example")
    first = OPTIONS[name](before, _context())
    expected = copy.deepcopy(first)
    _wreck(first)
    assert OPTIONS[name](spec.default_spec("web", "example"), _context()) == expected


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_fits_on_a_spec_of_nothing(name: str) -> None:
    """A spec may come from another client; sections may be absent, or null in its JSON."""
    nothing: Spec = json.loads(
        '{"process": null, "root": null, "linux": null, "mounts": null, "annotations": null}'
    )
    after = OPTIONS[name](nothing, _context())
    assert {key: value for key, value in after.items() if value is not None} == OPTIONS[name]({}, _context())


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_keeps_what_it_does_not_know(name: str) -> None:
    strange: Spec = json.loads('{"vm": {"a": 1}, "process": {"b": 2}, "linux": {"c": 3}, "root": {"d": 4}}')
    after = json.loads(json.dumps(OPTIONS[name](strange, _context())))
    assert after["vm"] == {"a": 1}
    assert (after["process"]["b"], after["linux"]["c"], after["root"]["d"]) == (2, 3, 4)


def test_options_run_from_left_to_right(context: SpecContext) -> None:
    built = spec.build(context, [spec.hostname("first"), spec.hostname("second")])
    assert built["hostname"] == "second"


def test_composed_options_are_one_option(context: SpecContext) -> None:
    both = spec.compose(spec.hostname("first"), spec.compose(spec.cwd("/a"), spec.hostname("second")))
    built = spec.build(context, [both])
    assert (built["hostname"], built["process"]["cwd"]) == ("second", "/a")


def test_an_option_that_forgets_its_return_is_told_so(context: SpecContext) -> None:
    def forgetful(spec: Spec, context: SpecContext) -> Spec:
        spec["hostname"] = "web"
        return None  # type: ignore[return-value]

    with pytest.raises(InvalidArgumentError, match=r"forgetful.* returned None"):
        spec.build(context, [forgetful])


def test_an_option_that_needs_files_asks_for_them() -> None:
    """Whoever builds the spec catches this, prepares the snapshot and builds again."""
    with pytest.raises(spec.RootfsNeeded, match=r"/etc/passwd .* give uid:gid"):
        spec.build(SpecContext("web", "example"), [spec.user("web")])


def _wreck(value: object) -> None:
    """Empty every list and dict in ``value``, the innermost first."""
    clear: Callable[[], None]
    if isinstance(value, dict):
        for each in value.values():
            _wreck(each)
        clear = value.clear
    elif isinstance(value, list):
        for each in value:
            _wreck(each)
        clear = value.clear
    else:
        return
    clear()
