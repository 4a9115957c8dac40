"""Options of the runc shim, as they travel.

Those of a task stand in place of those of its container, all of them: a task that is to have one more must
repeat what its container has. The Go client up to 2.0 forgot that, and lost the binary's name (#11568).
"""

from __future__ import annotations

from containerd_aio._api.containerd.runc.v1 import Options
from containerd_aio._transport import typeurl
from containerd_aio.types import AnyValue, RuncOptions, TaskEndpoint


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
