"""For tests of programs that use this library: a containerd in memory.

``FakeContainerd`` needs no root and no daemon, and answers over a real socket; its docstring has an example. One
suite of cases is run against it and against real daemons, so that it stays no kinder than they are.

It has no transfers, streams and sandboxes (UNIMPLEMENTED, as far as the daemon's own would not be refused before
that). Snapshots have no files: their mounts bind an empty directory, a Diff of two is an empty layer, and neither
unpacking nor a copy writes anything there; while a task runs, a copy is what a script for ``tar`` says. A checkpoint
is containerd 1.6's, with nothing of a memory in it: what is restored begins anew. Garbage is collected only when a
Delete asks for it, and leases do not expire. A process is what its script says: it runs no program, reads stdin only to echo it, leaves no child
behind that keeps its output open, and what it was still writing when it was killed is lost. Logs go to files, not
to ``binary://``.
"""

from containerd_aio.testing._calls import Fault
from containerd_aio.testing._daemon import FakeContainerd
from containerd_aio.testing._image import FAKE_IMAGE

__all__ = ["FAKE_IMAGE", "FakeContainerd", "Fault"]
