"""Options of the runc shim, as they travel.

Those of a task stand in place of those of its container, all of them: a task that is to have one more must
repeat what its container has. The Go client up to 2.0 forgot that, and lost the binary's name (#11568).
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, Final

from containerd_aio._api.containerd.runc.v1 import CheckpointOptions as CheckpointMessage
from containerd_aio._api.containerd.runc.v1 import Options
from containerd_aio._transport import typeurl
from containerd_aio._transport.codec import encode
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, CheckpointOptions, RuncOptions, TaskEndpoint

# How the cgroup is made, and who owns the pipes: nothing of it reaches beyond the container. Without a keyring of its
# own (`no_new_keyring`) it would have the shim's, which is containerd's.
_HARMLESS: Final = ("systemd_cgroup", "io_uid", "io_gid")


def runc_options(
    options: RuncOptions, over: AnyValue | None = None, *, endpoint: TaskEndpoint | None = None
) -> AnyValue:
    """Return the options as a value, laid over what ``over`` has: only what is given there changes.

    ``endpoint`` goes in with them, for containerd 2.0 to 2.2, which look for it there.

    :raises InvalidArgumentError: if ``over`` holds the options of another runtime
    """
    message = Options() if over is None else typeurl.unpack(over, Options)
    for name, value in options.given().items():
        setattr(message, name, value)
    if endpoint is not None:
        message.task_api_address = endpoint.address
        message.task_api_version = endpoint.version
    return typeurl.pack(message)


def takes_runc_options(value: AnyValue | None) -> bool:
    """Tell whether these are a runc shim's options, or none, so that they could be."""
    return value is None or value.type_url.rpartition("/")[2] == typeurl.type_url(Options)


def checkpoint_options(options: CheckpointOptions, *, image_path: str = "") -> AnyValue:
    """Return how a task is to be checkpointed; with ``image_path`` into that directory of containerd's host."""
    given: dict[str, Any] = {**asdict(options), "empty_namespaces": list(options.empty_namespaces)}
    return typeurl.pack(CheckpointMessage(**given, image_path=image_path))


def beyond_default_options(value: AnyValue) -> list[str]:
    """Return what options that somebody else wrote do beyond what is harmless, each in a few words.

    A binary, a directory or a cgroup of their choice is run, written or joined by the shim, which is root on the
    host; so is ``criu_path``, which containerd dropped and old shims still know.
    """
    if not takes_runc_options(value):
        return [f"runtime options {value.type_url}"]
    try:
        message = typeurl.unpack(value, Options)
    except InvalidArgumentError:
        return ["malformed runtime options"]
    harmless = Options(**{name: getattr(message, name) for name in _HARMLESS})
    if encode(harmless) == encode(message):
        return []
    names = [it.name for it in fields(message) if message.is_set(it.name) and it.name not in _HARMLESS]
    return [f"runtime option {name}" for name in names] or ["unknown runtime options"]
