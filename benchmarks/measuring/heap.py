"""What freed memory costs."""

from __future__ import annotations

import ctypes
import sys

_TRIM, _MMAP = -1, -3
_LIMIT = 1 << 30


def keep_freed_memory() -> None:
    """Lets glibc keep the memory that is freed instead of giving it back to the system.

    Images of a few megabytes lie about where glibc begins to return memory at every call, and on a
    sandboxed machine fetching its pages again takes ten times as long as a convolution: whether a
    contestant is hit is then a matter of chance. Once it is kept, all are measured without.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        for option in (_TRIM, _MMAP):
            library.mallopt(option, _LIMIT)
