"""The fake daemon: its socket, what runs in it, and what goes wrong in it when a test wants that."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from grpclib.const import Status

from containerd_aio.client import Client
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.events import Event
from containerd_aio.process import Process
from containerd_aio.testing._calls import Delay, Fault, Gate, Refusal
from containerd_aio.testing._containers import ContainersService
from containerd_aio.testing._content import ContentService
from containerd_aio.testing._diff import DiffService
from containerd_aio.testing._events import EXIT, EventsService, Exchange, Trouble
from containerd_aio.testing._image import FAKE_IMAGE, add_image
from containerd_aio.testing._images import ImagesService
from containerd_aio.testing._introspection import HealthService, IntrospectionService, VersionService
from containerd_aio.testing._leases import LeasesService
from containerd_aio.testing._lookup import check_running, find
from containerd_aio.testing._namespaces import NamespacesService
from containerd_aio.testing._process import FakeProcess
from containerd_aio.testing._scripts import Script, Scripts
from containerd_aio.testing._snapshots import SnapshotsService
from containerd_aio.testing._socket import Listener
from containerd_aio.testing._task import STOPPED, FakeTask
from containerd_aio.testing._tasks import Silence, TasksService
from containerd_aio.testing._world import Realm, World


class FakeContainerd:
    """A containerd in memory, on a unix socket of its own, for tests without root and without a daemon::

        async with FakeContainerd() as fake, fake.client() as client:
            fake.script(["greet"], stdout=b"hello", code=3)
            done = await client.run("fake", ["greet"])
            assert (done.stdout, done.exit_status.code) == (b"hello", 3)

            container = await client.new_container("web", image="fake", args=["serve"])
            task = await container.new_task()
            await task.start()
            fake.exit(task, code=1)
            assert (await task.wait()).code == 1

    ``Client(fake.address)`` does as well, and takes ``fifo_dir=`` where the test is not root's and uses pipes.

    It runs in the event loop of the test, and answers as containerd 1.6 does, statuses, texts and the order of
    events included. A process runs until ``exit()`` or a signal, or as a ``script()`` says; no pid is of this
    machine. Each namespace has an image from its first use on, ``docker.io/library/fake:latest`` unless ``image``
    says otherwise (``None``: none).

    **A subscriber is registered late**, ``subscribe_turns`` turns of the event loop after its call has come, and
    misses what is published before: a real one does too.

    Faults begin with the call that asks for them, and end with ``lift()`` of what it returned, or with its
    ``with`` block. Methods are named as errors name them: ``"Tasks/Get"``.
    """

    def __init__(self, *, image: str | None = FAKE_IMAGE, subscribe_turns: int = 3) -> None:
        self._image = image
        self._home = _new_home()
        self._address = str(self._home / "containerd.sock")
        self._rootfs = self._home / "rootfs"
        self._exchange = Exchange(subscribe_turns=subscribe_turns)
        self._world = World(self._exchange, self._furnish)
        self._scripts = Scripts()
        self._gate = Gate()
        self._tasks = TasksService(self._world, self._scripts)
        services = (
            ContainersService(self._world),
            ContentService(self._world),
            DiffService(self._world),
            EventsService(self._exchange),
            HealthService(),
            ImagesService(self._world),
            IntrospectionService(),
            LeasesService(self._world),
            NamespacesService(self._world),
            SnapshotsService(self._world, str(self._rootfs)),
            VersionService(),
            self._tasks,
        )
        self._listener = Listener(self._address, self._gate.before(services))

    # -- the daemon ----------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """The path of its socket."""
        return self._address

    @property
    def fifo_dir(self) -> str:
        """A directory for the clients' FIFOs: their own default is for root only."""
        return str(self._home / "fifo")

    def client(self, **options: Any) -> Client:
        """Return a ``Client`` of the fake, to be entered, with its FIFOs in ``fifo_dir``; ``options`` are the Client's."""
        options.setdefault("fifo_dir", self.fifo_dir)
        return Client(self.address, **options)

    @property
    def subscriptions(self) -> int:
        """How many Subscribe streams are open."""
        return self._exchange.open

    @property
    def calls(self) -> Counter[str]:
        """How many calls came of each method: ``fake.calls["Tasks/Get"]``. ``clear()`` begins anew."""
        return self._gate.calls

    async def called(self, method: str, times: int = 1) -> None:
        """Wait until calls of a method have come so often, since the fake began or ``calls`` was cleared."""
        await self._gate.called(method, times)

    async def start(self) -> None:
        """Listen; needed after ``die()`` only, the ``async with`` block begins so."""
        await self._listener.start()

    async def die(self) -> None:
        """End as by ``kill -9``: connections break at once, the socket's path stays and refuses. Processes run on,
        and all records are there again after ``start()``."""
        await self._listener.stop(unlink=False)

    @asynccontextmanager
    async def down(self, *, forget: bool = False) -> AsyncGenerator[None]:
        """Be stopped for the length of the block: connections break, the socket is gone, processes run on.

        With ``forget`` it comes back as containerd from 1.7 on does: tasks whose init has ended, before or
        meanwhile, are gone, and no event tells. Without it, as 1.6 does: their status is kept.
        """
        await self._listener.stop(unlink=True)
        try:
            yield
        finally:
            if forget:
                self._forget_ended()
            with anyio.CancelScope(shield=True):
                await self.start()

    async def __aenter__(self) -> Self:
        self._home.mkdir(mode=0o700)
        try:
            self._rootfs.mkdir()
            await self.start()
        except BaseException:
            shutil.rmtree(self._home)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._listener.stop(unlink=False)
            await self._end_processes()
        shutil.rmtree(self._home)

    # -- processes -----------------------------------------------------------------------------------------

    def script(
        self,
        args: Sequence[str],
        *,
        stdout: bytes = b"",
        stderr: bytes = b"",
        code: int = 0,
        seconds: float | None = 0.0,
        echo: bool = False,
        ignores: Collection[int] = (),
        fails: str = "",
    ) -> None:
        """Say what processes do, from now on, whose arguments begin with ``args``; the latest script counts.

        Such a process writes ``stdout`` and ``stderr``, which waits while nobody reads them, with ``echo`` copies
        its stdin to stdout to the end, and ends ``seconds`` later with ``code``; ``None`` is for one that runs on.
        ``ignores`` are signals that it survives. ``fails`` is why the runtime cannot start it: "no such file or
        directory".
        """
        if isinstance(args, str):
            raise InvalidArgumentError(f"args is a list of strings, not one string: [{args!r}]")
        script = Script(
            args=tuple(args),
            stdout=stdout,
            stderr=stderr,
            code=code,
            seconds=seconds,
            echo=echo,
            ignores=frozenset(ignores),
            fails=fails,
        )
        self._scripts.add(script)

    def exit(
        self, process: Process | str, code: int = 0, *, exec_id: str = "", namespace: str | None = None
    ) -> None:
        """End a running process, now, with this code.

        ``process`` is a task or an exec, or a container's id, with ``exec_id`` for one of its execs;
        ``namespace`` is needed where several have such a container. An init takes its execs with it.

        :raises LookupError: if there is no such process, or it does not run
        """
        task, found = self._found(process, exec_id, namespace)
        check_running(process, exec_id, found)
        task.ended(found, code)

    def use(
        self,
        process: Process | str,
        *,
        cpu_ns: int | None = None,
        memory: int | None = None,
        namespace: str | None = None,
    ) -> None:
        """Say what a task uses from now on: CPU time in all, and bytes of memory, for ``task.metrics()``.

        A task that was not told uses no time, and 1 MiB for each process that runs.

        :raises LookupError: if there is no such task
        """
        task, _ = self._found(process, "", namespace)
        if cpu_ns is not None:
            task.resources.cpu_ns = cpu_ns
        if memory is not None:
            task.resources.memory = memory

    async def write(
        self,
        process: Process | str,
        data: bytes,
        *,
        stderr: bool = False,
        exec_id: str = "",
        namespace: str | None = None,
    ) -> None:
        """Have a running process write to its stdout, or stderr; waits while nobody reads.

        :raises LookupError: if there is no such process, or it does not run
        """
        _, found = self._found(process, exec_id, namespace)
        check_running(process, exec_id, found)
        await found.write(data, stderr=stderr)

    # -- what goes wrong -----------------------------------------------------------------------------------

    def kill_shim(
        self, process: Process | str, *, namespace: str | None = None, seconds: float = 0.1
    ) -> None:
        """Kill the shim of a task: its processes are NOT_FOUND at once.

        ``seconds`` later a made-up exit of 137 is told of its init, and of its execs nothing (120 to 210 ms were
        seen on containerd 1.6 and 2.1).
        """
        self._found(process, "", namespace)[0].kill_shim(seconds)

    def unknown_status(
        self,
        process: Process | str,
        *,
        exec_id: str = "",
        namespace: str | None = None,
        seconds: float = 0.0,
    ) -> Fault:
        """Have the status of a process be UNKNOWN, with pid 0, as of one whose shim does not answer; ``seconds``
        is how long that takes (2 s on a real daemon)."""
        return self._tasks.silences.add(Silence(self._found(process, exec_id, namespace)[1], seconds))

    def drop_events(self, which: int | Callable[[Event], bool] = 1) -> Fault:
        """Lose events for all subscribers: the next ``which`` exits, or every event that it says True of."""
        return self._exchange.trouble(_trouble(which, copies=0))

    def double_events(self, which: int | Callable[[Event], bool] | None = None) -> Fault:
        """Send events twice: every one, the next ``which`` exits, or those that it says True of."""
        return self._exchange.trouble(_trouble(which, copies=2))

    def delay_events(self, seconds: float, which: int | Callable[[Event], bool] | None = None) -> Fault:
        """Send events late, and so perhaps out of order; which ones is as in ``double_events()``."""
        return self._exchange.trouble(_trouble(which, seconds=seconds))

    def delay(self, method: str, seconds: float) -> Fault:
        """Answer calls of a method late."""
        return self._gate.delays.add(Delay(method, seconds))

    def hold(self, method: str) -> Fault:
        """Let calls of a method wait, before anything is done, until that is lifted: ``called()`` tells of them."""
        return self._gate.hold(method)

    def refuse(
        self,
        method: str,
        status: Status = Status.UNAVAILABLE,
        message: str = "refused by the test",
        *,
        times: int | None = None,
    ) -> Fault:
        """Answer calls of a method with a status; ``times`` is how many, all if left out."""
        return self._gate.refusals.add(Refusal(method, status, message, times))

    def refuse_publish(self) -> Fault:
        """Refuse Publish, as a proxy that allows reading only: no stream can be known to be live."""
        return self.refuse("Events/Publish", Status.PERMISSION_DENIED, "publishing is not allowed")

    # -- inside --------------------------------------------------------------------------------------------

    def _furnish(self, realm: Realm) -> None:
        if self._image is not None:
            add_image(realm, self._image)

    async def _end_processes(self) -> None:
        tasks = [task for realm in self._world.realms.values() for task in realm.tasks.values()]
        lives = [process.life for task in tasks for process in task.processes() if process.life is not None]
        for task in tasks:
            task.vanish()
        if lives:
            await asyncio.wait(lives)

    def _forget_ended(self) -> None:
        for realm in self._world.realms.values():
            for name, task in list(realm.tasks.items()):
                if task.init.state is STOPPED or task.shim_dead:
                    del realm.tasks[name]
                    task.vanish()

    def _found(
        self, process: Process | str, exec_id: str, namespace: str | None
    ) -> tuple[FakeTask, FakeProcess]:
        return find(self._world, process, exec_id, namespace)


def _new_home() -> Path:
    """Return the path of a directory that is still to be made; a socket's path has 107 bytes at most."""
    name = f"aio-fake-{secrets.token_hex(8)}"
    home = Path(tempfile.gettempdir(), name)
    return home if len(str(home)) < 80 else Path("/tmp", name)


def _trouble(
    which: int | Callable[[Event], bool] | None, *, copies: int = 1, seconds: float = 0.0
) -> Trouble:
    match which:
        case None:
            return Trouble(lambda event: True, copies, seconds)
        case int():
            return Trouble(lambda event: event.topic == EXIT, copies, seconds, which)
        case _:
            return Trouble(which, copies, seconds)
