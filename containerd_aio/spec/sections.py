"""Copies of a spec's sections, free to be changed: how options keep the spec that they were given as it was."""

from __future__ import annotations

from copy import deepcopy

from containerd_aio.spec.schema import Hooks, Linux, Mount, Process, Root, Spec


def process_of(spec: Spec) -> Process:
    """Return a copy of the process, empty where the spec has none."""
    return deepcopy(spec.get("process") or {})


def linux_of(spec: Spec) -> Linux:
    """Return a copy of the Linux section, empty where the spec has none."""
    return deepcopy(spec.get("linux") or {})


def root_of(spec: Spec) -> Root:
    """Return a copy of the root filesystem, empty where the spec has none."""
    return deepcopy(spec.get("root") or {})


def hooks_of(spec: Spec) -> Hooks:
    """Return a copy of the hooks, empty where the spec has none."""
    return deepcopy(spec.get("hooks") or {})


def mounts_of(spec: Spec) -> list[Mount]:
    """Return a copy of the mounts."""
    return deepcopy(spec.get("mounts") or [])
