"""Tables of the trainings of benchmarks/convergence.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from measuring.markdown import markdown_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Found = dict[str, Any]

INVERTIBLE = ("lpd", "split", "invertible")
GREEDY = ("end-to-end", "greedy")
PARTS = (1, 2, 4, 8)
SUBSETS = tuple(f"subsets-{parts}" for parts in PARTS)
CERTIFIED = ("equilibrium", "equilibrium-0.99", "equilibrium-0.9", "equilibrium-free", "unrolled")
LONGER = ("unrolled", "equilibrium", "equilibrium-free", "blur-unrolled", "blur-equilibrium")
COMMAND = "python benchmarks/convergence.py --only"
NUMBERS = (1, 5, 10, 20, 50, 100, 200)


def read(results: Path, name: str) -> Found | None:
    """What a part of the benchmark has written, or None."""
    path = results / f"convergence-{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def machines(names: Sequence[str]) -> Callable[[Path], str]:
    """Where and how each part was measured."""

    def render(results: Path) -> str:
        found = list(_there(results, names))
        if not found:
            return _not_measured(names)
        parts = [
            f"{name} {one['seconds']:.0f} s (load {one['load_before']:.1f} before, "
            f"commit {(one['environment']['git'] or {}).get('commit', 'unknown')[:12]})"
            for name, one in found
        ]
        first = found[0][1]
        return (
            f"`{COMMAND} NAME`: {'; '.join(parts)}. {first['cpu']}, {first['cores']} cores, "
            f"1 thread each, {first['isa']}; torch {first['environment']['packages']['torch']}.\n"
        )

    return render


def scores(names: Sequence[str]) -> Callable[[Path], str]:
    """PSNR over the seeds, beside tuned total variation, and what a training costs."""

    def render(results: Path) -> str:
        rows = []
        scan = ""
        for _, found in _there(results, names):
            scan = found["scan"]
            rows.append(_score_row(found, _level(results, scan)))
        rows += _classical_rows(results, scan)
        if not scan:
            return _not_measured(names)
        heads = ("method", "PSNR (dB)", "of the seeds", "parameters", "T and T*, one image",
                 "T and T*, training", "training (s)")  # fmt: skip
        return markdown_table(heads, rows) + _differences(results, names)

    return render


def iterations(results: Path) -> str:
    """Median PSNR at some numbers of iterations."""
    rows = []
    for _, found in _there(results, LONGER):
        curve = found["curves"]
        at = dict(zip(curve["iterations"], curve["psnr"]["median"], strict=True))
        cells = ["-∞" if at[k] is None else f"{at[k]:.2f}" for k in NUMBERS]
        rows.append((found["scan"], found["title"], *cells, _tv(results, found)))
    heads = ("scan", "method", *(f"k = {k}" for k in NUMBERS), "tuned TV, median")
    return markdown_table(heads, rows)


def certificates(results: Path) -> str:
    """What is proved, what an attack finds, and how good it is."""
    rows = []
    for _, found in _there(results, CERTIFIED):
        score = f"{found['psnr']:.2f}"
        proved = found.get("certificates")
        cells = _proved(proved[0]) if proved else ("",) * 7
        rows.append((found["title"], *cells, score))
    others = _classical_rows(results, "sparse-view CT")
    rows += [(name, *[""] * 7, psnr) for name, psnr, *_ in others]
    heads = ("method", "ε", "λ", "1 - γ", "1 - worst found", "worst found / γ",
             "stability: proved, found", "evaluations: proved, needed", "PSNR (dB)")  # fmt: skip
    return markdown_table(heads, rows)


def _not_measured(names: Sequence[str]) -> str:
    return f"Not measured yet: `{COMMAND} {' --only '.join(names)}`.\n"


def _there(results: Path, names: Sequence[str]) -> Iterator[tuple[str, Found]]:
    for name in names:
        found = read(results, name)
        if found is not None:
            yield name, found


def _level(results: Path, scan: str) -> float:
    """The PSNR of tuned total variation."""
    classical = read(results, "classical")
    return float("-inf") if classical is None else classical["scans"][scan]["tv"]["psnr"]


def _score_row(found: Found, level: float) -> tuple[str, ...]:
    """A method below ``level`` is under-trained."""
    runs = found["runs"]
    calls = [run["training_calls"] for run in runs if run["training_calls"] is not None]
    return (
        found["title"] + (", under-trained" if found["psnr"] < level else ""),
        f"{found['psnr']:.2f}",
        ", ".join(f"{run['psnr']:.2f}" for run in runs),
        f"{runs[0]['parameters']:,}".replace(",", " "),
        "" if runs[0]["calls_per_image"] is None else f"{runs[0]['calls_per_image']:.4g}",
        f"{np.mean(calls):,.0f}".replace(",", " ") if calls else "",
        f"{found['training_seconds']:.0f}",
    )


def _classical_rows(results: Path, scan: str) -> list[tuple[str, ...]]:
    classical = read(results, "classical")
    if classical is None or scan not in classical["scans"]:
        return []
    names = {"tv": "tuned TV", "fbp": "tuned FBP"}
    return [
        (text, f"{classical['scans'][scan][name]['psnr']:.2f}", "", "", "", "", "")
        for name, text in names.items()
        if name in classical["scans"][scan]
    ]


def _differences(results: Path, names: Sequence[str]) -> str:
    """Of the means to that of the first method, with the spread of the seeds."""
    present = [found for _, found in _there(results, names)]
    if len(present) < 2:
        return ""
    first, *others = present
    words = []
    for other in others:
        gap = other["psnr"] - first["psnr"]
        spread = np.hypot(
            *(one["psnr_std_of_seeds"] / len(one["runs"]) ** 0.5 for one in (first, other))
        )
        words.append(f"{other['title']} {gap:+.2f} ± {spread:.2f} dB")
    return f"\nAgainst {first['title']} (± standard error over the seeds): {'; '.join(words)}.\n"


def _tv(results: Path, found: Found) -> str:
    classical = read(results, "classical")
    if classical is None:
        return ""
    values = classical["scans"][found["scan"]]["tv"]["psnr_of_images"]
    return f"{np.median(values[: found['curves']['images']]):.2f}"


def _proved(one: Found) -> tuple[str, ...]:
    worst = one["measured_contraction"]
    if not one["holds"]:
        found = f"none, {one['measured_stability']:.3g}"
        needed = f"none, {one['solver_iterations_mean']:.0f}"
        return (f"{one['epsilon']:.3g}", f"{one['weight']:.3g}", "no certificate",
                f"{1 - worst:.3g}", "", found, needed)  # fmt: skip
    return (
        f"{one['epsilon']:.4g}",
        f"{one['weight']:.3g}",
        f"{1 - one['factor']:.3g}",
        f"{1 - worst:.3g}",
        f"{one['measured_over_proved']:.6f}",
        f"{one['stability']:.3g}, {one['measured_stability']:.3g}",
        f"{one['iterations']}, {one['solver_iterations_mean']:.0f}",
    )
