"""How many changes to the mathematics do the tests notice?

    python -m tests.mutating --number 300 --minutes 60
    python -m tests.mutating --again benchmarks/results/mutations.json

The second goes on from an earlier run: what was noticed then is not judged again.

A seeded sample of changes (:mod:`tests.mutating.changes`), over the files in proportion to
their lines, and those that were missed once (:mod:`tests.mutating.named`). Each is made in a
copy of the repository. There the tests that run the changed line, the quick ones first, run until
one fails (``pytest -x -q -n 0``, without the slow ones) or the time is up. Which tests run which
lines is found first, by running them all once. What changes the text and not what is computed, or
a choice that no mathematics fixes, stands in ``mutating/equivalent.py``, each with its reason.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tests.mutating.changes import Mutation, count, mutations
from tests.mutating.counts import GROUPS, NOTICED, summary, table_and_share
from tests.mutating.judge import (
    ROOT,
    Copy,
    Verdict,
    importing,
    loaded,
    tests_of,
    watched,
)
from tests.mutating.named import PACKAGE, named

from benchmarks.harness.machine import record
from learnedrecon.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mutating.lines import TestRun

ROOMS = ("networks", "functionals", "evaluation", "schemes", "solvers", "models", "testing")
TESTS = [*(f"tests/{room}" for room in ROOMS), "tests/test_problem.py"]
OUTPUT = ROOT / "benchmarks" / "results" / "mutations.json"


def files_of() -> dict[str, str]:
    """The files, relative to the repository, each with its group: the first that names it."""
    found: dict[str, str] = {}
    for group, patterns in GROUPS.items():
        for pattern in patterns:
            for path in sorted((ROOT / PACKAGE).glob(pattern)):
                if path.name != "__init__.py":
                    found.setdefault(str(path.relative_to(ROOT)), group)
    return found


def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def sample(number: int, seed: int, groups: list[str]) -> list[tuple[str, Mutation]]:
    """Changes and the groups of their files, in an order of which every part is a sample."""
    generator, chosen = random.Random(seed), list[tuple[str, Mutation]]()
    files = {file: group for file, group in files_of().items() if not groups or group in groups}
    sizes = {file: len(_text(file).splitlines()) for file in files}
    whole = sum(sizes.values())
    for file, group in files.items():
        text, share = _text(file), number * sizes[file] / whole
        wanted = int(share) + (generator.random() < share % 1)
        every = range(count(text))
        drawn = generator.sample(every, min(len(every), wanted))
        chosen += [(group, one) for one in mutations(file, text, drawn)]
    generator.shuffle(chosen)
    return chosen


def noticed_before(results: Path | None) -> dict[tuple[str, str, str], Verdict]:
    """What was noticed in an earlier run."""
    if results is None:
        return {}
    content = json.loads(results.read_text(encoding="utf-8"))
    found = [*content["judged"], *content["named"]]
    return {
        (one["file"], one["text"], one["change"]): Verdict(
            one["outcome"], one["tests"], one["failed"]
        )
        for one in found
        if one["outcome"] in NOTICED
    }


def remarks(results: Path | None) -> dict[tuple[str, str, str], dict[str, str]]:
    """What an earlier run's file says beside the verdicts: the first one, and that when drawn."""
    if results is None:
        return {}
    return {
        (one["file"], one["text"], one["change"]): {
            name: one[name] for name in ("first", "drawn") if name in one
        }
        for one in json.loads(results.read_text(encoding="utf-8"))["judged"]
    }


def judged(
    copy: Copy,
    chosen: list[tuple[str, Mutation]],
    runs: dict[str, TestRun],
    known: dict[tuple[str, str, str], Verdict],
    limits: tuple[float, float],
) -> Iterator[dict[str, Any]]:
    """The verdict of every change, or of those before the time is up (or Ctrl-C).

    Args:
        copy: Where they are made.
        chosen: Changes and their groups or names.
        runs: What the tests run.
        known: Verdicts that hold.
        limits: Seconds of the tests of one change, and of all together.
    """
    begun = time.monotonic()
    for index, (group, one) in enumerate(chosen, start=1):
        if time.monotonic() - begun > limits[1]:
            break
        groups = tests_of(runs, one, _text(one.file), limits[0])
        try:
            verdict = known.get(one.key) or copy.judge(one, groups, limits[0])
        except KeyboardInterrupt:
            break
        place = f"{one.file}:{one.line}"
        sys.stdout.write(f"{index}/{len(chosen)} {verdict.outcome}: {place} {one.change}\n")
        where = {"group": group, "file": one.file, "line": one.line, "text": one.text}
        yield {**where, "change": one.change, **verdict._asdict()}


def main(
    *,
    number: Annotated[int, typer.Option(help="Changes in all, about.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    limit: Annotated[float, typer.Option(help="Seconds of the tests of one change.")] = 20.0,
    minutes: Annotated[float, typer.Option(help="Time for all changes of the sample.")] = 1e9,
    lines: Annotated[
        Path | None, typer.Option(help="What tests run: read if it exists, written if not.")
    ] = None,
    again: Annotated[
        Path | None, typer.Option(help="Results of an earlier run, to go on from.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only these groups of files.")] = None,
    output: Annotated[Path, typer.Option(help="Where the results go.")] = OUTPUT,
) -> None:
    """Judges a sample of changes."""
    begun, about = time.perf_counter(), record("tests.mutating")
    known, limits = noticed_before(again), (limit, 60 * minutes)
    noted = remarks(again)
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        if lines is not None and lines.exists():
            runs = loaded(lines)
        else:
            runs = watched(Path(folder), list(files_of()), TESTS)
            if lines is not None:
                write_text(lines, json.dumps(runs))
        seen = {file for run in runs.values() for file in run.lines}
        for file in files_of():
            if file in seen or (group and files_of()[file] not in group):
                continue
            for test, run in importing(file).items():
                known_lines = runs[test].lines if test in runs else {}
                runs[test] = run._replace(lines={**known_lines, **run.lines})
        copy.start(sorted({test.split("::")[0] for test in runs}))
        own, found = list[dict[str, Any]](), list[dict[str, Any]]()
        for kept, chosen in ((own, named(ROOT)), (found, sample(number, seed, group or []))):
            for one in judged(copy, chosen, runs, known, limits):
                kept.append(one | noted.get((one["file"], one["text"], one["change"]), {}))
                result = {
                    **about,
                    "seed": seed,
                    "seconds": time.perf_counter() - begun,
                    "tests_watched": len(runs),
                    **summary(found),
                    "named": [{"name": each["group"], **each} for each in own],
                }
                write_text(output, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        copy.close()
    sys.stdout.write(table_and_share(result).markdown())


if __name__ == "__main__":
    typer.run(main)
