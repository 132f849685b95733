"""Freed memory that the allocator keeps while long work runs.

glibc gives every block of more than 32 MiB back to the system when it is freed, and fetches its
pages again, one fault at a time, when the next step of a training asks for it. The activations of
an unrolled scheme on images of 362² and more are such blocks.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Policy: TypeAlias = Literal["keep", "default", "foreign"]

_VARIABLE = "LEARNEDRECON_MALLOC"
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # options of mallopt
_NEVER, _LARGE = -1, 1 << 30
# What glibc's own adaption ends at: it cannot be switched on again.
_USUAL_TRIM, _USUAL_MMAP = 64 << 20, 32 << 20

_lock, _holders = threading.Lock(), 0


def policy() -> Policy:
    """The treatment of freed memory by :func:`kept_memory` in this process.

    "keep" on Linux with glibc's allocator; "default" where the environment variable
    LEARNEDRECON_MALLOC is "default" or the user has tuned glibc by MALLOC_* or GLIBC_TUNABLES;
    "foreign" with another allocator, such as jemalloc or tcmalloc, and on other systems.
    """
    if os.environ.get(_VARIABLE) == "default" or _tuned_by_user():
        return "default"
    return "keep" if _is_glibc() else "foreign"


@contextmanager
def kept_memory() -> Iterator[Policy]:
    """Lets glibc keep freed memory while the block runs, and gives it back at the end.

    Blocks may be nested: memory is given back at the end of the outermost one. Nothing changes
    where :func:`policy` is not "keep". Results do not depend on it.
    """
    found = policy()
    if found != "keep":
        yield found
        return
    _hold(1)
    try:
        yield found
    finally:
        _hold(-1)


def _hold(change: int) -> None:
    """One holder more or less; blocks of several threads may overlap."""
    global _holders
    with _lock:
        before, _holders = _holders, _holders + change
        if before == 0:
            _set(_NEVER, _LARGE)
        elif _holders == 0:
            _set(_USUAL_TRIM, _USUAL_MMAP)
            ctypes.CDLL(None).malloc_trim(0)


def _set(trim: int, mmap: int) -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, mmap)
    libc.mallopt(_TRIM_THRESHOLD, trim)


def _tuned_by_user() -> bool:
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return any(name in os.environ for name in names) or "glibc.malloc" in tunables


def _is_glibc() -> bool:
    """True if ``malloc`` of this process is that of glibc."""
    if sys.platform != "linux":
        return False
    try:
        process, libc = ctypes.CDLL(None), ctypes.CDLL("libc.so.6")
        own, theirs = (ctypes.cast(each.malloc, ctypes.c_void_p) for each in (process, libc))
        libc.gnu_get_libc_version  # noqa: B018 - musl has none
    except (OSError, AttributeError):
        return False
    return own.value == theirs.value
