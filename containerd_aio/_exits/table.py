"""Which processes are followed, by their ids; every report finds its record here. No I/O.

Several records may have one key for a while: a process that was deleted and still has waits, and its successor
under creation. Each judges a report by itself. The table refers to them weakly, so that a service that runs a
million tasks in a day remembers none of them at night.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey, Verdict
from containerd_aio.types import ExitStatus, ProcessRecord, ProcessState


class ExitTable:
    """Pairs every report with the process that it is about, whichever comes first."""

    def __init__(self) -> None:
        # By container and by exec. Tuples are replaced, never changed, and lists made with list() before they are
        # walked: the collector may drop a reference between any two lines, and (before Python 3.12) at any
        # allocation of a container.
        self._by_container: dict[str, dict[str, tuple[_Reference, ...]]] = {}
        self._failure: Exception | None = None

    def __len__(self) -> int:
        containers = list(self._by_container.values())
        return sum(len(references) for processes in containers for references in list(processes.values()))

    def track(self, key: ProcessKey) -> ExitRecord:
        """Begin the record of a process that is about to be created or loaded."""
        record = ExitRecord(key)
        if self._failure is not None:
            record.fail_waits(self._failure)
        reference = _Reference(record, self._drop)
        processes = self._by_container.setdefault(key.container_id, {})
        processes[key.exec_id] = (*_living(processes.get(key.exec_id, ())), reference)
        self._by_container[key.container_id] = (
            processes  # again: the collector may have emptied and dropped it
        )
        return record

    def discard(self, record: ExitRecord) -> None:
        """Forget a record whose process was not created, or that is kept already under another."""
        record.release()
        for reference in self._references(record.key):
            if reference() is record:
                self._drop(reference)

    def created(self, record: ExitRecord, pid: int) -> Verdict:
        """Note that containerd created the process: an older one of these ids was deleted by somebody else.

        Unless by us: then its exit may still come. One that was begun later is the same process, loaded while the
        answer of its Create was under way.
        """
        later = False
        for other in self.records(record.key):
            if other is record:
                later = True
            elif other.phase not in (Phase.CREATING, Phase.DELETED):
                same = pid == other.pid if pid and other.pid else later
                if not same:
                    other.replaced()
        return record.created(pid)

    def known(self, record: ExitRecord, answer: ProcessRecord) -> ExitRecord | None:
        """Return the record that is kept already for the process that ``record`` was begun to load.

        One whose end is known is not what a shim that hangs (UNKNOWN) is about, as long as it may be another's.
        """
        unclear = answer.status.state is ProcessState.UNKNOWN
        for other in self.records(record.key):
            gone_or_unmade = other.phase in (Phase.CREATING, Phase.DELETED)
            if other is record or gone_or_unmade or other.differs(answer, record.begun):
                continue
            if not (unclear and other.settled):
                return other
        return None

    def exited(self, key: ProcessKey, pid: int, status: ExitStatus) -> list[ExitRecord]:
        """Take an exit event; return the records for which it may be made up, to be asked about."""
        return [record for record in self.records(key) if record.exited(pid, status) is Verdict.DOUBTED]

    def missing(self, record: ExitRecord, why: str) -> None:
        """Take a NOT_FOUND. Nothing else will ever tell of the execs of an init that is gone."""
        record.missing(why)
        if record.settled and not record.key.exec_id and record.phase is not Phase.DELETED:
            for lost in self.execs_of(record.key.container_id):
                lost.missing(why)

    def records(self, key: ProcessKey) -> list[ExitRecord]:
        """Return the records of these ids, oldest first."""
        return [record for reference in self._references(key) if (record := reference()) is not None]

    def execs_of(self, container_id: str) -> list[ExitRecord]:
        """Return the open execs of a container."""
        processes = self._by_container.get(container_id, {})
        return [record for record in _open(_records(processes)) if record.key.exec_id]

    def init_ended(self, container_id: str) -> bool:
        """Tell whether the init that is known for this container has ended."""
        inits = self.records(ProcessKey(container_id, ""))
        return bool(inits) and all(init.settled or init.phase is Phase.DELETED for init in inits)

    def unsettled(self) -> list[ExitRecord]:
        """Return the processes whose exit is unknown: those to ask about after a gap in the event stream.

        One that is still being created is passed over and marked: nobody can tell anything of it yet.
        """
        return _open(self._all())

    def awaited(self) -> list[ExitRecord]:
        """Return the processes that somebody waits for: those that the sweep looks after."""
        return [record for record in self.unsettled() if record.awaited]

    def fail(self, error: Exception) -> None:
        """Fail all waits, open and to come, whose exit is not known: the client closes, or has a bug."""
        self._failure = error
        for record in self._all():
            record.fail_waits(error)
            record.release()

    def _all(self) -> Iterator[ExitRecord]:
        for processes in list(self._by_container.values()):
            yield from _records(processes)

    def _references(self, key: ProcessKey) -> tuple[_Reference, ...]:
        return self._by_container.get(key.container_id, {}).get(key.exec_id, ())

    def _drop(self, reference: weakref.ref[ExitRecord]) -> None:
        assert isinstance(reference, _Reference)
        container_id, exec_id = reference.key
        processes = self._by_container.get(container_id)
        if processes is None:
            return
        kept = tuple(other for other in _living(processes.get(exec_id, ())) if other is not reference)
        if kept:
            processes[exec_id] = kept
        else:
            processes.pop(exec_id, None)
        if not processes:
            self._by_container.pop(container_id, None)


def _living(references: tuple[_Reference, ...]) -> tuple[_Reference, ...]:
    return tuple(reference for reference in references if reference() is not None)


def _records(processes: dict[str, tuple[_Reference, ...]]) -> Iterator[ExitRecord]:
    for references in list(processes.values()):
        for reference in references:
            record = reference()
            if record is not None:
                yield record


def _open(records: Iterable[ExitRecord]) -> list[ExitRecord]:
    found: list[ExitRecord] = []
    for record in records:
        if record.phase is Phase.CREATING:
            record.passed_over = True
        elif not record.settled and record.phase is not Phase.DELETED:
            found.append(record)
    return found


class _Reference(weakref.ref[ExitRecord]):
    """A weak reference that still knows the key when its record is gone."""

    __slots__ = ("key",)
    key: ProcessKey

    def __new__(cls, record: ExitRecord, gone: Callable[[weakref.ref[ExitRecord]], None]) -> _Reference:
        self = super().__new__(cls, record, gone)
        self.key = record.key
        return self
