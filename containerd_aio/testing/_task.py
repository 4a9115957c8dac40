"""A task: an init, its execs, and the state machine of containerd's shim with its refusals.

What the state forbids is UNKNOWN with a text, as the shim answers it. Execs end before the init does, and so do
their events. What a dead shim answers stands here too.
"""

from __future__ import annotations

import asyncio
import itertools
import signal as signals
from collections.abc import Callable, Iterator

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api._message import Message
from containerd_aio._api.containerd import events
from containerd_aio.testing._messages import time_of
from containerd_aio.testing._process import FakeProcess, Streams
from containerd_aio.testing._resources import Resources
from containerd_aio.testing._scripts import Scripts
from containerd_aio.testing._specs import args_of
from containerd_aio.testing._statuses import already_exists, not_found, precondition, unknown
from containerd_aio.types import ProcessState

CREATED, RUNNING, PAUSED, STOPPED = (
    ProcessState.CREATED,
    ProcessState.RUNNING,
    ProcessState.PAUSED,
    ProcessState.STOPPED,
)
_LAST_SIGNAL = 64

# The kernel's largest pid is 4,194,304 (2^22): no process of this machine can be taken for one of the fake's.
PIDS = itertools.count(2**22 + 1)


class FakeTask:
    """A container's task. ``publish`` sends its events, ``gone`` is called when a dead shim's task is removed."""

    def __init__(
        self,
        container_id: str,
        spec: bytes,
        streams: Streams,
        scripts: Scripts,
        publish: Callable[[str, Message], None],
        gone: Callable[[FakeTask], None],
    ) -> None:
        self.container_id = container_id
        self.resources = Resources.of(spec)
        self.execs: dict[str, FakeProcess] = {}
        self.shim_dead = False
        self.made = False  # its Create has come to an end
        self._to_restore = False
        self._scripts = scripts
        self._publish = publish
        self._gone = gone
        self._alarm: asyncio.TimerHandle | None = None
        args = args_of(spec, part="process")
        self.init = FakeProcess("", args, scripts.of(args), streams, self.ended)

    # -- processes -----------------------------------------------------------------------------------------

    def process(self, exec_id: str) -> FakeProcess:
        """Return the init for ``""``, else an exec.

        :raises GRPCError: NOT_FOUND
        """
        if self.shim_dead:
            raise GRPCError(Status.NOT_FOUND, "not found")
        if not exec_id:
            return self.init
        if exec_id not in self.execs:
            raise not_found(f"process does not exist {exec_id}")
        return self.execs[exec_id]

    def processes(self) -> Iterator[FakeProcess]:
        """All of them, the init first."""
        yield self.init
        yield from self.execs.values()

    def told_state(self, process: FakeProcess) -> ProcessState:
        """The state that Get tells: of a paused container each exec is paused, also one that has ended, or never
        ran."""
        return PAUSED if self.init.state is PAUSED else process.state

    @property
    def running(self) -> int:
        """How many of its processes run, or are frozen."""
        return sum(process.state not in (CREATED, STOPPED) for process in self.processes())

    # -- what is asked of it -------------------------------------------------------------------------------

    async def create(self, *, has_root: bool) -> int:
        """Make the init and return its pid; without a root filesystem there is nothing to run."""
        try:
            await self.init.open()
            if not has_root or not self.init.args:
                name = self.init.args[0] if self.init.args else ""
                raise unknown(
                    f'unable to start container process: exec: "{name}": executable file not found in $PATH'
                )
            self.init.refuse_to_start()
        except GRPCError as error:
            self.init.vanish()
            raise unknown(
                f"failed to create shim task: OCI runtime create failed: runc create failed: {_text(error)}"
            ) from None
        self.init.pid = next(PIDS)
        self.made = True
        return self.init.pid

    def create_restored(self) -> int:
        """Make the init of a checkpoint: nothing happens before it is started, and it has no pid."""
        self._to_restore = self.made = True
        return self.init.pid

    async def start(self, exec_id: str) -> int:
        """Start a process and return its pid."""
        self._check_shim()
        process = self.process(exec_id)
        if process.failed:
            self.kill_shim(0)  # containerd's shim panics at the second Start of an exec that failed to start
            self._check_shim()
        if process.state is not CREATED:
            raise unknown(f"cannot start a {process.state} process")
        if exec_id:
            await self._open_exec(process)
            process.pid = next(PIDS)
            started: Message = events.TaskExecStarted(
                container_id=self.container_id, exec_id=exec_id, pid=process.pid
            )
            self._publish("/tasks/exec-started", started)
        else:
            await self._restore()
            self._publish("/tasks/start", events.TaskStart(container_id=self.container_id, pid=process.pid))
        process.run()
        return process.pid

    def add_exec(self, exec_id: str, spec: bytes, streams: Streams) -> None:
        """Make an exec."""
        self._check_shim()
        if exec_id in self.execs:
            raise already_exists(f"id {exec_id}")
        if self.init.state in (PAUSED, STOPPED):
            raise unknown(f"cannot exec in a {self.init.state} state")
        args = args_of(spec)
        self.execs[exec_id] = FakeProcess(exec_id, args, self._scripts.of(args), streams, self.ended)
        self._publish(
            "/tasks/exec-added", events.TaskExecAdded(container_id=self.container_id, exec_id=exec_id)
        )

    def kill(self, exec_id: str, signal: int, *, all: bool) -> None:
        """Send a signal."""
        self._check_shim()
        process = self.process(exec_id)
        if process.state is STOPPED:
            if all and not exec_id:
                return
            raise not_found("process already finished")
        if exec_id and process.state is CREATED:
            raise precondition("process not created")
        if not process.pid:
            raise not_found("no such container")
        if signal > _LAST_SIGNAL:
            raise unknown("unknown error after kill: runc did not terminate successfully: exit status 1")
        self._signal(process, signal)
        if all and not exec_id:
            for other in self.execs.values():
                if other.state is RUNNING:
                    self._signal(other, signal)

    def pause(self) -> None:
        """Freeze it."""
        self._check_shim()
        if self.init.state is CREATED:
            raise unknown("cannot pause task in created state")
        if self.init.state is not RUNNING:
            raise unknown(f"cannot pause a {self.init.state} container")
        self.init.state = PAUSED
        self._publish("/tasks/paused", events.TaskPaused(container_id=self.container_id))

    def resume(self) -> None:
        """Thaw it; signals that came meanwhile arrive now."""
        self._check_shim()
        match self.init.state:
            case ProcessState.CREATED:
                raise unknown("cannot resume task in created state")
            case ProcessState.STOPPED:
                raise unknown("cannot resume a stopped container")
            case ProcessState.RUNNING:
                raise unknown("cannot resume a running process")
            case _:
                pass
        self.init.state = RUNNING
        self._publish("/tasks/resumed", events.TaskResumed(container_id=self.container_id))
        for process in [*self.execs.values(), self.init]:
            frozen, process.frozen = process.frozen, []
            for signal in frozen:
                self._signal(process, signal)

    def update(self, resources: bytes) -> None:
        """Change its limits."""
        self._check_shim()
        if self.init.state is STOPPED:
            raise unknown("cannot update a stopped container")
        self.resources.update(resources, self.running)

    def resize(self, exec_id: str) -> None:
        """Change the size of its terminal: nothing to be seen."""
        self._check_shim()
        if exec_id and self.process(exec_id).state is STOPPED:
            raise unknown("cannot resize a stopped container")
        self.process(exec_id)

    def check_checkpoint(self) -> None:
        """Refuse a checkpoint where the state does."""
        self._check_shim()
        if self.init.state is CREATED:
            raise unknown("cannot checkpoint a task in created state")
        if self.init.state is STOPPED:
            raise unknown("cannot checkpoint a stopped container")

    def check_delete(self, exec_id: str) -> FakeProcess:
        """Return the process to be deleted; refuse one that has not ended."""
        if self.shim_dead:
            raise unknown("failed to delete task: ttrpc: closed")
        process = self.process(exec_id)
        if process.state in (RUNNING, PAUSED):
            prefix = "" if exec_id else "failed to delete task: "
            raise unknown(f"{prefix}cannot delete a {process.state} process")
        return process

    def delete(self) -> None:
        """The init is deleted, and its execs with it."""
        if self.init.state is CREATED:
            self._publish_exit(self.init, 137)  # the shim kills it; no time is known
        self.vanish()
        deleted = events.TaskDelete(
            container_id=self.container_id,
            pid=self.init.pid,
            exit_status=self.init.code,
            exited_at=time_of(self.init.exited_at_ns),
        )
        self._publish("/tasks/delete", deleted)

    def delete_exec(self, exec_id: str) -> None:
        """An exec is deleted; no event tells."""
        self.execs.pop(exec_id).vanish()

    # -- how it ends ---------------------------------------------------------------------------------------

    def ended(self, process: FakeProcess, code: int) -> None:
        """A process has ended by itself, or was told to; does nothing for one that had ended before."""
        if process.state is STOPPED:
            return
        if process is self.init:
            for other in self.execs.values():
                if other.state is RUNNING:
                    self.ended(other, 128 + signals.SIGKILL)
        process.finish(code)
        self._publish_exit(process, code)

    def kill_shim(self, seconds: float) -> None:
        """The shim dies: nothing is known at once, and later the daemon makes an exit up."""
        if self.shim_dead:
            return
        self.shim_dead = True
        for process in self.processes():
            process.vanish(unknown("ttrpc: closed"))
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._made_up_exit)

    def vanish(self) -> None:
        """Let go of everything."""
        for process in self.processes():
            process.vanish(GRPCError(Status.NOT_FOUND, f"task {self.container_id} not found"))
        if self._alarm is not None:
            self._alarm.cancel()

    def _made_up_exit(self) -> None:
        self.init.finish(128 + signals.SIGKILL)
        self._publish_exit(self.init, self.init.code)
        self.delete()
        self._gone(self)

    def _publish_exit(self, process: FakeProcess, code: int) -> None:
        exit_ = events.TaskExit(
            container_id=self.container_id,
            id=process.exec_id or self.container_id,
            pid=process.pid,
            exit_status=code,
            exited_at=time_of(process.exited_at_ns),
        )
        self._publish("/tasks/exit", exit_)

    def _signal(self, process: FakeProcess, signal: int) -> None:
        if self.init.state is PAUSED and (process is not self.init or signal != signals.SIGKILL):
            process.frozen.append(
                signal
            )  # runc thaws a container that it is to kill, for an exec nobody does
            return
        code = process.take(signal)
        if code is not None:
            # As with a real one, the end comes a little after the signal.
            asyncio.get_running_loop().call_soon(self.ended, process, code)

    async def _restore(self) -> None:
        if not self._to_restore:
            return
        try:
            await self.init.open()
            self.init.refuse_to_start()
        except GRPCError as error:
            self.init.vanish()
            raise unknown(f"OCI runtime restore failed: {_text(error)}") from None
        self._to_restore = False
        self.init.pid = next(PIDS)

    async def _open_exec(self, process: FakeProcess) -> None:
        try:
            if self.init.state in (PAUSED, STOPPED):
                raise unknown(f"cannot exec in a {self.init.state} container")
            await process.open()
            process.refuse_to_start()
        except GRPCError as error:
            process.failed = True
            process.vanish()
            raise unknown(f"OCI runtime exec failed: exec failed: {_text(error)}") from None

    def _check_shim(self) -> None:
        if self.shim_dead:
            raise unknown("ttrpc: closed")


def _text(error: GRPCError) -> str:
    return (error.message or "").removesuffix(": unknown")
