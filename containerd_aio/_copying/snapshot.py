"""Writing to the snapshot of a container that has no task."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from containerd_aio._copying.applying import apply_layer
from containerd_aio._copying.checks import Batch
from containerd_aio._copying.faults import Naming
from containerd_aio._copying.landing import Names
from containerd_aio._copying.layer import LayerWriter
from containerd_aio._copying.worker import Worker
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.services import Services
from containerd_aio.spec.resolution import Look
from containerd_aio.types import Mount


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a container's files are when nothing shows them; ``has_task``: its task has ended, and was not deleted."""

    services: Services
    container_id: str
    mounts: Sequence[Mount]
    has_task: bool

    async def write(
        self,
        look: Look,
        base: Names,
        members: AsyncIterator[Batch],
        worker: Worker,
        *,
        named: Naming,
        hidden: frozenset[Names],
    ) -> None:
        """Have the daemon put the members over the snapshot, in which ``look`` tells what there is.

        :raises FailedPreconditionError: if that is not safe, or was not
        """
        if self.has_task and self.mounts[0].type == "overlay":
            # Who writes to the directories of an overlay that is mounted changes files under the kernel's feet.
            raise FailedPreconditionError(
                f"the task of container '{self.container_id}' has ended, and its files are mounted where they cannot"
                " be reached from here; delete the task first"
            )

        overlay = any(mount.type == "overlay" for mount in self.mounts)
        writer = LayerWriter(look, base, named, hidden=hidden, overlay=overlay)

        async def layer() -> AsyncGenerator[bytes]:
            async for batch in members:
                yield await worker.run(partial(writer.take, batch))
            yield writer.end()

        async with aclosing(layer()) as pieces:
            await apply_layer(self.services, pieces, self.mounts)
        if not self.has_task and await self._got_task():
            raise FailedPreconditionError(
                f"container '{self.container_id}' got a task while files were copied to its snapshot: whether the"
                " task sees them is not known; copy again"
            )

    async def _got_task(self) -> bool:
        try:
            await self.services.tasks.get(self.container_id)
        except NotFoundError:
            return False
        return True
