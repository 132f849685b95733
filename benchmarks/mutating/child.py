"""Runs tests in forked children, so that torch is imported once for all of them.

    python child.py FOLDER

Reads lines of JSON, {"tests": [...], "seconds": n}, and prints the exit code of pytest in FOLDER,
minus the number of a signal. Nothing of the library is imported before the fork, so that every
child sees the files as they are.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

OPTIONS = ("-x", "-q", "-n", "0", "-m", "not slow", "-p", "no:cacheprovider")


def run(tests: list[str], seconds: float) -> int:
    """The exit code of tests within a limit of processor time, and four times that in all."""
    import pytest  # noqa: PLC0415 - its plugins are those of the folder

    limit = math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    signal.alarm(4 * limit)
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        return int(pytest.main([*OPTIONS, *tests]))


def main() -> None:
    """Answers every line."""
    folder = sys.argv[1]
    sys.dont_write_bytecode = True  # whose times are too coarse to tell changes
    sys.path[0] = str(Path(folder, "src"))
    os.chdir(folder)
    for name in ("torch", "scipy.stats", "skimage", "pydantic"):
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(run(request["tests"], request["seconds"]))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
