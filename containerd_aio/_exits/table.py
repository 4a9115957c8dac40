"""Which processes are followed, by their ids; every report finds its record here. No I/O.

Several records may have one key for a while: a process that was deleted and still has waits, and its successor
under creation. Each judges a report by itself. The table refers to them weakly, so that a service that runs a
million tasks in a day remembers none of them at night.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey, Verdict
from containerd_aio.errors import ProcessLostError
from containerd_aio.types import ExitStatus


class ExitTable:
    """Pairs every report with the process that it is about, whichever comes first."""

    def __init__(self) -> None:
        self._by_key: dict[ProcessKey, tuple[_Reference, ...]] = {}
        self._failure: Exception | None = None

    def __len__(self) -> int:
        return sum(len(references) for references in self._by_key.values())

    def track(self, key: ProcessKey) -> ExitRecord:
        """Begin the record of a process that is about to be created or loaded."""
        record = ExitRecord(key)
        if self._failure is not None:
            record.fail_waits(self._failure)
        self._by_key[key] = (*self._by_key.get(key, ()), _Reference(record, self._drop))
        return record

    def discard(self, record: ExitRecord) -> None:
        """Forget a record whose process was not created, or that is kept already under another."""
        record.release()
        for reference in self._by_key.get(record.key, ()):
            if reference() is record:
                self._drop(reference)

    def created(self, record: ExitRecord, pid: int) -> Verdict:
        """Note that containerd created the process: an older one of these ids was deleted by somebody else."""
        for older in self.records(record.key):
            if older is not record and older.phase is not Phase.CREATING:
                older.lost(ProcessLostError(f"{record.key} was deleted, and created anew, by somebody else"))
        return record.created(pid)

    def known(self, record: ExitRecord, pid: int) -> ExitRecord | None:
        """Return the record that is kept already for the process that ``record`` was begun to load."""
        for other in self.records(record.key):
            gone_or_unmade = other.phase in (Phase.CREATING, Phase.DELETED)
            if other is not record and not gone_or_unmade and other.pid in (None, pid):
                return other
        return None

    def exited(self, key: ProcessKey, pid: int, status: ExitStatus) -> list[ExitRecord]:
        """Take an exit event; return the records for which it may be made up, to be asked about."""
        return [record for record in self.records(key) if record.exited(pid, status) is Verdict.DOUBTED]

    def records(self, key: ProcessKey) -> list[ExitRecord]:
        """Return the records of these ids, oldest first."""
        references = self._by_key.get(key, ())
        return [record for reference in references if (record := reference()) is not None]

    def execs_of(self, container_id: str) -> list[ExitRecord]:
        """Return the open execs of a container."""
        return [r for r in self.unsettled() if r.key.container_id == container_id and r.key.exec_id]

    def init_ended(self, container_id: str) -> bool:
        """Tell whether the init that is known for this container has ended."""
        inits = self.records(ProcessKey(container_id, ""))
        return bool(inits) and all(init.settled or init.phase is Phase.DELETED for init in inits)

    def unsettled(self) -> list[ExitRecord]:
        """Return the processes whose exit is unknown: those to ask about after a gap in the event stream.

        One that is still being created is passed over and marked: nobody can tell anything of it yet.
        """
        found: list[ExitRecord] = []
        for record in self._all():
            if record.phase is Phase.CREATING:
                record.passed_over = True
            elif not record.settled and record.phase is not Phase.DELETED:
                found.append(record)
        return found

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
        for references in tuple(self._by_key.values()):
            for reference in references:
                record = reference()
                if record is not None:
                    yield record

    def _drop(self, reference: weakref.ref[ExitRecord]) -> None:
        # Also called by the collector, between any two lines above: tuples are replaced, never changed.
        assert isinstance(reference, _Reference)
        kept = tuple(other for other in self._by_key.get(reference.key, ()) if other is not reference)
        if kept:
            self._by_key[reference.key] = kept
        else:
            self._by_key.pop(reference.key, None)


class _Reference(weakref.ref[ExitRecord]):
    """A weak reference that still knows the key when its record is gone."""

    __slots__ = ("key",)
    key: ProcessKey

    def __new__(cls, record: ExitRecord, gone: Callable[[weakref.ref[ExitRecord]], None]) -> _Reference:
        self = super().__new__(cls, record, gone)
        self.key = record.key
        return self
