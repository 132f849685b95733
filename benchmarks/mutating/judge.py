"""Which tests run a changed line, and whether one of them fails."""

from __future__ import annotations

import ast
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from benchmarks.mutating.child import NONE, PASSED, UNPATCHED
from benchmarks.mutating.lines import TestRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.mutating.changes import Mutation

ROOT = Path(__file__).parents[2]
Outcome: TypeAlias = Literal["noticed", "time is up", "survived", "no test runs it"]
IMPORTS = 30.0
"""Seconds for importing the library and collecting tests anew."""
_OUT_OF_TIME = (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL)


class Verdict(NamedTuple):
    """What came of a change.

    Attributes:
        outcome: "noticed" if a test failed.
        tests: how many were to run.
        failed: The first that failed.
    """

    outcome: Outcome
    tests: int
    failed: str = ""


def watched(folder: Path, files: list[str], tests: list[str]) -> dict[str, TestRun]:
    """What every test of a repository runs of some files, by the id of the test."""
    request, output = folder / "request.json", folder / "lines.json"
    request.write_text(json.dumps({"files": files, "tests": tests}), encoding="utf-8")
    script = ROOT / "benchmarks" / "mutating" / "lines.py"
    command = [sys.executable, str(script), str(folder), str(request), str(output)]
    subprocess.run(command, check=True)
    return loaded(output)


def loaded(path: Path) -> dict[str, TestRun]:
    """What :mod:`benchmarks.mutating.lines` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {test: TestRun(*run) for test, run in content.items()}


def tests_of(
    runs: dict[str, TestRun], mutation: Mutation, source: str, limit: float
) -> list[list[str]]:
    """The tests that run a changed statement: those of its room, then others; the quick ones first.

    Args:
        runs: What the tests run.
        mutation: The change.
        source: Of its file, as it is.
        limit: Seconds that they may take together; the slowest are left out.
    """
    first, last, inside = _statement(source, mutation.line)
    file = mutation.file

    def runs_it(run: TestRun) -> bool:
        lines = run.lines.get(file, [])
        return any(first <= line <= last for line in lines) if inside else bool(lines)

    room = "tests/" + file.split("/")[2] + "/"
    found = sorted((run.seconds, test) for test, run in runs.items() if runs_it(run))
    own = [one for one in found if one[1].startswith(room)]
    groups = list[list[str]]()
    total = 0.0
    for group in (own, [one for one in found if one not in own]):
        kept = list[str]()
        for seconds, test in group:
            total += seconds
            if total <= limit or not (kept or groups):
                kept.append(test)
        groups += [kept] if kept else []
    return groups


def _statement(source: str, line: int) -> tuple[int, int, bool]:
    """First and last line of the innermost statement, and whether it is in a function."""
    found = (line, line, False)

    def visit(node: ast.AST, *, inside: bool) -> None:
        nonlocal found
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                last = child.end_lineno or child.lineno
                if child.lineno <= line <= last:
                    body = [each.lineno for each in _body(child)]
                    found = (child.lineno, min([last, *[n - 1 for n in body]]), inside)
            visit(child, inside=inside or isinstance(child, ast.FunctionDef))

    visit(ast.parse(source), inside=False)
    return found


def _body(node: ast.stmt) -> Iterator[ast.stmt]:
    yield from (each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt))


class Copy:
    """A copy of the repository in which files are changed and tests run.

    Args:
        folder: Place of the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        skipped = shutil.ignore_patterns("__pycache__")
        for name in ("src", "tests", "docs", "examples", "benchmarks", "studies"):
            shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, folder / name)
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.sound: dict[str, bool] = {}

    def start(self, tests: list[str]) -> None:
        """Starts the processes that run tests, and collects those of some files."""
        child = ROOT / "benchmarks" / "mutating" / "child.py"
        for kind, files in (("fresh", []), ("collected", tests)):
            self.processes[kind] = subprocess.Popen(
                [sys.executable, str(child), str(self.folder), kind, *files],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

    def close(self) -> None:
        """Ends them."""
        for process in self.processes.values():
            process.kill()
            process.communicate()

    def judge(self, mutation: Mutation, groups: list[list[str]], seconds: float) -> Verdict:
        """Whether the tests notice a change.

        Args:
            mutation: The change.
            groups: Ids of tests that pass without it; those of a group run together.
            seconds: Limit of processor time of every group.
        """
        number = sum(map(len, groups))
        for group in groups:
            tests = [test for test in group if self.sound.get(test, True)]
            while tests:
                code, failed = self._run(mutation, tests, seconds)
                if code in _OUT_OF_TIME:
                    return Verdict("time is up", number, failed)
                if code == PASSED:
                    break
                if self._passes_unchanged(failed, mutation.file, seconds):
                    return Verdict("noticed", number, failed or f"exit code {code}")
                tests.remove(failed)
        return Verdict("survived" if groups else "no test runs it", number)

    def _run(self, mutation: Mutation, tests: list[str], seconds: float) -> tuple[int, str]:
        path = self.folder / mutation.file
        original = path.read_text(encoding="utf-8")
        request = {"tests": tests, "seconds": seconds}
        if _statement(original, mutation.line)[2]:
            patch = {"file": mutation.file, "source": mutation.source}
            code, failed = self._ask("collected", {**request, **patch})
            if code != UNPATCHED:
                return code, failed
        path.write_text(mutation.source, encoding="utf-8")
        try:
            return self._ask("fresh", {**request, "seconds": seconds + IMPORTS})
        finally:
            path.write_text(original, encoding="utf-8")

    def _passes_unchanged(self, test: str, file: str, seconds: float) -> bool:
        """Whether a test passes with the same code put in anew; asked once for every test."""
        if "::" in test and test not in self.sound:
            path = self.folder / file
            same = ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
            request = {"tests": [test], "seconds": seconds, "file": file, "source": same}
            self.sound[test] = self._ask("collected", request)[0] in {PASSED, UNPATCHED}
        return self.sound.get(test, True)

    def _ask(self, kind: str, request: dict[str, Any]) -> tuple[int, str]:
        process = self.processes[kind]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if answer["code"] == NONE:
            raise RuntimeError(f"no test ran of {request['tests']}")
        return answer["code"], answer["failed"]
