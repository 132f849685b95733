"""Damages files of every format that is read, and counts what is no value and no clear message.

    nice python -m tests.fuzz --cases 50000 -o benchmarks/results/fuzz.json

Every case has its own generator, so that ``--seed`` and the number of a case give it again.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tests.fuzz.harness import MAX_BYTES, MEMORY, SECONDS, Counts, fuzz_in_children

_CHUNK = 2000
_LIBRARIES = ("numpy", "h5py", "tifffile", "pillow", "pydicom", "safetensors", "PyYAML", "torch")


def main() -> int:
    """Runs, prints the counts, and writes them as JSON; 1 where there is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a single format")
    parser.add_argument("--keep", type=Path, help="folder for one file of each fault")
    parser.add_argument("-o", "--output", type=Path, help="JSON")
    words = parser.parse_args()
    logging.disable()  # what the libraries say of damaged files
    command = f"python -m tests.fuzz --cases {words.cases} --seed {words.seed}"
    command += f" --only {words.only}" if words.only else ""
    began, counts = time.monotonic(), Counts()
    for first in range(0, words.cases, _CHUNK):
        cases = range(first, min(first + _CHUNK, words.cases))
        counts.add(fuzz_in_children(cases, seed=words.seed, only=words.only))
        text = _result(counts, time.monotonic() - began, command)
        if words.output is not None:
            words.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    if words.keep is not None:
        words.keep.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(counts.kept.values()):
            (words.keep / f"{number}").write_bytes(content)
    return 1 if counts.faults else 0


def _result(counts: Counts, seconds: float, command: str) -> str:
    result = {
        "command": command,
        "environment": {name: version(name) for name in _LIBRARIES},
        "commit": _commit(),
        "seconds": round(seconds, 1),
        "mutations": counts.cases,
        "read": counts.read,
        "refused": counts.refused,
        "formats": dict(counts.formats),
        "tracebacks": counts.tracebacks.total(),
        "hangs": counts.hangs.total(),
        "above_memory_bound": counts.memory.total(),
        "bounds": {"seconds": SECONDS, "memory_bytes": MEMORY, "array_bytes": MAX_BYTES},
        "slowest_seconds": round(counts.slowest, 2),
        "largest_growth_bytes": counts.largest,
        "crashes_of_libraries": dict(counts.crashes),
        "faults": {**counts.tracebacks, **counts.hangs, **counts.memory},
    }
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"


@cache
def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
