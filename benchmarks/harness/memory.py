"""Resident memory of this process, in bytes."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt


def resident() -> int:
    """What is in memory now."""
    return _status("VmRSS")


def peak() -> int:
    """The most that was in memory since :func:`forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Sets the peak to what is in memory now, where the kernel allows it."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return


def tidy() -> None:
    """Gives back what is free but still held, by Python and by glibc."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_freed() -> None:
    """Lets glibc keep the memory that is freed instead of giving it back to the system.

    Images of a few megabytes lie about where glibc begins to return memory at every call, and on a
    sandboxed machine fetching its pages again takes ten times as long as a convolution: whether a
    contestant is hit is then a matter of chance. Once it is kept, all are measured without.
    """
    if sys.platform == "linux":
        for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(option, 1 << 30)


def limit(gib: float) -> None:
    """Lets allocations beyond so many GiB fail, rather than the machine."""
    size = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _status(key: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in {_STATUS}")
