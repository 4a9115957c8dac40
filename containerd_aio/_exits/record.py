"""One process and what is known of its exit: the state behind ``wait()``, with no I/O in it.

A record lives as long as somebody may still ask: the Process objects hold it, and so do its open Futures
(through their done-callbacks). Its outcome is written once. Whatever comes late, twice or for an older process
of the same ids is told apart here, by the pid, and dropped in silence.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

import anyio

from containerd_aio.errors import ProcessLostError
from containerd_aio.types import ExitStatus, ProcessRecord, ProcessState

if TYPE_CHECKING:
    from containerd_aio._exits.witness import Witness

# What the daemon makes up for the init of a shim that died: 137 where the shim's own cleanup ran, else 255
# (containerd, core/runtime/v2, cleanupAfterDeadShim). Both are real codes as well, so they are only doubted.
_MADE_UP = frozenset({137, 255})


_moments = itertools.count(1)


def moment() -> int:
    """Return a number for now, larger than all before: an answer tells what was true at some time since its asking."""
    return next(_moments)


class ProcessKey(NamedTuple):
    """Names a process within a namespace; ``exec_id`` is empty for a container's init."""

    container_id: str
    exec_id: str

    def __str__(self) -> str:
        if self.exec_id:
            return f"exec '{self.exec_id}' of container '{self.container_id}'"
        return f"task '{self.container_id}'"


class Phase(Enum):
    """How far a process has come, as far as this client knows."""

    CREATING = auto()  # Create or Exec (or the first Get of a load) has not answered: NOT_FOUND means nothing
    CREATED = auto()  # it exists, and Start was not called
    STARTING = auto()  # Start is under way
    STARTED = auto()
    DELETED = auto()  # by us, or by somebody who has made another one of its ids since


class Verdict(Enum):
    """What became of a report."""

    DROPPED = auto()  # a repetition, or of an older process of the same ids
    HELD = auto()  # cannot be judged before the pid is known
    DOUBTED = auto()  # may be made up: containerd must be asked
    SETTLED = auto()


class ExitRecord:
    """A process, its phase and pid, and who waits for its exit."""

    __slots__ = (
        "__weakref__",
        "_failure",
        "_held",
        "_pid_since",
        "_waiters",
        "begun",
        "delete_lock",
        "deleting",
        "key",
        "kill_asked",
        "outcome",
        "passed_over",
        "phase",
        "pid",
        "start_in_doubt",
        "witness",
    )

    def __init__(self, key: ProcessKey) -> None:
        self.key = key
        self.begun = moment()
        self.phase = Phase.CREATING
        self.pid: int | None = None
        self.outcome: ExitStatus | Exception | None = None
        self.witness: Witness | None = None
        self.kill_asked = False
        self.deleting = False  # our own Delete is under way: NOT_FOUND is its doing
        self.delete_lock = anyio.Lock(fast_acquire=True)  # a second Delete finds out what the first one did
        self.start_in_doubt = False  # Start got no answer: it may have to be called again
        self.passed_over = False  # a reconciling came while it was CREATING: ask once it is created
        self._held: list[tuple[int, ExitStatus]] = []
        self._waiters: set[asyncio.Future[ExitStatus]] = set()
        self._failure: Exception | None = None
        self._pid_since = 0

    @property
    def settled(self) -> bool:
        """Whether the outcome is written."""
        return self.outcome is not None

    @property
    def awaited(self) -> bool:
        """Whether anybody holds an open Future of this process."""
        return bool(self._waiters)

    @property
    def _unborn(self) -> bool:
        """Whether it is deleted just now without ever having run: its init is killed for that, which is no exit."""
        return self.deleting and self.phase is Phase.CREATED

    def wait(self) -> asyncio.Future[ExitStatus]:
        """Return a Future of the caller's own: cancelling it harms nobody else."""
        future: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        verdict = self.outcome or self._failure
        if verdict is not None:
            _resolve(future, verdict)
        else:
            self._waiters.add(future)
            future.add_done_callback(self._left)
        return future

    def created(self, pid: int) -> Verdict:
        """Note that Create or Exec answered; ``pid`` is 0 where it is known only from Start (execs, restores)."""
        self.phase = Phase.CREATED
        if not pid:
            # An exec cannot exit before it was started: what was held is of an older one.
            self._held.clear()
            return Verdict.DROPPED
        return self._learn(pid)

    def starting(self) -> None:
        """Note that Start is under way; exits whose pid cannot be judged yet are held from now on."""
        self.phase = Phase.STARTING
        self.start_in_doubt = False

    def started(self, pid: int) -> Verdict:
        """Note Start's answer, and judge by it what was held."""
        self.phase = Phase.STARTED
        self.start_in_doubt = False  # learned by asking, perhaps
        return self._learn(pid)

    def start_failed(self, error: Exception) -> None:
        """Note that the process never ran: its waits fail with ``error``, and so do later ones."""
        self._settle(error)

    def start_unanswered(self) -> None:
        """Note that Start's outcome is unknown (the connection was lost): only asking can tell.

        A task that is still created may be started again. An exec may not: where its Start was cut short, a second
        one makes the shim panic, and the container dies with it (seen on containerd 1.6.20, 1.7.24 and 2.1.9).
        """
        cut_short = self.phase is Phase.STARTING
        self.phase = Phase.STARTED
        self.start_in_doubt = not (cut_short and self.key.exec_id)

    def exited(self, pid: int, status: ExitStatus) -> Verdict:
        """Judge an exit event. A doubted one is not believed before containerd was asked."""
        if self.settled or self.phase is Phase.DELETED:
            return self._late(pid, status)
        if self._unborn:
            return Verdict.DROPPED
        if self.pid is None:
            if self.phase is Phase.CREATED:
                return Verdict.DOUBTED  # of an older exec of this id, or somebody else has started this one
            self._held.append((pid, status))
            return Verdict.HELD
        if pid not in (0, self.pid):
            return Verdict.DROPPED
        return self._believe(pid, status)

    def answered(self, answer: ProcessRecord, asked: int | None = None) -> Verdict:
        """Judge containerd's answer about its ids, which may be another process's by now.

        ``asked`` is the `moment` before the asking, just now if left out.
        """
        if self.phase in (Phase.CREATING, Phase.DELETED) or self._unborn:
            return Verdict.DROPPED
        if self.differs(answer, moment() if asked is None else asked):
            return self.replaced()
        if self.settled or answer.status.state is ProcessState.UNKNOWN:
            return Verdict.DROPPED
        if answer.status.exit_status is not None:
            # A stopped process: its own shim says so, so this is no made-up status.
            return self._settle(answer.status.exit_status)
        if answer.status.state is not ProcessState.CREATED and self.phase in (Phase.CREATED, Phase.STARTED):
            return self.started(answer.pid)  # by somebody else, or by a Start of ours that got no answer
        return Verdict.DROPPED

    def differs(self, answer: ProcessRecord, asked: int) -> bool:
        """Tell whether an answer about its ids, asked for at a `moment`, is certainly about another process.

        Two that never ran cannot be told apart: containerd shows no pid of an exec, nor of a restored task, before
        its start; and that it is not started may have been true when it was asked. The answer of a shim that hangs
        (UNKNOWN) says nothing.
        """
        if answer.status.state is ProcessState.UNKNOWN or answer.pid == self.pid:
            return False
        if self.pid is None:
            return self.settled and answer.pid != 0  # ours never ran
        unstarted = answer.status.state is ProcessState.CREATED and self._pid_since < asked
        return answer.pid != 0 or unstarted

    def missing(self, why: str) -> Verdict:
        """Judge NOT_FOUND: the kernel may still know the code; else it is lost. Nothing before it was created."""
        if self.settled or self.deleting or self.phase in (Phase.CREATING, Phase.DELETED):
            return Verdict.DROPPED
        code = None if self.witness is None else self.witness.exit_code()
        if code is not None:
            return self._settle(ExitStatus(code))
        return self._settle(ProcessLostError(f"how {self.key} ended cannot be learned any more: {why}"))

    def deleted(self, pid: int, code: int, exited_at_ns: int | None) -> Verdict:
        """Take the answer of our own Delete. One with a time of year 1 is no status (seen on 1.6 and 2.1)."""
        if pid and self.pid and pid != self.pid:
            return self.replaced()
        never_ran = self.phase is Phase.CREATED
        self.phase = Phase.DELETED
        if never_ran:
            return self._settle(ProcessLostError(f"{self.key} was deleted before it was started"))
        if exited_at_ns is None:
            return Verdict.DROPPED
        return self._settle(ExitStatus(code, exited_at_ns))

    def replaced(self) -> Verdict:
        """Note that its ids belong to another process now: whatever is done by them would hit that one."""
        self.phase = Phase.DELETED
        return self._settle(ProcessLostError(f"{self.key} was deleted, and created anew, by somebody else"))

    def lost(self, error: Exception) -> Verdict:
        """Write that the exit can no longer be learned."""
        return self._settle(error)

    def fail_waits(self, error: Exception) -> None:
        """Fail the open waits and those to come, without an outcome: the client is closed, or has a bug."""
        if self.settled:
            return
        self._failure = error
        self._wake(error)

    def release(self) -> None:
        """Close what the record holds beside memory: the witness's descriptor."""
        if self.witness is not None:
            self.witness.close()
            self.witness = None

    def _late(self, pid: int, status: ExitStatus) -> Verdict:
        # Delete's answer had no time, the event has: it is the better witness, if it is of this process.
        if self.settled or pid != self.pid or status.exited_at_ns is None:
            return Verdict.DROPPED
        return self._settle(status)

    def _learn(self, pid: int) -> Verdict:
        if pid != self.pid:
            self.pid, self._pid_since = pid, moment()
        held, self._held = self._held, []
        for held_pid, status in held:
            verdict = self.exited(held_pid, status)
            if verdict is not Verdict.DROPPED:
                return verdict
        return Verdict.DROPPED

    def _believe(self, pid: int, status: ExitStatus) -> Verdict:
        made_up = status.code in _MADE_UP and not self.kill_asked
        if pid == 0 or made_up or status.exited_at_ns is None:
            return Verdict.DOUBTED
        return self._settle(status)

    def _settle(self, outcome: ExitStatus | Exception) -> Verdict:
        if self.settled:
            return Verdict.DROPPED
        self.outcome = outcome
        self._held.clear()
        self.release()
        self._wake(outcome)
        return Verdict.SETTLED

    def _wake(self, verdict: ExitStatus | Exception) -> None:
        waiters, self._waiters = self._waiters, set()
        for future in waiters:
            future.remove_done_callback(self._left)
            if not future.done():
                _resolve(future, verdict)

    def _left(self, future: asyncio.Future[ExitStatus]) -> None:
        self._waiters.discard(future)


def _resolve(future: asyncio.Future[ExitStatus], verdict: ExitStatus | Exception) -> None:
    if isinstance(verdict, ExitStatus):
        future.set_result(verdict)
        return
    # An exception of its own for each caller: raised in several places, one would gather all their tracebacks.
    error = copy.copy(verdict)
    error.__cause__ = verdict.__cause__
    if notes := getattr(verdict, "__notes__", None):
        error.__notes__ = list(notes)  # a copy has the list itself, and what is noted on one would be on all
    future.set_exception(error)
    future.exception()  # marked as seen: a Future that nobody awaits any more stays quiet
