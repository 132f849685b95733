"""Which tests run a changed line, and whether one of them fails."""

from __future__ import annotations

import ast
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from tests.mutating.child import IMPORTS, NONE, PASSED, UNPATCHED
from tests.mutating.lines import TestRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mutating.changes import Mutation

ROOT = Path(__file__).parents[2]
Outcome: TypeAlias = Literal["noticed", "time is up", "survived", "no test runs it"]
EACH = 3.0
"""Seconds of the processor for one test; those that take longer as things are, are left out."""
Answer: TypeAlias = tuple[int, str, list[str]]
_OUT_OF_TIME = (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL, -signal.SIGPROF)


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
    script = ROOT / "tests" / "mutating" / "lines.py"
    command = [sys.executable, str(script), str(folder), str(request), str(output)]
    subprocess.run(command, check=True)
    return loaded(output)


def loaded(path: Path) -> dict[str, TestRun]:
    """What :mod:`tests.mutating.lines` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {test: TestRun(*run) for test, run in content.items()}


def importing(file: str, most: int = 3) -> dict[str, TestRun]:
    """The test files of a file's room that import its module, the one of its name first.

    They stand for their tests where these were not watched.
    """
    module = file.removeprefix("src/").removesuffix(".py").replace("/", ".")
    room, name = Path("tests", *module.split(".")[1:-1]), module.rsplit(".", 1)[1]
    imported = re.compile(rf"from {re.escape(module)} import|import {re.escape(module)}\b")
    found = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests" / room.parts[1]).rglob("test_*.py"))
        if path.stem == f"test_{name}" or imported.search(path.read_text(encoding="utf-8"))
    ]
    found.sort(key=lambda path: Path(path).stem != f"test_{name}")
    every = list(range(1, (ROOT / file).read_text(encoding="utf-8").count("\n") + 2))
    return {test: TestRun(5.0 + n / 8, {file: every}) for n, test in enumerate(found[:most])}


def tests_of(
    runs: dict[str, TestRun], mutation: Mutation, source: str, limit: float
) -> list[list[str]]:
    """The tests that run a changed statement: those of its room first, and the quick ones of these.

    Args:
        runs: What the tests run.
        mutation: The change.
        source: Of its file, as it is.
        limit: Seconds of those of a room, or of others; the slowest are left out.
    """
    first, last, inside = _statement(source, mutation.line)
    file = mutation.file

    def runs_it(run: TestRun) -> bool:
        lines = run.lines.get(file, [])
        return any(first <= line <= last for line in lines) if inside else bool(lines)

    room = "tests/" + file.split("/")[2] + "/"
    found = sorted((run.seconds, test) for test, run in runs.items() if runs_it(run))
    ranks = [(not test.startswith(room), "::" not in test) for _, test in found]
    groups = list[list[str]]()
    for rank in sorted(set(ranks)):
        group = [one for one, its in zip(found, ranks, strict=True) if its == rank]
        kept, total = list[str](), 0.0
        for seconds, test in group:
            if total + seconds <= limit or not (kept or groups):
                total += seconds
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
        self.passed: set[str] = set()

    def start(self, tests: list[str]) -> None:
        """Starts the processes that run tests, and collects those of some files."""
        child = ROOT / "tests" / "mutating" / "child.py"
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
        self.passed.clear()
        for tests in groups:
            while True:
                code, failed, started = self._run(mutation, tests, seconds)
                if code in {PASSED, NONE}:
                    break
                self.passed.update(set(started) - {failed})
                if self._passes_unchanged(failed, mutation.file, seconds):
                    outcome: Outcome = "time is up" if code in _OUT_OF_TIME else "noticed"
                    return Verdict(outcome, number, failed or f"exit code {code}")
        return Verdict("survived" if groups else "no test runs it", number)

    def _run(self, mutation: Mutation, tests: list[str], seconds: float) -> Answer:
        path = self.folder / mutation.file
        original = path.read_text(encoding="utf-8")
        if _statement(original, mutation.line)[2]:
            patch = {"file": mutation.file, "source": mutation.source}
            answer = self._ask("collected", tests, seconds, patch)
            if answer[0] != UNPATCHED:
                return answer
        path.write_text(mutation.source, encoding="utf-8")
        try:
            return self._ask("fresh", tests, seconds + IMPORTS)
        finally:
            path.write_text(original, encoding="utf-8")

    def _passes_unchanged(self, test: str, file: str, seconds: float) -> bool:
        """Whether a test passes with the same code put in anew; asked once for every test."""
        if "::" in test and test not in self.sound:
            path = self.folder / file
            same = ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
            patch = {"file": file, "source": same}
            code, *_ = self._ask("collected", [test], seconds, patch)
            self.sound[test] = code in {PASSED, UNPATCHED}
        return self.sound.get(test, True)

    def _ask(
        self, kind: str, tests: list[str], seconds: float, patch: dict[str, str] | None = None
    ) -> Answer:
        process = self.processes[kind]
        assert process.stdin is not None
        assert process.stdout is not None
        without = [test for test, sound in self.sound.items() if not sound]
        without += sorted(self.passed)
        request = {"tests": tests, "without": without, "seconds": seconds, "each": EACH}
        process.stdin.write(json.dumps({**request, **(patch or {})}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        return answer["code"], answer["failed"], answer["started"]
