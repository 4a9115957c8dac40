"""What a container changed in the files of its image, as a layer."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio.errors import NotFoundError
from containerd_aio.types import Descriptor, Mount

if TYPE_CHECKING:
    from containerd_aio.services import Services


async def changed_files(services: Services, snapshotter: str, key: str, parent: str | None) -> Descriptor:
    """Write the difference between a snapshot and its parent to the content store. The caller holds a lease.

    It is what is in the files now: nobody may write to them meanwhile. If this fails or is cancelled, neither the
    view of the parent nor an ingest is left.

    :raises NotFoundError: if there is no such snapshot, or no such parent
    """
    snapshots = services.snapshotter(snapshotter)
    view = f"{parent or 'empty'}-parent-view-{secrets.token_hex(8)}"
    ref = f"checkpoint-rw-{key}-{secrets.token_hex(8)}"

    async def write() -> Descriptor:
        before: list[Mount] = await snapshots.view(view, parent=parent)
        after = await snapshots.mounts(key)
        return await services.diff.diff(before, after, ref=ref)

    async def remove_view() -> None:
        with suppress(NotFoundError):
            await snapshots.remove(view)

    async def remove_ingest() -> None:
        with suppress(NotFoundError):
            await services.content.abort(ref)

    error: BaseException | None = None
    try:
        return await completed(write)
    except BaseException as problem:
        error = problem
        await cleaned_up(remove_ingest, error, f"ingest {ref!r} could not be removed")
        raise
    finally:
        await cleaned_up(remove_view, error, f"the view {view!r} could not be removed")
