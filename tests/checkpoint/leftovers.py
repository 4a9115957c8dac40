"""What of a checkpoint is in a containerd beside its image."""

from __future__ import annotations

from containerd_aio import Client


async def left_of_checkpoints(client: Client) -> list[str]:
    """A line for each lease, ingest and view, and for each image that is a checkpoint."""
    snapshots = await client.snapshotter("overlayfs").list()
    images = await client.list_images('labels."containerd.io/checkpoint"==true')
    return [
        *(f"lease {lease.id}" for lease in await client.leases.list()),
        *(f"ingest {ingest.ref}" for ingest in await client.content.statuses()),
        *(f"view {info.name}" for info in snapshots if info.kind == "view"),
        *(f"image {image.name}" for image in images),
    ]
