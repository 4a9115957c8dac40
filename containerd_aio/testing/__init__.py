"""For tests of programs that use this library: a containerd in memory.

``FakeContainerd`` needs no root and no daemon, and answers over a real socket; its docstring has an example.
"""

from containerd_aio.testing._calls import Fault
from containerd_aio.testing._daemon import FakeContainerd
from containerd_aio.testing._image import FAKE_IMAGE

__all__ = ["FAKE_IMAGE", "FakeContainerd", "Fault"]
