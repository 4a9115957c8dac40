"""Images: a name in containerd's store and what it stands for.

An ``Image`` keeps the target that its name had when it was loaded. Targets are digests, so what is read through
it never changes, and is read once; ``info()`` asks what the name stands for now.
"""

from __future__ import annotations

from collections.abc import Mapping

from containerd_aio._images.manifest import Manifest
from containerd_aio._images.resolve import find_manifest, read_config
from containerd_aio._images.unpack import chain_ids, unpack
from containerd_aio._session import Session, defaults_of
from containerd_aio.errors import NotFoundError
from containerd_aio.types import Descriptor, ImageConfig, ImageInfo


class Image:
    """An image of one namespace. Made by the client: ``client.image()``, ``import_images()``, ``pull()``."""

    def __init__(self, session: Session, info: ImageInfo) -> None:
        self._session = session
        self._info = info
        self._manifest: tuple[Descriptor, Manifest] | None = None
        self._config: ImageConfig | None = None

    @property
    def name(self) -> str:
        """The image's name in the store, in full: ``docker.io/library/busybox:latest``."""
        return self._info.name

    @property
    def target(self) -> Descriptor:
        """What the name stood for when this object was made: a manifest, or an index of several."""
        return self._info.target

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the record when this object was made."""
        return self._info.labels

    async def info(self) -> ImageInfo:
        """Return the record as it is now; its target may be another one than ``target``.

        :raises NotFoundError: if the name was deleted
        """
        return await self._session.services.images.get(self.name)

    async def config(self) -> ImageConfig:
        """Return what the image says about its process, for this machine's platform. Read once.

        :raises InvalidArgumentError: if it is no container image, or damaged
        :raises NotFoundError: if it has nothing for this machine's platform, or a blob is not there
        """
        if self._config is None:
            _, manifest = await self._resolve()
            self._config = await read_config(self._session.services.content, manifest)
        return self._config

    async def stop_signal(self) -> str | None:
        """Return the signal that the image wants to be stopped with, as it is written there (``SIGINT``, ``2``).

        ``None`` where it names none; SIGTERM is the custom then. Errors are those of ``config()``.
        """
        return (await self.config()).stop_signal or None

    async def size(self) -> int:
        """Return the bytes that the image takes up as it is transferred: manifest, configuration and layers.

        As the manifest for this machine's platform states them; unpacked it takes more.

        :raises InvalidArgumentError: if a document is damaged
        :raises NotFoundError: if it has nothing for this machine's platform, or a blob is not there
        """
        descriptor, manifest = await self._resolve()
        return sum(part.size for part in (descriptor, manifest.config, *manifest.layers))

    async def chain_id(self) -> str | None:
        """Return the name of the snapshot that unpacking ends with, ``None`` for an image without layers.

        Errors are those of ``config()``.
        """
        chain = chain_ids((await self.config()).diff_ids)
        return chain[-1] if chain else None

    async def unpack(self, snapshotter: str | None = None) -> str | None:
        """Make the snapshots of the image's layers, where they are missing, and return the top one's name.

        That name is the ``chain_id()``; ``None`` is for an image without layers. ``snapshotter`` is by default
        the namespace's (label ``containerd.io/defaults/snapshotter``), else ``overlayfs``. Several may unpack
        one image at once. If cancelled, no active snapshot is left, and finished layers go with the next
        collection; calling again is safe.

        :raises InvalidArgumentError: if a layer is not what the configuration says, or the daemon has no such
            snapshotter
        :raises NotFoundError: if the image has nothing for this machine's platform, or a blob is not there
        """
        return await unpack(
            self._session.services, self.target, snapshotter=await self._snapshotter(snapshotter)
        )

    async def is_unpacked(self, snapshotter: str | None = None) -> bool:
        """Return whether the snapshots of the image's layers are there; ``snapshotter`` is as for ``unpack()``.

        Errors are those of ``config()``.
        """
        top = await self.chain_id()
        if top is None:
            return True
        name = await self._snapshotter(snapshotter)
        try:
            await self._session.services.snapshotter(name).stat(top)
        except NotFoundError:
            return False
        return True

    async def delete(self, *, sync: bool = False) -> None:
        """Remove the name; blobs and snapshots that nothing else refers to go with the next collection.

        With ``sync``, that collection runs now, and the call returns when it is done. The name goes whatever it
        stands for now.

        :raises NotFoundError: if it was already deleted
        """
        await self._session.services.images.delete(self.name, sync=sync)

    async def _resolve(self) -> tuple[Descriptor, Manifest]:
        if self._manifest is None:
            self._manifest = await find_manifest(self._session.services.content, self.target)
        return self._manifest

    async def _snapshotter(self, name: str | None) -> str:
        return name or (await defaults_of(self._session.services, self._session.namespace)).snapshotter

    def __repr__(self) -> str:
        return f"<Image {self.name!r} {self.target.digest}>"
