"""Figures of curves: over the iterations of a method, and over the steps of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learnedrecon.errors import DataError, describe
from learnedrecon.evaluation.canvas import canvas, write_png
from learnedrecon.evaluation.iterations import IterationCurves, quartiles
from learnedrecon.training.spec import BestSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

_LABELS = {
    "psnr": "PSNR [dB]",
    "change": "‖u$_{k+1}$ − u$_k$‖ / ‖u$_k$‖",
    "data_residual": "‖T(u$_k$) − y‖ / ‖y‖",
}
_FEW = 30


def draw_iterations(
    curves: Sequence[IterationCurves], target: str | os.PathLike[str], *, dpi: int = 110
) -> None:
    """Writes a PNG with PSNR, change and data residual over the iterations.

    A line is the median over the images, its band lies between the quartiles, and a dot marks the
    iterations that a scheme was trained for. A line has gaps where the median is not finite.

    Args:
        curves: Curves of one or several methods.
        target: Path of the file, written atomically.
        dpi: Dots per inch; the figure is 10 x 3.4 inches.

    Raises:
        DataError: There are no curves.
        FileFormatError: The file cannot be written.
    """
    if not curves:
        raise DataError(
            describe(
                expected="curves to draw",
                found="none",
                fix="give the curves of one or several methods",
            )
        )
    sheet = canvas(10, 3.4, dpi)
    axes = sheet.figure.subplots(1, len(_LABELS), squeeze=False)[0]
    for axis, (name, label) in zip(axes, _LABELS.items(), strict=True):
        for each in curves:
            _line(axis, each, name)
        axis.set_xlabel("iteration k")
        axis.set_title(label, fontsize=10)
        axis.grid(alpha=0.3)
        if name != "psnr":
            axis.set_yscale("log")
    counts = {each.images for each in curves}
    axes[0].legend(
        fontsize=8,
        title=f"median and quartiles, {' or '.join(map(str, sorted(counts)))} images",
        title_fontsize=7,
    )
    write_png(sheet, target)


def draw_training(
    records: Sequence[Mapping[str, Any]],
    target: str | os.PathLike[str],
    *,
    best: BestSpec | None = None,
    dpi: int = 110,
) -> None:
    """Writes a PNG with loss, validation and learning rate over the steps of a training.

    The drawn validation is the number that selects the best weights, such as the PSNR; a dot marks
    its best step.

    Args:
        records: Records of ``metrics.jsonl``: ``step``, ``event`` and numbers.
        target: Path of the file, written atomically.
        best: Name and direction of that number; the largest PSNR unless given.
        dpi: Dots per inch; the figure is 10 x 3.4 inches.

    Raises:
        FileFormatError: The file cannot be written.
    """
    best = BestSpec() if best is None else best
    label = "PSNR of the validation [dB]" if best.metric == "psnr" else best.metric
    shown = {
        "loss": ("train", "loss"),
        best.metric: ("validation", label),
        "learning_rate": ("train", "learning rate"),
    }
    sheet = canvas(10, 3.4, dpi)
    axes = sheet.figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, (name, (event, label)) in zip(axes, shown.items(), strict=True):
        steps, values = series(records, event, name)
        axis.plot(steps, values, marker="." if len(steps) < _FEW else "", linewidth=1)
        axis.set_xlabel("step")
        axis.set_title(label, fontsize=10)
        axis.grid(alpha=0.3)
        if name == "loss" and len(values) and np.nanmin(values) > 0:
            axis.set_yscale("log")
    found = best_step(records, best.metric, best.mode)
    if found is not None:
        step, value = found
        axes[1].plot(step, value, "o", markersize=6, label=f"best: {value:.4g}, step {step}")
        axes[1].legend(fontsize=8)
    write_png(sheet, target)


def series(
    records: Sequence[Mapping[str, Any]], event: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The steps and the values of a number in the records of a training.

    Args:
        records: Records of ``metrics.jsonl``.
        event: "train" or "validation".
        name: Name of the number, such as "loss"; null in the records becomes NaN.
    """
    found = [(r["step"], r[name]) for r in records if r["event"] == event and name in r]
    steps = np.array([step for step, _ in found], dtype=int)
    return steps, np.array([np.nan if v is None else v for _, v in found], dtype=float)


def best_step(
    records: Sequence[Mapping[str, Any]], name: str = "psnr", mode: str = "max"
) -> tuple[int, float] | None:
    """The step of the best validation and its value; None without validations.

    Args:
        records: Records of ``metrics.jsonl``.
        name: Name of the number that is compared.
        mode: "max" where the largest is best, or "min".
    """
    steps, values = series(records, "validation", name)
    if not np.isfinite(values).any():
        return None
    place = int(np.nanargmax(values) if mode == "max" else np.nanargmin(values))
    return int(steps[place]), float(values[place])


def _line(axis: Axes, curves: IterationCurves, name: str) -> None:
    low, middle, high = (_shown(q, name) for q in quartiles(curves.named()[name]))
    numbers = curves.numbers
    (line,) = axis.plot(numbers, middle, label=f"{curves.method} (trained: {curves.trained})")
    axis.fill_between(numbers, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    place = curves.trained - int(numbers[0])
    if 0 <= place < len(numbers):
        axis.plot(numbers[place], middle[place], "o", color=line.get_color(), markersize=5)


def _shown(values: np.ndarray, name: str) -> np.ndarray:
    """The values that can be drawn: finite, and positive on a logarithmic axis."""
    hidden = ~np.isfinite(values) | ((values <= 0) & (name != "psnr"))
    return np.where(hidden, np.nan, values)
