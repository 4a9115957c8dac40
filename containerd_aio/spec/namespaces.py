"""Linux namespaces: what the container has of its own, what it shares, and how it is called in them."""

from __future__ import annotations

import os
import re
from typing import Final

from containerd_aio.spec.arguments import check_path, check_text, invalid
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import LinuxNamespace, Spec
from containerd_aio.spec.sections import linux_of

NAMESPACE_KINDS: Final = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")

# The kernel keeps 64 bytes of each (sethostname(2)); the characters are those of DNS names, and the underscore.
_HOST_NAME: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_]+([.-]+[A-Za-z0-9_]+)*")


def host_namespace(kind: str) -> SpecOption:
    """Share the host's namespace of this kind (``"network"``, ``"pid"``, …) instead of having one.

    :raises InvalidArgumentError: for a kind that Linux does not have
    """
    name = _kind("host_namespace", kind)

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["namespaces"] = [each for each in linux.get("namespaces") or [] if each.get("type") != name]
        return {**spec, "linux": linux}

    return option


def linux_namespace(kind: str, *, path: str | os.PathLike[str] | None = None) -> SpecOption:
    """Have a namespace of this kind: a new one, or the one that ``path`` names (``/proc/42/ns/ipc``).

    :raises InvalidArgumentError: for a kind that Linux does not have, or a path that is not absolute
    """
    return joined_namespace("linux_namespace", kind, path)


def hostname(name: str) -> SpecOption:
    """Call the container ``name``; it needs a UTS namespace of its own, which it has by default.

    :raises InvalidArgumentError: if it is longer than 64 characters, or not made of letters, digits, ``-``,
        ``_`` and ``.``
    """
    text = _host_name("hostname", name)

    def option(spec: Spec, context: SpecContext) -> Spec:
        return {**spec, "hostname": text}

    return option


def domainname(name: str) -> SpecOption:
    """Set the NIS domain name; runtimes older than runc 1.2 leave it as it is.

    :raises InvalidArgumentError: as for `hostname`
    """
    text = _host_name("domainname", name)

    def option(spec: Spec, context: SpecContext) -> Spec:
        return {**spec, "domainname": text}

    return option


def joined_namespace(option_name: str, kind: str, path: object) -> SpecOption:
    """Return the option that lists a namespace, for options that are called otherwise.

    :raises InvalidArgumentError: as `linux_namespace` does, in the words of ``option_name``
    """
    name = _kind(option_name, kind)
    entry: LinuxNamespace = {"type": name}
    if path is not None:
        entry["path"] = check_path(option_name, path)

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        others = [each for each in linux.get("namespaces") or [] if each.get("type") != name]
        linux["namespaces"] = [*others, entry.copy()]
        return {**spec, "linux": linux}

    return option


def _kind(option: str, kind: str) -> str:
    text = check_text(option, kind)
    if text not in NAMESPACE_KINDS:
        raise invalid(option, kind, f"is not one of {', '.join(NAMESPACE_KINDS)}")
    return text


def _host_name(option: str, name: str) -> str:
    text = check_text(option, name)
    if not _HOST_NAME.fullmatch(text):
        raise invalid(option, name, "is not a host name of at most 64 letters, digits, '-', '_' and '.'")
    return text
