"""What of the host is shown in the container, as it is typed: ``-v /srv:/data:ro``, ``--mount type=bind,...``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from containerd_aio import spec
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecOption

_NAMES: Final[Mapping[str, str]] = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
}
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "bind": frozenset({"source", "target", "readonly"}),
    "tmpfs": frozenset({"target"}),
}
_TRUTH: Final[Mapping[str, bool]] = {"": True, "true": True, "1": True, "false": False, "0": False}


def volume(text: str) -> SpecOption:
    """Return the option of ``-v SOURCE:TARGET[:ro|rw]``; the source is a path on this host.

    :raises InvalidArgumentError: if it is none
    """
    source, target, mode = [*text.split(":"), "", ""][:3]
    if not source or not target or text.count(":") > 2 or mode not in ("", "ro", "rw"):
        raise InvalidArgumentError(f"-v {text}: give SOURCE:TARGET or SOURCE:TARGET:ro")
    if not source.startswith((os.sep, ".")):
        raise InvalidArgumentError(
            f"-v {text}: {source!r} is no path; there are no named volumes, give /{source} or ./{source}"
        )
    return _bind(f"-v {text}", source, target, readonly=mode == "ro")


def mount(text: str) -> SpecOption:
    """Return the option of ``--mount type=bind,source=…,target=…[,readonly]``, or ``type=tmpfs,target=…``.

    :raises InvalidArgumentError: if it is none
    """
    typed = f"--mount {text}"
    given = dict(_pair(each) for each in text.split(","))
    kind = given.pop("type", "bind")
    if kind not in _FIELDS:
        raise InvalidArgumentError(f"{typed}: the type {kind!r} is neither bind nor tmpfs")
    if unknown := given.keys() - _FIELDS[kind]:
        raise InvalidArgumentError(f"{typed}: {', '.join(sorted(unknown))} is not known with type={kind}")
    if missing := _FIELDS[kind] - given.keys() - {"readonly"}:
        raise InvalidArgumentError(f"{typed}: {', '.join(sorted(missing))} is missing")
    if kind == "tmpfs":
        return spec.tmpfs(given["target"])
    readonly = given.get("readonly", "false")
    if readonly not in _TRUTH:
        raise InvalidArgumentError(f"{typed}: readonly is true or false, not {readonly!r}")
    return _bind(typed, given["source"], given["target"], readonly=_TRUTH[readonly])


def _bind(typed: str, source: str, target: str, *, readonly: bool) -> SpecOption:
    path = os.path.abspath(source)
    if not os.path.exists(path):
        raise InvalidArgumentError(f"{typed}: there is no {path!r} on this host; make it first")
    return spec.bind(path, target, readonly=readonly)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return _NAMES.get(name, name), value
