"""How many changes to the mathematics do the tests notice?

    python -m benchmarks.mutations --number 180
    python -m benchmarks.mutations --again benchmarks/results/mutations.json

The second goes on from an earlier run: what was noticed then is not judged again.

A seeded sample of changes (:mod:`benchmarks.mutating.changes`), as many in every group of files.
Each is made in a copy of the repository, where the tests that import the changed file run until
one fails (``pytest -x -q -n 0``, without the slow ones) or the time is up. What changes the text
and not what is computed, or a choice that no mathematics fixes, stands in
``mutating/equivalent.py``, each with its reason.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from benchmarks.harness.machine import record
from benchmarks.mutating.changes import Mutation, mutations
from benchmarks.mutating.equivalent import EQUIVALENT
from learnedrecon.files import write_text

ROOT = Path(__file__).parents[1]
PACKAGE = "src/learnedrecon"
GROUPS = {
    "certificates": ("evaluation/certificate*.py",),
    "contraction": ("*/contraction.py", "*/equilibrium_splitting.py"),
    "schemes": ("schemes/*.py",),
    "solvers": ("solvers/*.py",),
    "networks": tuple(f"networks/{name}.py" for name in ("bounded", "potential", "spectral")),
    "functionals": ("functionals/*.py",),
}
Verdict: TypeAlias = Literal["noticed", "time is up", "survived"]
CERTIFICATES = "tests/evaluation/test_certificate*.py"
OUTPUT = ROOT / "benchmarks" / "results" / "mutations.json"


def files_of(patterns: tuple[str, ...]) -> list[str]:
    """Relative to the repository, in order."""
    found = {path for pattern in patterns for path in (ROOT / PACKAGE).glob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py")


def sample(number: int, seed: int, groups: list[str]) -> list[tuple[str, Mutation]]:
    """As many changes of every group in turn; a file counts for the first group that names it."""
    seen, chosen = set[str](), list[tuple[int, str, Mutation]]()
    for group, patterns in GROUPS.items():
        generator = random.Random(f"{seed} {group}")  # noqa: S311
        files = [file for file in files_of(patterns) if file not in seen]
        seen.update(files)
        every = [one for file in files for one in mutations(file, _text(file))]
        share = min(len(every), number // len(GROUPS))
        if not groups or group in groups:
            drawn = generator.sample(every, share)
            chosen += [(place, group, one) for place, one in enumerate(drawn)]
    return [(group, one) for _, group, one in sorted(chosen, key=lambda each: each[0])]


def noticed_before(results: Path | None) -> set[tuple[str, str, str]]:
    """The keys of the changes that an earlier run noticed."""
    if results is None:
        return set()
    found = json.loads(results.read_text(encoding="utf-8"))["judged"]
    return {(one["file"], one["text"], one["change"]) for one in found if one["noticed"]}


def tests_of(file: str) -> list[str]:
    """The test files of a file's room and of the certificates that import its module.

    All of the room where none does; the one of the same name first.
    """
    module = file.removeprefix("src/").removesuffix(".py").replace("/", ".")
    room = module.split(".")[1]
    imported = re.compile(rf"from {re.escape(module)} import|import {re.escape(module)}\b")
    own = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / room).glob("test_*.py"))
    proofs = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(CERTIFICATES))
    mirrored = f"tests/{room}/test_{module.rsplit('.', 1)[1]}.py"
    found = [path for path in own if path == mirrored or imported.search(_text(path))]
    found += [path for path in proofs if path not in found and imported.search(_text(path))]
    return sorted(found or own, key=lambda path: path != mirrored)


class Copy:
    """A copy of the repository in which files are changed and tests run.

    Args:
        folder: Place of the copy.
        limit: Seconds of the processor for the tests of one change; four times as many pass before
            a busy machine is given up on.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder, self.limit = folder, limit
        skipped = shutil.ignore_patterns("__pycache__")
        for name in ("src", "tests", "docs", "examples", "benchmarks", "studies"):
            shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, folder / name)
        child = ROOT / "benchmarks" / "mutating" / "child.py"
        self.process = subprocess.Popen(
            [sys.executable, str(child), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """Ends the process that runs the tests."""
        self.process.kill()
        self.process.communicate()

    def judge(self, mutation: Mutation) -> Verdict:
        """Whether the tests notice a change."""
        path = self.folder / mutation.file
        original = path.read_text(encoding="utf-8")
        path.write_text(mutation.source, encoding="utf-8")
        try:
            return self.run(tests_of(mutation.file), self.limit)
        finally:
            path.write_text(original, encoding="utf-8")

    def run(self, tests: list[str], limit: float) -> Verdict:
        """Whether tests fail in the copy, within a number of seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"tests": tests, "seconds": limit}) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        if code in {-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL}:
            return "time is up"
        return "survived" if code == 0 else "noticed"


def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def judged(
    chosen: list[tuple[str, Mutation]],
    limit: float,
    known: set[tuple[str, str, str]],
    *,
    first: bool,
) -> list[dict[str, Any]]:
    """The verdict of every change, or of those before an interruption (Ctrl-C).

    Args:
        chosen: Changes and the groups of their files.
        limit: Seconds of the processor for each.
        known: Keys of those that are known to be noticed.
        first: Whether all tests are run first as they are.

    Raises:
        SystemExit: tests fail where nothing is changed.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder), limit)
        files = {one.file for _, one in chosen if one.key not in known}
        tests = sorted({test for file in files for test in tests_of(file)})
        broken = Mutation(chosen[0][1].file, 1, "", "", "raise ImportError\n")
        if copy.judge(broken) != "noticed":
            raise SystemExit("the tests do not see the files that are changed")
        if first and copy.run(tests, 3600) != "survived":
            raise SystemExit(f"not all tests pass as they are: {' '.join(tests)}")
        for index, (group, one) in enumerate(chosen, start=1):
            try:
                verdict = "noticed" if one.key in known else copy.judge(one)
            except KeyboardInterrupt:
                break
            place = f"{one.file}:{one.line}"
            print(f"{index}/{len(chosen)} {verdict}: {place} {one.change}", flush=True)
            plain = {"group": group, "file": one.file, "line": one.line, "text": one.text}
            found.append({**plain, "change": one.change, "noticed": verdict != "survived"})
        copy.close()
    return found


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts, and the survivors with the reason of those that are equivalent."""
    keys = [(one["file"], one["text"], one["change"]) for one in found]
    survivors = [
        {**one, "equivalent": EQUIVALENT.get(key)}
        for one, key in zip(found, keys, strict=True)
        if not one["noticed"]
    ]
    real = [one for one in survivors if one["equivalent"] is None]
    groups = {one["group"]: [0, 0, 0] for one in found}
    for place, part in enumerate((found, survivors, real)):
        for one in part:
            groups[one["group"]][place] += 1
    counted = len(found) - len(survivors) + len(real)
    return {
        "changes": len(found),
        "survived": len(survivors),
        "survived_and_not_equivalent": len(real),
        "share_that_survived": len(real) / max(1, counted),
        "groups_changes_survived_real": groups,
        "survivors": survivors,
        "judged": found,
    }


def main(
    *,
    number: Annotated[int, typer.Option(help="Changes in all.")] = 180,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    limit: Annotated[float, typer.Option(help="Seconds for each, of the processor.")] = 90.0,
    first: Annotated[
        bool, typer.Option(help="Run all tests as they are first; off where CI just did.")
    ] = True,
    group: Annotated[list[str] | None, typer.Option(help="Only these groups of files.")] = None,
    again: Annotated[
        Path | None, typer.Option(help="Results of an earlier run, to go on from.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the results go.")] = OUTPUT,
) -> None:
    """Judges a sample of changes."""
    begun, about = time.perf_counter(), record("benchmarks.mutations")
    known = noticed_before(again)
    found = summary(judged(sample(number, seed, group or []), limit, known, first=first))
    seconds = time.perf_counter() - begun
    result = {**about, "seconds": seconds, "known_from_before": len(known), **found}
    write_text(output, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(f"{found['survived_and_not_equivalent']} of {found['changes']} survived")


if __name__ == "__main__":
    typer.run(main)
