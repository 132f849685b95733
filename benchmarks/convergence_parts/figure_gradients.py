"""The figure of the parts without training: errors of gradients, and residuals of solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

SOLVERS = {
    "Picard": ("#1f5fa8", "-"),
    "Anderson": ("#2b8a3e", "-"),
    "deepinv, its default": ("#c4561b", "-"),
    "deepinv, as in its backward pass": ("#c4561b", "--"),
}
CURVES = {
    "both": ("#2b8a3e", "o", 8, "implicit, both solves stopped"),
    "forward": ("#7a3b9c", "x", 5, "implicit, backward solve exact"),
}
UNROLLED = "#1f5fa8"
GREY = "#555555"


def draw(parts: dict[str, Any], path: Path) -> None:
    """Left ``parts["gradients"]``, right ``parts["solvers"]``; what is missing stays empty."""
    mpl.use("Agg")
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
    if "gradients" in parts:
        _gradients(left, parts["gradients"])
    if "solvers" in parts:
        _solvers(right, parts["solvers"])
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _gradients(axis: Axes, part: dict[str, Any]) -> None:
    for name, (colour, marker, size, label) in CURVES.items():
        points = part["curves"][name]
        axis.loglog(*_columns(points), marker, ms=size, mfc="none", color=colour, label=label)
    scale = part["slopes"]["both"]["error_over_residual"]
    ends = [1.5 * part["curves"]["both"][0]["residual"], 1e-13]
    slope = part["slopes"]["both"]["slope"]
    axis.loglog(
        ends, [scale * x for x in ends], ":", lw=1, color=GREY,
        label=f"{scale:.2g} × residual (fitted slope {slope:.2f})",
    )  # fmt: skip
    unrolled = [one for one in part["unrolled"] if one["residual"] > 0]
    axis.loglog(*_columns(unrolled), "-s", ms=4, lw=1, color=UNROLLED, label="unrolled Picard")
    for one in unrolled[-4:]:
        axis.annotate(
            f"{one['iterations']}", (one["residual"], one["error"]), (4, 3),
            textcoords="offset points", size=7.5, color=UNROLLED,
        )  # fmt: skip
    level = part["differences"]["agreement"]
    axis.axhline(level, ls="--", lw=1, color=GREY)
    axis.annotate(
        "finite differences agree to here", (ends[0], level), (0, 3), size=7.5, color=GREY,
        textcoords="offset points", ha="left",
    )  # fmt: skip
    axis.invert_xaxis()
    axis.set(xlabel="relative residual at the stop", ylabel="relative error of the gradient")
    axis.set_title(f"Gradient of all {part['parameters']} parameters, {part['work']}", size=10)
    axis.legend(frameon=False, fontsize=8, loc="lower left")


def _columns(points: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    return [one["residual"] for one in points], [one["error"] for one in points]


def _solvers(axis: Axes, part: dict[str, Any]) -> None:
    size, rows = list(part["batches"].items())[-1]
    low = min(part["tolerances"])
    for name, (colour, style) in SOLVERS.items():
        if name not in rows:
            continue
        history = rows[name]["history"]
        axis.loglog(
            history["evaluations"], history["residual"], style, lw=1.4, color=colour, label=name
        )
    for tolerance in part["tolerances"]:
        axis.axhline(tolerance, lw=0.5, color="#cccccc", zorder=0)
    axis.set(xlabel="evaluations of f", ylabel="relative residual", xlim=(1, None))
    axis.set_ylim(bottom=low / 3)
    axis.set_title(f"Fixed point of one map, {part['work']}, worst of {size}", size=10)
    axis.legend(frameon=False, fontsize=8, loc="lower left")
