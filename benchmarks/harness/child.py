"""A function in a process of its own, for its memory and in case that it runs out of it.

    python -m benchmarks.harness.child MODULE:FUNCTION REQUEST    # in the repository

The last line of its output is the JSON of what the function returned.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import memory

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER = Path(__file__).parents[2]
_MARK = "result: "
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "MemoryError", "bad_alloc")


def alone(
    function: str,
    arguments: dict[str, Any],
    *,
    gib: float = 20.0,
    seconds: float = 600.0,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a function returns in a fresh process.

    Args:
        function: "module:name"; returns a dictionary for JSON.
        arguments: by name, for JSON.
        gib: memory that it may allocate.
        seconds: after which it is stopped.
        environment: variables of the process beside those of this one.

    Returns:
        Its result, or {"failed": why} with "out of memory" or the last line that it wrote.
    """
    command = [sys.executable, "-m", "benchmarks.harness.child", function]
    text = json.dumps({"gib": gib, "arguments": arguments})
    try:
        done = subprocess.run(
            [*command, text],
            cwd=_FOLDER,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {seconds:.0f} s"}
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(_MARK):
            return json.loads(line.removeprefix(_MARK))
    return {"failed": _reason(done)}


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    killed = done.returncode == -9
    if killed or any(sign in done.stderr for sign in _OUT_OF_MEMORY):
        return "out of memory"
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def main() -> None:
    """Runs one function and prints its result."""
    where, text = sys.argv[1:]
    module, _, function = where.partition(":")
    request = json.loads(text)
    memory.limit(request["gib"])
    result = getattr(importlib.import_module(module), function)(**request["arguments"])
    sys.stdout.write(f"\n{_MARK}{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
