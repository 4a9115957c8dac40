"""What a containerd leaves behind when it ends: containers, shims, mounts, cgroups and files."""

from __future__ import annotations

from containerd_aio.private_daemon._home import Home


def remove_leftovers(home: Home) -> list[str]:
    """First version."""
    import ctypes
    import os
    import signal
    import time

    socket = os.fspath(home.socket)
    for _ in range(50):
        found = False
        for pid in os.listdir("/proc"):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    arguments = file.read().split(b"\0")
            except OSError:
                continue
            if socket.encode() in arguments and int(pid) != os.getpid():
                found = True
                children = open(f"/proc/{pid}/task/{pid}/children").read().split()
                for child in (*children, pid):
                    os.kill(int(child), signal.SIGKILL)
        if not found:
            break
        time.sleep(0.05)
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4] for line in file]
    libc = ctypes.CDLL(None, use_errno=True)
    for point in reversed(points):
        if point.startswith(f"{home.path}/"):
            libc.umount2(point.encode(), 2)
    home.remove()
    return []
