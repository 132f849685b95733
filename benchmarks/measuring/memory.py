"""Resident memory of this process, in bytes."""

from __future__ import annotations

import ctypes
import gc
import resource
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


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


def limit(gib: float) -> None:
    """Lets allocations beyond so many GiB fail, rather than the machine."""
    size = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _status(key: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in {_STATUS}")
