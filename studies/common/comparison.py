"""The comparison of all learned schemes: its tables, its figure, and one line for each scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

from benchmarks.harness.run import save
from benchmarks.harness.tables import Table, table
from studies.common.equal_budget import BUDGET, rise
from studies.common.scans import SPARSE
from studies.common.scores import baseline, reaches, there
from studies.common.study import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from studies.common.study import Found

STILL_IMPROVING = 0.1
CLEARLY = 0.5
CLASSICAL = {"fbp": "tuned FBP", "tv": "tuned TV"}
TITLES = {
    "unrolled, 10 steps": "learned gradient",
    "end to end": "deep gradient, end to end",
    "greedy": "deep gradient, greedy",
}
"""What other studies call by how it is trained."""
SHARED = {
    "method": "title",
    "PSNR (dB)": "psnr",
    "SSIM": "ssim",
    "parameters": "parameters",
    "T and T*": "calls",
}


def equal_budget(
    results: Path,
    names: Sequence[str],
    costs: str = "scheme-classical",
    least: float = BUDGET,
) -> list[Table | str]:
    """Methods without parameters, then those with the same CPU time, by PSNR.

    Args:
        results: Folder of the JSON.
        names: Parts with trainings.
        costs: Part with the costs of the methods without parameters.
        least: CPU seconds of a training that belongs to the table.
    """
    learned = _equally(results, names, least)
    rows = [
        *classical(results, costs),
        *({**row_of(one), **costs_of(results, one)} for one in learned),
    ]
    columns = {
        **SHARED,
        "CPU ms per image": "milliseconds",
        "CPU seconds of training": "seconds",
        "steps": "steps",
        "dB in the last quarter": "rise",
        "PSNR of the seeds": "seeds",
    }
    budget = max((one["cpu_budget"] for one in learned), default=BUDGET)
    note = (
        f"{budget:.0f} s are planned for each, by the time of a step in the pilot. Under-trained: "
        "below total variation, or the validation PSNR rose by more than "
        f"{STILL_IMPROVING} dB over the last quarter of the steps, where the schedule lowers the "
        "rate to zero. The filtered back-projection of FBP counts as one; that of a start does not "
        "count."
    )
    return [table(rows, columns, note)]


def longer(results: Path, names: Sequence[str]) -> list[Table | str]:
    """Methods that other studies have trained on the same problem, by PSNR."""
    rows = classical(results)
    for found in _by_psnr(results, names):
        row = row_of(found)
        row["title"] += "" if reaches(results, found) else ", under-trained"
        row["seeds"] = f"{len(found['runs'])}"
        row["minutes"] = f"{found['training_seconds'] / 60:.1f}"
        rows.append(row)
    columns = {**SHARED, "seeds": "seeds", "minutes of training": "minutes", "steps": "steps"}
    note = (
        "Minutes by the clock, of one seed, some beside other work. Under-trained: below total "
        "variation. ± over the images of the first seed."
    )
    return [table(rows, columns, note)]


def taken(results: Path, names: Sequence[str]) -> str:
    """What a practitioner should take, in two sentences."""
    found, costs = _by_psnr(results, names), read(results, "scheme-classical")
    if not found or costs is None:
        return ""
    tv = baseline(results, SPARSE)["tv"]["psnr"]
    best, run = found[0], found[0]["runs"][0]
    ahead = sum(one["psnr"] - tv > CLEARLY for one in found)
    return (
        "If there are minutes for the training, take a scheme with few shared weights that starts "
        f"from FBP and sees ∇D, as {row_of(best)['title']} does: it is {best['psnr'] - tv:.1f} dB "
        f"above tuned total variation, with {run['calls_per_image']:.0f} calls of T and T* in "
        f"place of {costs['tv']['calls']:.0f}. Without true images, or with less time, tuned total "
        f"variation remains the level to reach: only {ahead} of these {len(found)} trainings are "
        f"above it by more than {CLEARLY} dB.\n"
    )


def classical(results: Path, part: str = "scheme-classical") -> list[dict[str, Any]]:
    """The rows of FBP and total variation, tuned on validation images."""
    costs = read(results, part) or {}
    rows = []
    levels = baseline(results, costs.get("scan", SPARSE))
    for name, title in CLASSICAL.items():
        if name not in levels:
            continue
        found, cost = levels[name], costs.get(name)
        error = found["psnr_std"] / found["images"] ** 0.5
        rows.append(
            {
                "title": title,
                "psnr": f"{found['psnr']:.2f} ± {error:.2f}",
                "ssim": f"{found['ssim']:.3f}",
                "parameters": "0",
                "calls": f"{max(cost['calls'], 1):.0f}" if cost else "",
                "milliseconds": f"{cost['cpu_ms']:.3g}" if cost else "",
            }
        )
    return rows


def under_trained(results: Path, found: Found) -> bool:
    """Whether the validation PSNR still rose at the end, or total variation is better."""
    return rise(found["runs"][0]) > STILL_IMPROVING or not reaches(results, found)


def _by_psnr(results: Path, names: Sequence[str]) -> list[Found]:
    found = (one for _, one in there(results, names))
    return sorted(found, key=lambda one: one["psnr"], reverse=True)


def _equally(results: Path, names: Sequence[str], least: float = BUDGET) -> list[Found]:
    """Those that had the whole time, by PSNR."""
    return [found for found in _by_psnr(results, names) if found["cpu_budget"] >= least]


def row_of(found: Found) -> dict[str, Any]:
    """What tables say of a training: title, scores, parameters, calls, steps."""
    run = found["runs"][0]
    return {
        "title": TITLES.get(found["title"], found["title"]),
        "psnr": f"{found['psnr']:.2f} ± {run['psnr_stderr']:.2f}",
        "ssim": f"{found['ssim']:.3f}",
        "parameters": f"{run['parameters']:,}".replace(",", " "),
        "calls": f"{run['calls_per_image']:.0f}",
        "steps": f"{run['steps']}",
    }


def costs_of(results: Path, found: Found) -> dict[str, Any]:
    """Times, the last rise and the seeds of a training; the title says if it is under-trained."""
    run = found["runs"][0]
    return {
        "title": found["title"] + (", under-trained" if under_trained(results, found) else ""),
        "milliseconds": f"{run['cpu_ms_per_image']:.0f}",
        "seconds": f"{run['training_cpu_seconds']:.0f}",
        "rise": f"{rise(run):+.2f}",
        "seeds": ", ".join(f"{one['psnr']:.2f}" for one in found["runs"][1:] and found["runs"]),
    }


def draw(names: Sequence[str], others: Sequence[str]) -> Callable[[Path, Path], None]:
    """What draws PSNR against parameters and against calls of T and T*.

    Args:
        names: Results with the same CPU time, which are drawn open.
        others: Results of other studies, drawn filled.
    """

    def drawn(results: Path, path: Path) -> None:
        figure, axes = plt.subplots(1, 2, figsize=(12, 5.6), sharey=True, layout="constrained")
        for axis, key in zip(axes, ("parameters", "calls_per_image"), strict=True):
            _levels(axis, results)
            _points(axis, _by_psnr(results, others), key, filled=True)
            _points(axis, _equally(results, names), key, filled=False)
            axis.set(xscale="log")
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set(xlabel="parameters", ylabel="PSNR in dB", xlim=(1e3, 1e6))
        axes[1].set(xlabel="T and T*, for one image")
        _cost_of_tv(axes[1], results)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=8)
        figure.suptitle("Open: the same CPU time for each; filled: longer trainings", size=10)
        save(figure, path)

    return drawn


def _levels(axis: Axes, results: Path) -> None:
    levels = baseline(results, SPARSE)
    for name in CLASSICAL.keys() & levels.keys():
        style = {"tv": ":", "fbp": "--"}[name]
        axis.axhline(levels[name]["psnr"], color="#555555", lw=1, ls=style, label=CLASSICAL[name])


def _cost_of_tv(axis: Axes, results: Path) -> None:
    """A cross at the number of calls of total variation, which has a tolerance and no depth."""
    costs = read(results, "scheme-classical")
    if costs is not None:
        axis.plot([costs["tv"]["calls"]], [baseline(results, SPARSE)["tv"]["psnr"]], "kx", ms=8)


def _points(axis: Axes, found: Sequence[Found], key: str, *, filled: bool) -> None:
    colours, shapes = plt.get_cmap("tab10"), "os^Dv<>PX*dhp8H"
    for number, one in enumerate(found):
        run = one["runs"][0]
        colour = colours((number + (0 if filled else 5)) % 10)
        axis.errorbar(
            [max(run[key], 1)],
            [float(np.mean([each["psnr"] for each in one["runs"]]))],
            [run["psnr_stderr"]],
            fmt=shapes[(number + (0 if filled else 5)) % len(shapes)],
            color=colour,
            mfc=colour if filled else "white",
            ms=7,
            capsize=2,
            label=row_of(one)["title"] + ("" if filled else ", short"),
        )
