"""The table of the methods on the brain: PSNR for each kind of mask, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness.tables import Table, table
from studies.common.brain import MASKS
from studies.common.equal_budget import rise
from studies.common.scores import there

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from studies.common.study import Found

STILL_IMPROVING = 0.1
LEVEL = "brain-wavelet_sense"


def compared(results: Path, baselines: Sequence[str], trained: Sequence[str]) -> list[Table | str]:
    """Methods without training, then those with it, each by mean PSNR.

    Args:
        results: Folder of the JSON.
        baselines: Parts without training.
        trained: Parts with trainings of the same budget.
    """
    plain = [_untrained(found) for _, found in there(results, baselines)]
    level = max((row["mean"] for row in plain if row["part"] == LEVEL), default=None)
    learned = [_trained(found, level) for _, found in there(results, trained)]
    rows = [*sorted(plain, key=_mean), *sorted(learned, key=_mean)]
    if not rows:
        return []
    columns = {
        "method": "title",
        "PSNR (dB)": "psnr",
        **{kind: kind for kind in MASKS},
        "SSIM": "ssim",
        "parameters": "parameters",
        "CPU ms per slice": "milliseconds",
        "CPU s of training": "seconds",
        "steps": "steps",
        "dB in the last quarter": "rise",
    }
    return [table(rows, columns, _note(rows))]


def _note(rows: Sequence[Found]) -> str:
    slices = max(row["slices"] for row in rows)
    budgets = {row["budget"] for row in rows if row.get("budget")}
    times = " and ".join(f"{budget:.0f} s" for budget in sorted(budgets))
    return (
        f"± is the standard error over {slices} slices of the test block, the same for every kind; "
        "of all kinds together that of the means of a slice. Budget of a training, by the time of "
        f"a step in its pilot: {times or 'none yet'}. Under-trained: the validation PSNR rose by "
        f"more than {STILL_IMPROVING} dB over the last quarter of the steps, or is below tuned "
        "wavelet-SENSE. Weights of the methods without training are tuned for every kind, those of "
        "the networks serve all four."
    )


def _mean(row: Found) -> float:
    return float(row["mean"])


def _untrained(found: Found) -> Found:
    kinds = [found["kinds"][kind] for kind in MASKS]
    psnr = np.array([one["psnr_of_images"] for one in kinds])
    costs = [one["cpu_ms_per_image"] for one in kinds]
    return {
        **_scores(found, psnr, float(np.mean([one["ssim"] for one in kinds]))),
        "part": found["part"],
        "parameters": "0",
        "milliseconds": f"{np.mean(costs):.3g}",
    }


def _trained(found: Found, level: float | None) -> Found:
    run = found["runs"][0]
    number = len(run["psnr_of_images"]) // len(MASKS) * len(MASKS)
    psnr = np.array(run["psnr_of_images"][:number]).reshape(-1, len(MASKS)).T
    row = _scores(found, psnr, run["ssim"])
    below = level is not None and row["mean"] < level
    row["title"] += ", under-trained" if below or rise(run) > STILL_IMPROVING else ""
    return {
        **row,
        "part": "",
        "budget": found["cpu_budget"],
        "parameters": f"{run['parameters']:,}".replace(",", " "),
        "milliseconds": f"{run['cpu_ms_per_image']:.3g}",
        "seconds": f"{run['training_cpu_seconds']:.0f}",
        "steps": f"{run['steps']}",
        "rise": f"{rise(run):+.2f}",
    }


def _scores(found: Found, psnr: np.ndarray, ssim: float) -> dict[str, Any]:
    """Of PSNR (kind, slice): text for every kind and for all together."""
    texts = {kind: _with_error(row) for kind, row in zip(MASKS, psnr, strict=True)}
    return {
        "title": found["title"],
        "mean": float(psnr.mean()),
        "psnr": f"**{_with_error(psnr.mean(axis=0))}**",
        "slices": psnr.shape[1],
        "ssim": f"{ssim:.3f}",
        **texts,
    }


def _with_error(values: np.ndarray) -> str:
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{values.mean():.2f} ± {error:.2f}"
