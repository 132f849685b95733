"""Memory that glibc keeps between steps, and gives back at the end."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import learnedrecon as lr
from learnedrecon import allocation
from learnedrecon.allocation import kept_memory, policy
from learnedrecon.errors import LearnedReconError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEEPS = policy() == "keep"
needs_glibc = pytest.mark.skipif(not KEEPS, reason="the allocator is not glibc's")
LARGE = 24 << 20  # numbers of four bytes: more than glibc keeps on its own


# In a process of its own: what earlier tests have freed would be taken again.
COUNTING = f"""
import resource
from pathlib import Path
import torch
from learnedrecon.allocation import kept_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

def fetched():
    torch.zeros({LARGE})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros({LARGE})
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""


def in_new_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@needs_glibc
def test_blocks_are_fetched_once() -> None:
    code = COUNTING + (
        "before = fetched()\nwith kept_memory():\n    inside = min(fetched() for _ in range(8))\n"
        "print(before, inside)"
    )
    before, inside = map(int, in_new_process(code).split())
    block = 4 * LARGE // resource.getpagesize()
    assert before > 2.5 * block
    assert inside < 2 * block


@needs_glibc
def test_memory_is_given_back_at_the_end_of_the_outermost_block() -> None:
    code = COUNTING + (
        f"with kept_memory():\n    before = resident()\n"
        f"    with kept_memory():\n        torch.zeros({LARGE})\n    inside = resident()\n"
        "print(before, inside, resident())"
    )
    before, inside, after = map(int, in_new_process(code).split())
    block = 4 * LARGE // resource.getpagesize()
    assert inside > before + 0.75 * block
    assert after < before + 0.5 * block


@needs_glibc
def test_blocks_of_threads_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(allocation, "_set", lambda trim, _: calls.append(trim))
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with kept_memory():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with kept_memory():
        thread.start()
        inside.wait(10)
    assert calls == [-1]
    leave.set()
    thread.join()
    assert calls == [-1, 64 << 20]


@needs_glibc
def test_an_error_ends_the_block() -> None:
    with pytest.raises(ZeroDivisionError), kept_memory():
        raise ZeroDivisionError
    assert allocation._holders == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEARNEDRECON_MALLOC", "default"),
        ("MALLOC_TRIM_THRESHOLD_", "1000000"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1000000"),
    ],
)
def test_what_the_user_has_chosen_stays(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert policy() == "default"
    with kept_memory() as found:
        assert found == "default"
        assert allocation._holders == 0


@needs_glibc
def test_another_allocator_is_left_alone(tmp_path: Path) -> None:
    """A library that is loaded first and has a malloc of its own, as jemalloc has."""
    source, library = tmp_path / "own.c", tmp_path / "libown.so"
    source.write_text(
        "#include <stddef.h>\nextern void *__libc_malloc(size_t);\n"
        "void *malloc(size_t n) { return __libc_malloc(n); }\n",
        encoding="ascii",
    )
    compiler = os.environ.get("CC", "cc")
    try:
        subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C compiler")
    code = "from learnedrecon.allocation import policy; print(policy())"
    assert in_new_process(code) == "keep"
    assert in_new_process(code, LD_PRELOAD=str(library)) == "foreign"


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert policy() == "foreign"


@needs_glibc
def test_long_work_keeps_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`lr.fit` and all commands that run methods do so with the option set."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(allocation, "_set", lambda trim, mmap: calls.append((trim, mmap)))
    absent = tmp_path / "absent"
    works: list[Callable[[], object]] = [
        lambda: lr.train(absent),
        lambda: lr.evaluate(absent),
        lambda: lr.compare([absent]),
        lambda: lr.certify(absent),
    ]
    for work in works:
        calls.clear()
        with pytest.raises(LearnedReconError):
            work()
        assert [trim for trim, _ in calls] == [-1, 64 << 20]
