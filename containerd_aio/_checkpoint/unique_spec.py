"""A way round a fault of containerd 1.x, which loses the second checkpoint of a container.

The daemon writes the container's spec as a blob, after CRIU is done, and fails with ALREADY_EXISTS where that blob is
there already: because another checkpoint of the same container is. With ``exit`` the processes are dead by then
(seen on 1.6.20 and 1.7.24; mended in 2.0). So the stored spec is made another text that means the same, before
anything is done to the task: blanks after the JSON. They are taken away again; where that fails, because the client
is killed, they do no harm, and go with the next checkpoint.

Another client may do the same to the same container at the same moment. So what is in the content store is looked
at afterwards, too: CRIU's blob is written before the spec's, and held by the lease.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from containerd_aio._checkpoint.index import CONFIG, MEMORY
from containerd_aio._transport.completion import completed, shielded
from containerd_aio._transport.typeurl import to_bytes
from containerd_aio.errors import ContainerdError, NotFoundError
from containerd_aio.types import AnyValue, ContainerInfo, Descriptor
from containerd_aio.types.digest import Digester

if TYPE_CHECKING:
    from containerd_aio.services import Services
    from containerd_aio.services.content import Content

_MENDED: Final = (2, 0)
_BLANKS: Final = " \t\n\r"  # what may follow a JSON text (RFC 8259, 2)
_COUNT: Final = 32  # two bits each

_log: Final = logging.getLogger("containerd_aio")


@asynccontextmanager
async def unique_spec(services: Services, info: ContainerInfo) -> AsyncGenerator[None]:
    """See to it that the spec of a container is a blob that is not there yet, for the length of the block.

    Does nothing where that is so, or the daemon does not mind, and no blanks are there. In the end the container has
    its spec again, unless somebody else has changed it meanwhile.
    """
    own = info.spec
    if own is None:
        yield
        return
    plain = _without_blanks(own)
    if plain == own and not await _would_fail(services, own):
        yield
        return
    changed = replace(info, spec=_with_blanks(plain))
    try:
        await completed(partial(services.containers.update, changed, "spec"))
        yield
    finally:
        try:
            await shielded(partial(_put_back, services, replace(info, spec=plain), changed))
        except ContainerdError as error:
            _log.warning("there are blanks behind the spec of container %r: %s", info.id, error)


async def _would_fail(services: Services, spec: AnyValue) -> bool:
    if (await services.version.get()).release >= _MENDED:
        return False
    digester = Digester()
    digester.update(to_bytes(spec))
    return await _exists(services.content, digester.digest)


async def _exists(content: Content, digest: str) -> bool:
    try:
        await content.info(digest)
    except NotFoundError:
        return False
    return True


def _with_blanks(spec: AnyValue) -> AnyValue:
    blanks = "".join(secrets.choice(_BLANKS) for _ in range(_COUNT)).encode()
    return AnyValue(spec.type_url, spec.value + blanks)


def _without_blanks(spec: AnyValue) -> AnyValue:
    """Return the spec without those that a client has left which was killed; nobody else writes so many."""
    text = spec.value.rstrip(_BLANKS.encode())
    return AnyValue(spec.type_url, text) if len(spec.value) - len(text) >= _COUNT else spec


async def _put_back(services: Services, info: ContainerInfo, changed: ContainerInfo) -> None:
    try:
        now = await services.containers.get(info.id)
        if now.spec == changed.spec:
            await services.containers.update(info, "spec")
    except NotFoundError:
        pass


async def held_digests(services: Services, lease_id: str) -> set[str]:
    """Return the digests of the blobs that a lease holds."""
    return {each.id for each in await services.leases.list_resources(lease_id) if each.type == "content"}


async def found_after_all(
    services: Services, info: ContainerInfo, lease_id: str, before: set[str]
) -> list[Descriptor]:
    """Return the two parts that a call has written which failed with ALREADY_EXISTS; none if they are not there.

    ``before`` is what the lease held then.
    """
    new = await held_digests(services, lease_id) - before
    tars = [digest for digest in new if await _is_criu_tar(services.content, digest)]
    if len(tars) != 1 or info.spec is None:
        return []
    config = to_bytes(info.spec)
    ref = f"checkpoint-config-{secrets.token_hex(8)}"
    digest = await services.content.write_blob(ref, config, size=len(config))
    memory = await services.content.info(tars[0])
    return [Descriptor(MEMORY, memory.digest, memory.size), Descriptor(CONFIG, digest, len(config))]


async def _is_criu_tar(content: Content, digest: str) -> bool:
    head = await (await content.reader(digest)).read_at(0, 512)
    name = head[:100].rstrip(b"\0")
    return head[257:262] == b"ustar" and name.endswith((b".img", b".json"))
