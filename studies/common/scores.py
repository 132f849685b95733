"""Tables of trainings, beside what is not learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness.tables import Cell, Table, commit, table
from studies.common.study import not_measured, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from studies.common.study import Found

CLASSICAL = {"tv": "tuned TV", "fbp": "tuned FBP"}


def there(results: Path, names: Sequence[str]) -> Iterator[tuple[str, Found]]:
    """The methods that have been trained."""
    for name in names:
        found = read(results, name)
        if found is not None:
            yield name, found


def baseline(results: Path, scan: str) -> Found:
    """What tuned TV and FBP score on a scan; empty where that is not measured."""
    found = [read(results, name) or {"scans": {}} for name in ("classical", "torso-baselines")]
    return {key: row for one in found for key, row in one["scans"].get(scan, {}).items()}


def reaches(results: Path, found: Found) -> bool:
    """Whether a method is at least as good as tuned total variation on the same images."""
    tv = baseline(results, found["scan"]).get("tv")
    return tv is None or bool(found["psnr"] >= tv["psnr"])


def classical_rows(results: Path, scan: str) -> list[Found]:
    """A row for each method that is not learned."""
    found = baseline(results, scan)
    return [
        {"title": text, "psnr": found[name]["psnr"]}
        for name, text in CLASSICAL.items()
        if name in found
    ]


def score_table(results: Path, study: str, names: Sequence[str]) -> Table | str:
    """PSNR over the seeds, and what a training costs; below, differences to the first method."""
    methods = [found for _, found in there(results, names)]
    if not methods:
        return not_measured(study, *names)

    def title(row: Found) -> str:
        under = "runs" in row and not reaches(results, row)
        return row["title"] + (", under-trained" if under else "")

    def calls(row: Found) -> str:
        counts = [run["training_calls"] for run in row.get("runs", [])]
        counts = [count for count in counts if count is not None]
        return _spaced(f"{np.mean(counts):,.0f}") if counts else ""

    def of_run(key: str, form: str) -> Cell:
        return lambda row: (
            ""
            if "runs" not in row or row["runs"][0][key] is None
            else _spaced(form.format(row["runs"][0][key]))
        )

    columns: dict[str, Cell] = {
        "method": title,
        "PSNR (dB)": lambda row: f"{row['psnr']:.2f}",
        "of the seeds": lambda row: ", ".join(f"{run['psnr']:.2f}" for run in row.get("runs", [])),
        "parameters": of_run("parameters", "{:,}"),
        "T and T*, one image": of_run("calls_per_image", "{:.4g}"),
        "T and T*, training": calls,
        "training (s)": lambda r: f"{r['training_seconds']:.0f}" if "runs" in r else "",
    }
    rows = [*methods, *classical_rows(results, methods[0]["scan"])]
    return table(rows, columns, _differences(methods))


def _spaced(number: str) -> str:
    return number.replace(",", " ")


def _differences(methods: Sequence[Found]) -> str:
    """Of the means to that of the first method, with the spread of the seeds."""
    first, *others = methods
    words = []
    for other in others:
        spread = np.hypot(
            *(one["psnr_std_of_seeds"] / len(one["runs"]) ** 0.5 for one in (first, other))
        )
        words.append(f"{other['title']} {other['psnr'] - first['psnr']:+.2f} ± {spread:.2f} dB")
    if not words:
        return ""
    return f"Against {first['title']} (± standard error over the seeds): {'; '.join(words)}."


def machines(results: Path, study: str, names: Sequence[str]) -> str:
    """Where and how each part was measured."""
    found = list(there(results, names))
    if not found:
        return not_measured(study, *names)
    parts = [
        f"{name} {one['seconds']:.0f} s (load {one['load_before']:.1f} before, "
        f"commit {commit(one).removesuffix(' with changes')}{_added(one)})"
        for name, one in found
    ]
    first = found[0][1]
    return (
        f"`python -m studies.{study} --only NAME`: {'; '.join(parts)}. {first['cpu']}, "
        f"{first['cores']} cores, 1 thread each, {first['isa']}; "
        f"torch {first['environment']['packages']['torch']}.\n"
    )


def _added(found: Found) -> str:
    """Which seeds were trained later, and at which commit."""
    later = [run for run in found.get("runs", []) if "commit" in run]
    if not later:
        return ""
    seeds = ", ".join(str(run["seed"]) for run in later)
    return f"; seeds {seeds} by --more at {later[-1]['commit'].removesuffix(' with changes')}"
