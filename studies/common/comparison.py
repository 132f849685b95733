"""The comparison of all learned schemes: its table, its figure, and one line for each scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

from benchmarks.harness.run import save
from benchmarks.harness.tables import Table, table
from studies.common.equal_budget import rise
from studies.common.scans import SPARSE
from studies.common.scores import baseline, there
from studies.common.study import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from studies.common.study import Found

STILL_IMPROVING = 0.1
CLASSICAL = {"fbp": "tuned FBP", "tv": "tuned TV"}
DEPTH = "[Depth](depth.md)"


def compared(results: Path, names: Sequence[str]) -> list[Table | str]:
    """All methods: first those without parameters, then by PSNR."""
    learned = sorted((found for _, found in there(results, names)), key=lambda found: found["psnr"])
    rows = [*classical(results), *(_row(found) for found in learned)]
    columns = {
        "method": "title",
        "PSNR (dB)": "psnr",
        "SSIM": "ssim",
        "parameters": "parameters",
        "T and T*": "calls",
        "CPU ms per image": "milliseconds",
        "CPU minutes of training": "minutes",
        "steps": "steps",
        "dB in the last quarter": "rise",
    }
    note = (
        "Under-trained: the validation PSNR rose by more than "
        f"{STILL_IMPROVING} dB over the last quarter of the steps."
    )
    return [table(rows, columns, note)]


def classical(results: Path) -> list[dict[str, Any]]:
    """The rows of FBP and total variation, tuned on validation images."""
    costs = read(results, "scheme-classical") or {}
    rows = []
    for name, title in CLASSICAL.items():
        found = baseline(results, SPARSE)[name]
        error = found["psnr_std"] / found["images"] ** 0.5
        cost = costs.get(name, {})
        rows.append(
            {
                "title": title,
                "psnr": f"{found['psnr']:.2f} ± {error:.2f}",
                "ssim": f"{found['ssim']:.3f}",
                "parameters": "0",
                "calls": f"{cost['calls']:.0f}" if cost else "",
                "milliseconds": f"{cost['cpu_ms']:.1f}" if cost else "",
            }
        )
    return rows


def under_trained(found: Found) -> bool:
    """Whether the validation PSNR still rose at the end."""
    return rise(found["runs"][0]) > STILL_IMPROVING


def _row(found: Found) -> dict[str, Any]:
    run = found["runs"][0]
    return {
        "title": found["title"] + (", under-trained" if under_trained(found) else ""),
        "psnr": f"{run['psnr']:.2f} ± {run['psnr_stderr']:.2f}",
        "ssim": f"{run['ssim']:.3f}",
        "parameters": f"{run['parameters']:,}".replace(",", " "),
        "calls": f"{run['calls_per_image']:.0f}",
        "milliseconds": f"{run['cpu_ms_per_image']:.0f}",
        "minutes": f"{run['training_cpu_seconds'] / 60:.2f}",
        "steps": f"{run['steps']}",
        "rise": f"{rise(run):+.2f}",
    }


def draw(names: Sequence[str]) -> Callable[[Path, Path], None]:
    """What draws PSNR against parameters and against calls of T and T*."""

    def drawn(results: Path, path: Path) -> None:
        figure, axes = plt.subplots(
            1, 2, figsize=(11, 5), sharey=True, layout="constrained", width_ratios=[1, 1]
        )
        found = [one for _, one in there(results, names)]
        for axis, key in zip(axes, ("parameters", "calls_per_image"), strict=True):
            _panel(axis, results, found, key)
        axes[0].set(xlabel="parameters", ylabel="PSNR in dB")
        axes[1].set(xlabel="T and T*, for one image")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right", fontsize=8)
        save(figure, path)

    return drawn


def _panel(axis: Axes, results: Path, found: Sequence[Found], key: str) -> None:
    for name, style in {"tv": ":", "fbp": "--"}.items():
        level = baseline(results, SPARSE)[name]["psnr"]
        axis.axhline(level, color="#555555", lw=1, ls=style, label=CLASSICAL[name])
    colours = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    shapes = "os^Dv<>PX*dhp8H"
    for number, one in enumerate(sorted(found, key=lambda each: -each["psnr"])):
        run = one["runs"][0]
        axis.errorbar(
            [run[key]],
            [run["psnr"]],
            [run["psnr_stderr"]],
            fmt=shapes[number % len(shapes)],
            color=colours[number % len(colours)],
            mfc="white" if under_trained(one) else None,
            ms=7,
            capsize=2,
            label=one["title"],
        )
    axis.set(xscale="log")
    axis.spines[["top", "right"]].set_visible(False)


def line(results: Path, name: str, longer: str | None) -> str:
    """What a registered scheme reached.

    Args:
        results: Folder of the JSON.
        name: Registered name.
        longer: Result of another study in which it was trained, or None.
    """
    said = []
    found = read(results, f"scheme-{name}")
    if found is not None:
        row = _row(found)
        said.append(
            f"**{row['psnr']} dB** (SSIM {row['ssim']}) with {row['parameters']} parameters after "
            f"{row['minutes']} CPU minutes, {row['steps']} steps"
            + (": under-trained" if under_trained(found) else "")
        )
    other = None if longer is None else read(results, longer)
    if other is not None:
        said.append(_elsewhere(other))
    return "; ".join(said) + ".\n" if said else "Not trained here.\n"


def _elsewhere(found: Found) -> str:
    """A sentence about a result of another study."""
    if "nmse" in found and "published" in found:
        return (
            f"NMSE **{found['nmse'][-1]:.1f} dB** after 16 layers with {found['parameters']} "
            f"parameters, {found['steps']} steps ({DEPTH}): under-trained"
        )
    if "runs" in found:
        run = found["runs"][0]
        return (
            f"**{found['psnr']:.2f} dB** on {found['scan']} with {run['parameters']} parameters, "
            f"{run['steps']} steps, {len(found['runs'])} seeds ({DEPTH})"
        ).replace("1 seeds", "1 seed")
    return (
        f"**{found['psnr']:.2f} ± {found['psnr_stderr']:.2f} dB** on 128² pixels with "
        f"{found['parameters']} parameters, {found['steps']} steps ([ellipses](ellipses.md))"
    )
