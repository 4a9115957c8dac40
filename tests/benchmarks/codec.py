"""What encoding and decoding cost, and that it is no more than it may.

::

    python -m tests.benchmarks.codec [--quick]

Times are of the process's CPU clock, the best of many rounds: other work on the machine makes rounds slower, never
faster. Exits 1 if a limit is missed. betterproto's own way is measured on the same classes, for comparison.

Even the CPU clock runs on, half as fast again, while a neighbour uses the other half of the core. So a fixed piece
of work goes along with every measurement, and where it takes longer than ``YARDSTICK``, the limits are longer in
proportion: the limits as they are written hold on a machine that does it in that time, or in less.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from containerd_aio._api.containerd.events import TaskExit
from containerd_aio._api.containerd.services.containers.v1 import (
    Container,
    ContainerRuntime,
    ListContainersResponse,
)
from containerd_aio._api.containerd.services.content.v1 import ReadContentResponse, WriteContentRequest
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import Timestamp
from containerd_aio._transport.codec import decode, encode

# Microseconds that ``yardstick()`` takes on the slowest machine that the limits are for, when it is quiet.
YARDSTICK = 320

NOW = Timestamp(seconds=1_763_752_829, nanos=123_456_789)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    run: Callable[[], object]
    own_way: Callable[[], object] | None = None  # betterproto's
    limit: float | None = None  # microseconds


def container(number: int) -> Container:
    """A container with 20 labels and a spec of 3 KB."""
    return Container(
        id=f"container-{number}",
        labels={f"com.example.label-{label}": f"value of label {label}" for label in range(20)},
        image="docker.io/library/busybox:latest",
        runtime=ContainerRuntime(
            name="io.containerd.runc.v2", options=ProtoAny(type_url="o", value=bytes(9))
        ),
        spec=ProtoAny(type_url="types.containerd.io/opencontainers/runtime-spec/1/Spec", value=bytes(3000)),
        snapshotter="overlayfs",
        snapshot_key=f"container-{number}",
        created_at=NOW,
        updated_at=NOW,
    )


def exit_event() -> bytes:
    event = TaskExit(container_id="web", id="web", pid=12345, exit_status=137, exited_at=NOW)
    wrapped = ProtoAny(type_url="containerd.events.TaskExit", value=encode(event))
    return encode(Envelope(timestamp=NOW, namespace="default", topic="/tasks/exit", event=wrapped))


def read_exit(data: bytes) -> tuple[object, ...]:
    envelope = decode(Envelope, data)
    event = decode(TaskExit, envelope.event.value)
    return (envelope.namespace, envelope.topic, *_fields(event))


def read_exit_its_own_way(data: bytes) -> tuple[object, ...]:
    envelope = Envelope().parse(data)
    event = TaskExit().parse(envelope.event.value)
    return (envelope.namespace, envelope.topic, *_fields(event))


def _fields(event: TaskExit) -> tuple[object, ...]:
    at = event.exited_at
    return event.container_id, event.id, event.pid, event.exit_status, at.seconds * 10**9 + at.nanos


def cases() -> Iterator[Case]:
    listed = ListContainersResponse(containers=[container(number) for number in range(100)])
    listed_data, exit_data, chunk = encode(listed), exit_event(), bytes(1 << 20)
    read_data = encode(ReadContentResponse(offset=5, data=chunk))
    yield Case(
        "ListContainersResponse, 100 containers with 20 labels: decode",
        lambda: decode(ListContainersResponse, listed_data),
        lambda: ListContainersResponse().parse(listed_data),
        limit=3000,
    )
    yield Case(
        "Envelope with a TaskExit: decode both, read the fields",
        lambda: read_exit(exit_data),
        lambda: read_exit_its_own_way(exit_data),
        limit=10,
    )
    yield Case("the same list: encode", lambda: encode(listed), lambda: bytes(listed))
    yield Case("the same event: build and encode both", exit_event)
    yield Case(
        "WriteContentRequest of 1 MiB: encode",
        lambda: encode(WriteContentRequest(ref="r", offset=5, data=chunk)),
    )
    yield Case("ReadContentResponse of 1 MiB: decode", lambda: decode(ReadContentResponse, read_data))


def yardstick() -> object:
    """Work of the kind that a codec does: slices, text, dictionaries, small numbers."""
    text, number, found = b"io.example.label=value of a label", 0, {}
    for index in range(1000):
        number = (number * 31 + text[index & 31]) & 0xFFFF
        found[number] = text[index & 7 : 20].decode()
    return found


def once(run: Callable[[], object], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        run()
    return (time.process_time() - started) / calls * 1e6


def best(run: Callable[[], object], seconds: float) -> tuple[float, float]:
    """The microseconds of the best round, and how much slower than it should be the machine was at best."""
    run()  # compiles
    calls = max(1, int(5000 / max(once(run, 1), 0.1)))  # rounds of 5 ms or one call
    lowest = slowness = float("inf")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lowest = min(lowest, once(run, calls))
        slowness = min(slowness, once(yardstick, 1) / YARDSTICK)
    return lowest, max(slowness, 1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.codec")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, no comparison")
    quick = parser.parse_args(arguments).quick
    missed = 0
    for case in cases():
        took, slowness = best(case.run, seconds=0.5 if quick else 2)
        line = f"{took:10.1f} µs   {case.name}"
        if case.own_way is not None and not quick:
            line += (
                f"; betterproto's own way takes {best(case.own_way, seconds=2)[0] / took:.0f} times as long"
            )
        if case.limit is not None:
            missed += took > case.limit * slowness
            line += f"; limit {case.limit:.0f}" + (f" x {slowness:.2f}" if slowness > 1 else "")
            line += ": MISSED" if took > case.limit * slowness else ": met"
        print(line, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
