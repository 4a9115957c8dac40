"""A containerd of one's own for as long as a block runs: for tests, demonstrations and embedding.

The hard part is the end. containerd is made so that containers outlive it, so ending the daemon ends nothing
else; ``_leftovers`` does that.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import AlreadyExistsError, ConnectionLostError, ContainerdError
from containerd_aio.private_daemon._home import Home
from containerd_aio.private_daemon._launch import Binaries, spawn, write_config
from containerd_aio.private_daemon._leftovers import remove_leftovers
from containerd_aio.private_daemon._process import ChildProcess
from containerd_aio.private_daemon._thread import to_the_end
from containerd_aio.services.introspection import Introspection
from containerd_aio.services.namespaces import Namespaces

if TYPE_CHECKING:
    from containerd_aio.client import Client

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0

LEAVE_SECONDS: Final = 1.0
"""For a daemon whose root is removed with it: it need not write anything any more."""

KEPT_LOG: Final = 1024 * 1024
"""Characters of the log that are kept after the block."""

DEFAULT_SNAPSHOTTER_LABEL: Final = "containerd.io/defaults/snapshotter"

logger = logging.getLogger("containerd_aio")


class DaemonFailedError(ContainerdError):
    """The private containerd did not come up; the message ends with the last lines of its log."""


class PrivateDaemon:
    """``async with PrivateDaemon() as daemon:`` runs a containerd that shares nothing with another one.

    Root, state, socket and configuration lie in a private directory of mode 0700. On leaving the block, also by
    an error, a cancellation or Ctrl-C, its containers, shims, mounts, cgroups and files are ended and removed;
    what cannot be is logged as a warning. Where this process is killed, or the thread that entered ends, the
    kernel kills the daemon with it, and the next private daemon of this user removes what that one left.

    ``containerd`` is a name on PATH, or a path, whose directory is then searched first for the shim, too.
    ``root`` keeps images and snapshots in a directory that is not removed. ``config`` is TOML text that is
    added to the configuration; paths in it do not count. ``env`` is added to the environment of this process for
    it: a ``PATH`` in it decides where containerd, runc and CRIU are found. Needs root, containerd and runc.

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
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._containerd = containerd
        self._env = dict(env or {})
        self._given_root = None if root is None else Path(root).absolute()
        self._config = config
        self._namespace = f"aio-{uuid.uuid4().hex[:12]}"
        self._home: Home | None = None
        self._process: ChildProcess | None = None
        self._snapshotter = ""
        self._log = ""
        self._left = False
        self._owner = os.getpid()

    @property
    def address(self) -> str:
        """The path of its socket, of 100 bytes at most."""
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
        """``overlayfs`` where its plugin is ok, else ``native``; the default of ``namespace`` is set to it."""
        self._entered()
        return self._snapshotter

    @property
    def pid(self) -> int:
        """The daemon's pid.

        :raises RuntimeError: if it does not run
        """
        self._entered()
        if self._process is None or not self._process.running:
            raise RuntimeError("this private containerd does not run")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the daemon has logged in this block; after the block the end of it, 1 MiB at most."""
        return self._log if self._left else self._entered().read_log()

    def client(self, **options: Any) -> Client:
        """Return a ``Client`` of this daemon, to be entered, in its namespace; ``options`` are the Client's.

        Its FIFOs are made in the private directory. A ``namespace`` of your own is taken, with a
        ``UserWarning``: see the class.
        """
        from containerd_aio.client import Client

        namespace = options.pop("namespace", None) or self._namespace
        if namespace != self._namespace:
            warnings.warn(
                f"namespace {namespace!r} on a private containerd: it kills a container of the same namespace "
                f"and id that another containerd of this host runs; {self._namespace!r} is its own",
                UserWarning,
                stacklevel=2,
            )
        options.setdefault("fifo_dir", self._entered().fifos)
        return Client(self.address, namespace=namespace, **options)

    async def __aenter__(self) -> Self:
        """Start it, and wait until it answers. If it fails or is cancelled, nothing is left.

        :raises FileNotFoundError: if containerd, its shim or runc is not installed
        :raises PermissionError: if this process is not root
        :raises InvalidArgumentError: if ``config`` is not TOML
        :raises DaemonFailedError: if it ended, or did not answer in 60 seconds
        """
        if self._home is not None or self._left:
            raise RuntimeError("a PrivateDaemon is entered once; make another")
        if os.geteuid() != 0:
            raise PermissionError(
                "a private containerd needs root, for mounts and cgroups: run this with sudo, or use a "
                "containerd that runs already: Client(address)"
            )
        Binaries.find(self._containerd, self._environment())
        await to_the_end(_remove_abandoned)
        self._home = Home.make(root=self._given_root)
        self._owner = os.getpid()
        # where the loop is broken off, as KeyboardInterrupt does outside of asyncio.run, nothing leaves the block
        atexit.register(self._end)
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
        """Start it again on the same root, after ``stop()``, ``kill()`` or its own end; returns when it answers.

        If cancelled it may run without having answered; leaving the block ends it.

        :raises RuntimeError: if it runs, or the block is not entered
        :raises DaemonFailedError: if it ended, or did not answer in 60 seconds
        """
        home = self._entered()
        if self._process is not None:
            if self._process.running and not self._process.killed:
                raise RuntimeError("this private containerd runs already")
            await self._process.wait()
        environment = self._environment()
        binaries = Binaries.find(self._containerd, environment)
        config = write_config(home, self._config)
        with home.log.open("ab") as log:
            self._process = ChildProcess(spawn(binaries, home, config, log, environment))
        await self._until_ready(self._process)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after 10 seconds; returns when it has ended. Containers live on.

        If cancelled it may run on; call again.
        """
        self._entered()
        if self._process is not None:
            await self._process.end(grace=STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as in a crash; containers live on. ``stop()`` waits for its end, and ``start()`` does."""
        self._entered()
        if self._process is not None:
            self._process.kill()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self._env}

    def _entered(self) -> Home:
        if self._home is None:
            raise RuntimeError("this private containerd is not there: async with PrivateDaemon() as daemon")
        return self._home

    async def _until_ready(self, process: ChildProcess) -> None:
        pause = 0.005
        with anyio.move_on_after(START_SECONDS):
            while process.running:
                try:
                    return await self._prepare()
                except ConnectionLostError:  # no socket yet, or nobody listens
                    pass
                with anyio.move_on_after(pause):
                    await process.wait()
                pause = min(2 * pause, 0.1)
        why = f"gave no answer in {START_SECONDS:.0f} s" if process.running else process.status
        last = "\n".join(self.log.splitlines()[-20:])
        raise DaemonFailedError(f"the private containerd {why}; its log ends with\n{last}")

    async def _prepare(self) -> None:
        """Ask it what works here, and make the namespace with its defaults."""
        connection = Connection(Address.parse(self.address), rpc_timeout=None)
        try:
            caller = connection.caller(self._namespace)
            overlayfs = await Introspection(caller).plugins(
                "type==io.containerd.snapshotter.v1,id==overlayfs"
            )
            works = any(plugin.init_error is None for plugin in overlayfs)
            self._snapshotter = "overlayfs" if works else "native"
            labels = {DEFAULT_SNAPSHOTTER_LABEL: self._snapshotter}
            with contextlib.suppress(AlreadyExistsError):  # started again
                await Namespaces(caller).create(self._namespace, labels)
        finally:
            await connection.aclose()

    async def _leave(self) -> None:
        """End everything and remove it; what cancels or interrupts this task comes after that."""
        try:
            await to_the_end(self._end)
        finally:
            if self._process is not None:
                self._process.close()

    def _end(self) -> None:
        atexit.unregister(self._end)
        home = self._home
        if home is None or self._owner != os.getpid():  # the exit of a forked child
            return
        if self._process is not None:
            grace = LEAVE_SECONDS if self._given_root is None else STOP_SECONDS
            self._process.end_blocking(grace=grace)
        self._log = home.read_log()[-KEPT_LOG:]
        self._home, self._left = None, True
        for left in remove_leftovers(home, [self._namespace]):
            logger.warning("a private containerd ended, but %s", left)


def _remove_abandoned() -> None:
    """What private daemons left whose process was killed."""
    for home in Home.abandoned():
        for left in remove_leftovers(home):
            logger.warning("an earlier private containerd was killed, and %s", left)
