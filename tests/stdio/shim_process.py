"""A shim in a process of its own, which opens FIFOs as the real one does: blocking.

``python shim_process.py write BYTES PATH...`` writes the same bytes to each path, ended when all are written;
``hold PATH`` writes a line and leaves a child behind that keeps the output open; ``cat STDIN STDOUT`` copies.
A line on standard output says how far it is, and ``cat`` waits for one on standard input to let its own end of
stdin go, as CloseIO would.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading


def pattern(size: int) -> bytes:
    """Bytes in which any loss or change of order shows."""
    return random.Random(size).randbytes(size)


def open_output(path: str) -> int:
    descriptor = os.open(path, os.O_WRONLY)
    os.open(path, os.O_RDONLY)  # kept: a client that goes must not bring SIGPIPE
    return descriptor


def write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[:4096]) :]


def close_when_told(own: int) -> None:
    sys.stdin.readline()
    os.close(own)


def main(kind: str, *args: str) -> None:
    if kind == "write":
        outputs = [open_output(path) for path in args[1:]]
        os.write(1, b"started\n")
        data = pattern(int(args[0]))
        threads = [threading.Thread(target=write, args=(output, data)) for output in outputs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    elif kind == "hold":
        output = open_output(args[0])
        os.write(1, b"started\n")
        write(output, b"the parent's last words")
        os.set_inheritable(output, True)
        child = subprocess.Popen(["sleep", "60"], stdout=output, close_fds=False)
        os.write(1, b"%d\n" % child.pid)
    else:
        source, own = os.open(args[0], os.O_RDONLY), os.open(args[0], os.O_WRONLY)
        output = open_output(args[1])
        os.write(1, b"started\n")
        threading.Thread(target=close_when_told, args=(own,), daemon=True).start()
        while chunk := os.read(source, 4096):
            write(output, chunk)


if __name__ == "__main__":
    main(*sys.argv[1:])
