"""Runs the scripts of the fault hunt as they are today, and prints what each finds.

    python -m tests.faults
    python -m tests.faults f03      # one of them, in the record too

The scripts were written for July's version. Each is a test now, with the number of its script in
its name: `tests/faults`.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import pytest
import typer

from benchmarks.harness.run import RESULTS
from learnedrecon.files import write_text
from learnedrecon.training.environment import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

BEFORE: Final = {
    "ct/f01": "jittered stops 0.000022, 2 of 12 lost 0.0167, one half dense 0.0120, right 0.0200",
    "ct/f02": "an exception of T(u) after a failed move",
    "ct/f03": "one dead pixel refuses the scan, a nearly dead one ruins it",
    "ct/f04": "data sets behind links are not seen",
    "ct/f05": "an exception",
    "ct/f06": "LZW and pages written one by one are called corrupt",
    "ct/f07": "an exception",
    "ct/f08": "the flat is averaged over the detector",
    "ct/f09": "no word; pairs that turn the other way have ‖T(truth) - y‖/‖y‖ = 0.97",
    "ct/f10": "'true images', and a next step that fails",
    "ct/f11": "a geometry that is written is refused",
    "ct/f12": "exceptions of torch and of Python",
    "mri/f01": "four lengths of a header are refused as a pickle",
    "mri/f02": "null is written and refused",
    "mri/f02b": "a blur run trains and cannot be evaluated",
    "mri/f03": "(2, 1, C, ky, kx) becomes (2, 2, C, ky, kx), divided by another sample's c",
    "mri/f04": "the imaginary part is dropped",
    "mri/f05": "every sample is paired with every mask",
    "mri/f06": "noise where nothing is measured; the level shrinks with the acceleration",
    "mri/f07": "an image depends on its neighbours, 47 % with unequal maps",
    "mri/f08": "414 applications of T, and a warning a batch",
    "mri/f09": "AttributeError",
    "mri/f10": "NotImplementedError",
    "mri/f11": "a traceback",
    "mri/f13": "the evaluation ends",
    "mri/f15": "complex k-space 'is not here yet'",
    "mri/f16": "advice in circles; the proposed comparison aborts",
    "mri/f17": "two channels are taken for two real images",
    "mri/f18": "check_operator passes channels that mix",
    "mri/f20": "the measurement is blamed, and c = 1",
    "mri/f22": "AttributeError; 'keep the default' of the default itself",
    "mri/f25": "2 of 8 starts fail, 2 of 6 runs abort at exit, every line is printed twice",
    "mri/f26": "the folder asks for --fresh",
}
"""What the scripts found in commit f08abb2, by folder and number, as the report of them says."""

TWO: Final = "tests/training/test_two_processes.py"
ELSEWHERE: Final = {"mri/f25": f"{TWO}::test_two_processes_begin_and_end_a_run_ten_times"}
"""Scripts whose test stood already."""


class Findings:
    """What the tests note, collected as a plugin of pytest."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps what a test found, and whether all tests of a script pass."""
        if report.when != "call" and not report.failed:
            return
        row = self.rows.setdefault(script_of(report.nodeid), {"found": [], "tests": []})
        node = report.nodeid.split("[")[0]
        row["tests"] += [node] if node not in row["tests"] else []
        row["found"] += [str(value) for key, value in report.user_properties if key == "found"]
        row["right"] = row.get("right", True) and report.passed


def script_of(node: str) -> str:
    """The script of a test, such as ``mri/f09``: both folders count from one."""
    for script, test in ELSEWHERE.items():
        if node == test:
            return script
    (number,) = re.findall(r"::test_(f\d+b?)_", node)
    return f"{'ct' if 'test_ct' in node else 'mri'}/{number}"


def main(pattern: Annotated[str, typer.Argument(help="Part of a test's name.")] = "") -> None:
    """Runs, prints and records; exit code 1 where one is not right."""
    findings, began = Findings(), time.monotonic()
    select = ["-k", pattern] if pattern else []
    places = ["tests/faults", *ELSEWHERE.values()]
    words = ["-q", "-n", "0", "--no-header", "--tb=line", "-rN", *places, *select]
    pytest.main(words, plugins=[findings])
    rows = {
        name: {"script": name, "before": before, **findings.rows[name]}
        for name, before in BEFORE.items()
        if name in findings.rows
    }
    for name, row in rows.items():
        word = "right" if row["right"] else "NOT RIGHT"
        sys.stdout.write(f"{name}: {word}: {'; '.join(row['found'])}\n")
    record(rows, time.monotonic() - began)
    if not rows or not all(row["right"] for row in rows.values()):
        raise SystemExit(1)


def record(rows: Mapping[str, Mapping[str, Any]], seconds: float) -> None:
    """Puts rows into the recorded results, beside those that were not run."""
    path = RESULTS / "faults.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    every = {row["script"]: row for row in before.get("scripts", [])} | dict(rows)
    found = environment()
    result = {
        "command": "python -m tests.faults",
        "commit": (found["git"] or {}).get("commit", "")[:7],
        "seconds": round(max(seconds, before.get("seconds", 0.0)), 1),
        "environment": {"packages": found["packages"], "python": found["python"]},
        "scripts": [every[name] for name in BEFORE if name in every],
    }
    write_text(path, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    typer.run(main)
