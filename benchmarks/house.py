"""The size of the house: lines, questions of kind, what an extension costs, what an import takes.

    python -m benchmarks.house

Counts this checkout and the commit before the second edition, whose files git unpacks into a
temporary folder, and writes benchmarks/results/house.json. An import is timed in fresh processes,
here and there in turn; the older source runs with the compiled kernels of this one.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from benchmarks.harness.run import Benchmark, Settings
from benchmarks.harness.tables import Table, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).parents[1]
BEFORE = "f08abb2"
FOLDERS = {
    "src": ("src",),
    "tests": ("tests",),
    "benchmarks and studies": ("benchmarks", "studies"),
}
WORDS = ("isinstance(", "getattr(", "getattr(spec", "noqa", "type: ignore")
RUNS = 7


@contextmanager
def unpacked(commit: str) -> Iterator[Path]:
    """A temporary folder with the files of a commit."""
    packed = subprocess.run(
        [shutil.which("git") or "git", "archive", commit], check=True, capture_output=True, cwd=ROOT
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def python_files(root: Path, folders: Iterable[str]) -> list[Path]:
    """Every file of Python below some folders, stubs included."""
    return sorted(p for folder in folders for p in (root / folder).rglob("*.py*") if is_source(p))


def is_source(path: Path) -> bool:
    """Whether people write it."""
    return path.suffix in {".py", ".pyi"}


def counts(root: Path) -> dict[str, Any]:
    """Files and lines of every folder, and how often some words stand in src."""
    texts = {
        name: [path.read_text(encoding="utf-8") for path in python_files(root, folders)]
        for name, folders in FOLDERS.items()
    }
    whole = "\n".join(texts["src"])
    lines = sum(text.count("\n") for text in texts["src"])
    return {
        "files": {name: len(found) for name, found in texts.items()},
        "lines": {name: sum(t.count("\n") for t in found) for name, found in texts.items()},
        "words": {word: whole.count(word) for word in WORDS},
        "per_1000_lines": {word: round(1000 * whole.count(word) / lines, 2) for word in WORDS},
    }


def extensions(root: Path) -> list[dict[str, Any]]:
    """Files and lines, without empty ones, of every example of docs/extending.md."""
    page = (root / "docs" / "extending.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    found = []
    for title, text in sections:
        blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
        if blocks:
            code = [line for block in blocks for line in block.splitlines() if line.strip()]
            found.append({"what": title, "files": len(blocks), "lines": len(code)})
    return found


def timed(root: Path, statement: str) -> float:
    """Seconds of a fresh process that runs a statement."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", statement],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        cwd=root,
    )
    return time.perf_counter() - begun


def statements(root: Path) -> dict[str, str]:
    """What is timed: an import, and the command line that the package declares."""
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    module, function = declared["project"]["scripts"]["learnedrecon"].split(":")
    command = f"import sys; sys.argv = ['learnedrecon', '--help']; from {module} import {function}"
    return {
        "import learnedrecon": "import learnedrecon",
        "learnedrecon --help": f"{command}; {function}()",
    }


def in_turn(roots: Mapping[str, Path], name: str) -> dict[str, float]:
    """The median for every root, after one run that does not count."""
    taken: dict[str, list[float]] = {when: [] for when in roots}
    for _ in range(RUNS + 1):
        for when, root in roots.items():
            taken[when].append(timed(root, statements(root)[name]))
    return {when: statistics.median(seconds[1:]) for when, seconds in taken.items()}


def with_kernels(root: Path) -> Path:
    """The same folder with the compiled kernels of this checkout."""
    place = Path("src") / "learnedrecon" / "kernels"
    for library in (ROOT / place).glob("*.so"):
        shutil.copy(library, root / place)
    return root


def size(_: Settings) -> dict[str, Any]:
    """Both counts."""
    with unpacked(BEFORE) as old:
        return {"before": {"commit": BEFORE, **counts(old)}, "now": counts(ROOT)}


def times(_: Settings) -> dict[str, Any]:
    """Seconds of both, for every statement."""
    with unpacked(BEFORE) as old:
        roots = {"before": with_kernels(old), "now": ROOT}
        return {name: in_turn(roots, name) for name in statements(ROOT)}


def cost(_: Settings) -> dict[str, Any]:
    """What an extension takes now."""
    return {"extensions": extensions(ROOT)}


def collect(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the parts found, by part."""
    return dict(found)


def tables(content: dict[str, Any]) -> list[Table]:
    """Lines, words, seconds, and the examples."""
    made, size = [], content.get("size")
    if size:
        rows = [
            (f"{kind} of {name}", *(size[when][kind][name] for when in ("before", "now")))
            for kind in ("files", "lines", "words")
            for name in size["now"][kind]
        ]
        made.append(_pairs(rows))
    if "times" in content:
        made.append(
            _pairs(
                (f"seconds of {name}", f"{taken['before']:.3f}", f"{taken['now']:.3f}")
                for name, taken in content["times"].items()
            )
        )
    if "cost" in content:
        heads = ("what", "files", "lines")
        made.append(table(content["cost"]["extensions"], dict(zip(heads, heads, strict=True))))
    return made


def _pairs(rows: Iterable[tuple[Any, ...]]) -> Table:
    heads = ("what", "before", "now")
    return table(rows, {head: partial(_entry, k) for k, head in enumerate(heads)})


def _entry(index: int, row: tuple[Any, ...]) -> object:
    return row[index]


BENCHMARK = Benchmark(
    "house", {"size": size, "cost": cost, "times": times}, tables, collect, peers=()
)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
