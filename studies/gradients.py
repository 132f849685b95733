"""Claim: the implicit gradient is as good as its two solves, and JacobianFree is something else.

    python -m studies.certificates --only equilibrium-0.9     # its weights are needed
    python -m studies.gradients                               # studies/results/gradients.json

The figure docs/figures/gradients.png has the residuals of studies/solvers.py beside the errors.
"""

from __future__ import annotations

import copy
import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import torch
import typer
from torch import Tensor, nn

from benchmarks.harness.fit import straight_line
from benchmarks.harness.run import save
from benchmarks.harness.tables import Table
from learnedrecon.problem import Problem
from learnedrecon.schemes.backward import Checkpointed
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit, JacobianFree
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.step import Repeat, Step
from learnedrecon.solvers.anderson import Anderson
from studies import solvers
from studies.common.differences import finite_differences
from studies.common.fitting import trained_equilibrium
from studies.common.fixed_points import fixed_point_of, part_of, work_of
from studies.common.study import Study, not_measured, read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from learnedrecon.problem import InverseProblem
    from studies.common.study import Job

TOLERANCES = tuple(10.0**-k for k in range(1, 11))
REFERENCE = 1e-13
BACKWARD = 1e-12
UNROLLED = (1, 3, 10, 30, 100, 300)
FREE = (1, 2, 5, 10, 20, 50)
LIMIT = 3000
CURVES = {
    "both": ("#2b8a3e", "o", 8, "implicit, both solves stopped"),
    "forward": ("#7a3b9c", "x", 5, "implicit, backward solve exact"),
}
BLUE = "#1f5fa8"
GREY = "#555555"


@dataclass(frozen=True, eq=False)
class Setting:
    """What is differentiated: the squared error of the image, by all parameters, in float64.

    Attributes:
        model: in double precision, whose scheme is a FixedPoint.
        problem: what the scheme sees.
        start: z_0.
        truth: the image, in the unit of the scheme's.
    """

    model: Iterative
    problem: Problem
    start: Any
    truth: Tensor

    @staticmethod
    def of(model: Iterative, problem: InverseProblem, truth: Tensor) -> Setting:
        """The setting in double precision; the model stays as it is."""
        twin = copy.deepcopy(model).double().eval()
        with torch.no_grad():
            scaled, c = twin.scaled(replace(problem, data=problem.data.double()))
            return Setting(twin, scaled, twin.initial(scaled), truth.double() / c)

    @property
    def step(self) -> Step[Any]:
        """Λ."""
        return fixed_point_of(self.model).step

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Of Λ."""
        return [p for p in self.step.parameters() if p.requires_grad]

    def solver(self, tolerance: float) -> Anderson:
        """Of the fixed point and of the backward pass."""
        return Anderson(tolerance, LIMIT)

    def loss(self, scheme: Step[Any]) -> Tensor:
        """The mean squared error of where the scheme ends."""
        image: Tensor = scheme(self.start, self.problem).image
        return (image - self.truth).square().mean()

    def gradient(self, scheme: Step[Any]) -> Tensor:
        """Of all parameters, one after the other."""
        found = torch.autograd.grad(self.loss(scheme), self.parameters, allow_unused=True)
        pairs = zip(found, self.parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])

    def fixed_point(
        self, tolerance: float, backward: FixedPointBackward | None = None
    ) -> FixedPoint[Any]:
        """The scheme, stopped at ``tolerance``."""
        return FixedPoint(self.step, self.solver(tolerance), backward)

    def frugal(self) -> Step[Any]:
        """Λ, whose activations are computed again in the backward pass."""
        return Repeat(self.step, 1, Checkpointed(1))


def gradient_errors(
    model: Iterative,
    problem: InverseProblem,
    truth: Tensor,
    *,
    tolerances: Sequence[float] = TOLERANCES,
    unrolled: Sequence[int] = UNROLLED,
    free: Sequence[int] = FREE,
) -> dict[str, Any]:
    """Relative errors of gradients, all parameters together, against the converged implicit one.

    Args:
        model: whose scheme is a FixedPoint; a copy in double precision is differentiated.
        problem: one image is enough.
        truth: the image, (batch, channel, *domain).
        tolerances: at which the forward solve is stopped, and the backward one too or not.
        unrolled: numbers of plain iterations that are differentiated through.
        free: numbers of steps of JacobianFree.

    Returns:
        Plain JSON: ``curves`` with ``both`` (the backward solve has the same tolerance) and
        ``forward`` (it has 1e-12), ``slopes`` of their logarithms, ``unrolled``, ``differences``
        and ``jacobian_free``.
    """
    setting = Setting.of(model, problem, truth)
    reference, exact = _implicit(setting, REFERENCE, REFERENCE)
    curves = {
        "both": [_error(setting, t, t, exact) for t in tolerances],
        "forward": [_error(setting, t, BACKWARD, exact) for t in tolerances],
    }
    return {
        "work": f"{work_of(problem)}, batch {len(truth)}, float64",
        "parameters": exact.numel(),
        "loss": "mean squared error",
        "reference": {**reference, "norm": float(exact.norm())},
        "curves": curves,
        "slopes": {name: _slope(curve) for name, curve in curves.items()},
        "unrolled": [_unrolled(setting, k, exact) for k in unrolled],
        "differences": finite_differences(setting, exact),
        "jacobian_free": [_free(setting, k, exact) for k in free],
    }


def _implicit(setting: Setting, forward: float, backward: float) -> tuple[dict[str, Any], Tensor]:
    scheme = setting.fixed_point(forward, Implicit(setting.solver(backward)))
    gradient = setting.gradient(scheme)
    assert scheme.result is not None
    assert scheme.backward_result is not None
    ends = {"": scheme.result, "backward_": scheme.backward_result}
    found: dict[str, Any] = {"tolerance": forward, "backward_tolerance": backward}
    for prefix, end in ends.items():
        found[f"{prefix}residual"] = float(end.residual.max())
        found[f"{prefix}evaluations"] = int(end.iterations.max())
        found[f"{prefix}converged"] = bool(end.converged.all())
    return found, gradient


def _error(setting: Setting, forward: float, backward: float, exact: Tensor) -> dict[str, Any]:
    found, gradient = _implicit(setting, forward, backward)
    return {**found, **agreement(gradient, exact)}


def _unrolled(setting: Setting, number: int, exact: Tensor) -> dict[str, Any]:
    scheme = Repeat(setting.step, number, Checkpointed(1))
    gradient = setting.gradient(scheme)
    with torch.no_grad():
        end = scheme(setting.start, setting.problem)
        after = setting.step(end, setting.problem)
    gap = math.hypot(*(float((b - a).norm()) for a, b in zip(end, after, strict=True)))
    size = math.hypot(*(float(b.norm()) for b in after))
    return {"iterations": number, "residual": gap / size, **agreement(gradient, exact)}


def _free(setting: Setting, steps: int, exact: Tensor) -> dict[str, Any]:
    solver = setting.solver(BACKWARD)
    scheme = FixedPoint(setting.frugal(), solver, JacobianFree(steps))
    return {"steps": steps, **agreement(setting.gradient(scheme), exact)}


def agreement(gradient: Tensor, exact: Tensor) -> dict[str, float]:
    """Relative error and cosine."""
    error = float((gradient - exact).norm() / exact.norm())
    cosine = float(gradient @ exact / (gradient.norm() * exact.norm()))
    return {"error": error, "cosine": cosine}


def _slope(curve: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of log error against log residual, and the median of error over residual."""
    points = [(p["residual"], p["error"]) for p in curve if p["residual"] > 0 and p["error"] > 0]
    if len(points) < 2:
        return {}
    line = straight_line(*([math.log10(x) for x in column] for column in zip(*points, strict=True)))
    ratios = [error / residual for residual, error in points]
    return {**line, "error_over_residual": statistics.median(ratios)}


def measured(_: Job) -> dict[str, Any]:
    """On the equilibrium that contracts fast enough for residuals at the level of rounding."""
    model, problem, truth = trained_equilibrium("equilibrium-0.9")
    return gradient_errors(model, part_of(problem, 0, 1), truth[:1])


def page(results: Path) -> list[Table | str]:
    """Errors of the implicit gradient, of unrolled iterations and of JacobianFree."""
    part = read(results, "gradients")
    if part is None:
        return [not_measured("gradients", "gradients")]
    unrolled = _agreements("unrolled iterations", part["unrolled"], "iterations")
    free = _agreements("JacobianFree, steps", part["jacobian_free"], "steps")
    return [_curves(part), _checks(part), unrolled, free]


def _curves(part: dict[str, Any]) -> Table:
    pairs = zip(*part["curves"].values(), strict=True)
    rows = [
        (
            f"{both['tolerance']:.0e}",
            f"{both['residual']:.1e}",
            f"{both['evaluations']} / {both['backward_evaluations']}",
            f"{both['error']:.1e}",
            f"{forward['error']:.1e}",
        )
        for both, forward in pairs
    ]
    heads = (
        "tolerance",
        "residual",
        "evaluations, forward / backward",
        "error of the gradient",
        "backward solved to 1e-12",
    )
    return Table(heads, tuple(rows))


def _checks(part: dict[str, Any]) -> str:
    slopes = [part["slopes"][name] for name in ("both", "forward")]
    last = part["unrolled"][-1]
    differences = part["differences"]
    return (
        f"Slope of log error against log residual: {slopes[0]['slope']:.2f} (R² "
        f"{slopes[0]['r2']:.3f}), {slopes[1]['slope']:.2f} with an exact backward solve; the error "
        f"is {slopes[0]['error_over_residual']:.3g} times the residual (median). "
        f"{last['iterations']} unrolled iterations agree to {last['error']:.1e}, central "
        f"differences in {len(differences['directions'])} random directions to "
        f"{differences['agreement']:.1e}. {part['work']}, {part['parameters']} parameters, "
        f"{part['loss']}.\n"
    )


def _agreements(title: str, found: Sequence[dict[str, Any]], key: str) -> Table:
    return Table(
        (title, *(str(one[key]) for one in found)),
        (
            ("relative error", *(f"{one['error']:.1e}" for one in found)),
            ("1 - cosine", *(f"{max(1 - one['cosine'], 0):.1e}" for one in found)),
        ),
    )


def draw(results: Path, path: Path) -> None:
    """Errors of gradients on the left, residuals of solvers on the right."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
    panels = {"gradients": _gradients, "solvers": solvers.draw}
    for axis, (name, panel) in zip(axes, panels.items(), strict=True):
        part = read(results, name)
        if part is not None:
            panel(axis, part)
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, path)


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
    axis.loglog(*_columns(unrolled), "-s", ms=4, lw=1, color=BLUE, label="unrolled Picard")
    for one in unrolled[-4:]:
        axis.annotate(
            f"{one['iterations']}", (one["residual"], one["error"]), (4, 3),
            textcoords="offset points", size=7.5, color=BLUE,
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


STUDY = Study(
    "gradients",
    "The implicit gradient is as exact as the residuals at which its two solves stop.",
    "Its error falls with the residual to the level of rounding, as finite differences confirm, "
    "and is thousands of times as large where the map contracts slowly. A few steps of "
    "JacobianFree, or a few unrolled iterations, point elsewhere there.",
    {"gradients": measured},
    page,
    ("gradients.png", draw),
)

if __name__ == "__main__":
    typer.run(STUDY.main)
