"""A containerd of one's own, for as long as a block runs: for tests, demonstrations and embedding.

The hard part is the end. containerd is made so that containers outlive it, so ending the daemon ends nothing
else; ``_leftovers`` does that.
"""

from __future__ import annotations

import logging
import os
import signal
import uuid
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from containerd_aio.errors import ContainerdError
from containerd_aio.private_daemon._home import Home
from containerd_aio.private_daemon._launch import Binaries, spawn, write_config
from containerd_aio.private_daemon._leftovers import remove_leftovers
from containerd_aio.private_daemon._process import ChildProcess
from containerd_aio.private_daemon._thread import to_the_end

if TYPE_CHECKING:
    from containerd_aio.client import Client

logger = logging.getLogger("containerd_aio")

START_SECONDS = 30.0
STOP_SECONDS = 10.0


class DaemonFailedError(ContainerdError):
    """The private containerd did not come up; the message ends with the last lines of its log."""


class PrivateDaemon:
    """``async with PrivateDaemon() as daemon:`` runs a containerd that shares nothing with another one.

    Root, state, socket and configuration lie in a private directory (mode 0700). On leaving the block, also by
    an error, a cancellation or Ctrl-C, its containers, shims, mounts, cgroups and files are ended and removed;
    what cannot be removed is logged as a warning. Where this process is killed, the kernel kills the daemon
    with it, and the next private daemon of this user removes what is left.

    ``containerd`` is a name on PATH or a path; a path's directory is searched first for the shim, too. ``root``
    keeps images and snapshots in a directory that is not removed. ``config`` is TOML text that is added to the
    configuration. Needs root, containerd and runc.

    Two daemons share runc's state and the cgroup ``/<namespace>/<id>``: the same namespace and id on a second
    daemon kills the first one's container. So each daemon has a ``namespace`` of its own, and ``client()``
    uses it.
    """

    def __init__(
        self,
        *,
        containerd: str = "containerd",
        root: str | os.PathLike[str] | None = None,
        config: str | None = None,
    ) -> None:
        self._containerd = containerd
        self._given_root = None if root is None else Path(root).absolute()
        self._config = config
        self._namespace = f"aio-{uuid.uuid4().hex[:12]}"
        self._home: Home | None = None
        self._process: ChildProcess | None = None
        self._killed = False
        self._left = False
        self._snapshotter = "overlayfs"
        self._last_log = ""

    @property
    def address(self) -> str:
        """The path of its socket, 100 bytes at most."""
        return os.fspath(self._entered().socket)

    @property
    def namespace(self) -> str:
        """``aio-`` and 12 hex digits, new for each daemon."""
        return self._namespace

    @property
    def root(self) -> Path:
        """containerd's root directory."""
        return self._entered().root

    @property
    def snapshotter(self) -> str:
        """``overlayfs`` where it works, else ``native``; the namespace's default is set to it."""
        return self._snapshotter

    @property
    def pid(self) -> int:
        """The daemon's pid.

        :raises RuntimeError: it does not run.
        """
        if self._process is None or not self._process.running:
            raise RuntimeError("this private containerd does not run")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the daemon has logged since the block was entered; also after it was left."""
        if self._left or self._home is None:
            return self._last_log
        try:
            return self._home.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def client(self, **options: Any) -> Client:
        """A ``Client`` of this daemon (to be entered), in its namespace; ``options`` are the Client's own.

        A ``namespace`` of your own is taken with a ``UserWarning``: see the class.
        """
        from containerd_aio.client import Client

        namespace = options.pop("namespace", self._namespace)
        if namespace != self._namespace:
            warnings.warn(
                f"namespace {namespace!r} on a private containerd: a container of the same namespace and id on "
                f"another containerd of this host would be killed; {self._namespace!r} is its own",
                UserWarning,
                stacklevel=2,
            )
        return Client(self.address, namespace=namespace, **options)

    async def __aenter__(self) -> Self:
        """Start it and wait until it answers.

        :raises FileNotFoundError: containerd, its shim or runc is not installed.
        :raises PermissionError: this process is not root.
        :raises ValueError: ``config`` is not TOML.
        :raises DaemonFailedError: it ended, or did not answer in 30 seconds.
        """
        if self._home is not None:
            raise RuntimeError("a PrivateDaemon is entered once")
        if os.geteuid() != 0:
            raise PermissionError(
                "a private containerd needs root (mounts, cgroups): run this with sudo, or give Client the "
                "address of a containerd that runs already"
            )
        Binaries.find(self._containerd)
        self._home = Home.make(root=self._given_root)
        try:
            await self.start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave()

    async def start(self) -> None:
        """Start it again on the same root, after ``stop()`` or ``kill()``; returns when it answers.

        When cancelled the daemon may run without having answered; leaving the block ends it.

        :raises RuntimeError: it runs, or the block is not entered.
        :raises DaemonFailedError: it ended, or did not answer in 30 seconds.
        """
        home = self._entered()
        if self._process is not None:
            if self._process.running and not self._killed:
                raise RuntimeError("this private containerd runs already")
            await self._process.wait()
        binaries = Binaries.find(self._containerd)
        config = write_config(home, self._config)
        with home.log.open("ab") as log:
            self._process = ChildProcess(spawn(binaries, home, config, log))
        self._killed = False
        await self._answering(self._process)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after 10 seconds; returns when it has ended. Containers live on.

        When cancelled it may run on; call again.
        """
        self._entered()
        if self._process is not None:
            await self._process.end(grace=STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as a crash. ``stop()`` waits for its end, and so does ``start()``."""
        self._entered()
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._killed = True

    def _entered(self) -> Home:
        if self._home is None:
            raise RuntimeError("enter the PrivateDaemon first: async with PrivateDaemon() as daemon")
        return self._home

    async def _answering(self, process: ChildProcess) -> None:
        pause = 0.005
        with anyio.move_on_after(START_SECONDS):
            while process.running:
                try:
                    await (await anyio.connect_unix(self.address)).aclose()
                    return
                except OSError:
                    pass
                with anyio.move_on_after(pause):
                    await process.wait()
                pause = min(2 * pause, 0.1)
        why = process.status if not process.running else f"gave no answer in {START_SECONDS:.0f} s"
        raise DaemonFailedError(f"the private containerd {why}; its log ends:\n{self._log_tail()}")

    def _log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.splitlines()[-lines:])

    async def _leave(self) -> None:
        """End everything and remove it, in a thread that no cancellation stops."""
        await to_the_end(self._end)

    def _end(self) -> None:
        home = self._entered()
        if self._process is not None:
            self._process.end_blocking(grace=STOP_SECONDS)
        self._last_log = self.log
        self._left = True
        for left in remove_leftovers(home):
            logger.warning("private containerd %s: %s", home.path, left)
