"""The error of the implicit gradient, against where the forward solve was stopped."""

from __future__ import annotations

import copy
import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from convergence_parts.differences import finite_differences
from convergence_parts.maps import fixed_point_of, work_of
from learnedrecon.problem import Problem
from learnedrecon.schemes.backward import Checkpointed
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import FixedPointBackward, Implicit, JacobianFree
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.step import Repeat, Step
from learnedrecon.solvers.anderson import Anderson
from measuring.fit import straight_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.problem import InverseProblem

TOLERANCES = tuple(10.0**-k for k in range(1, 11))
REFERENCE = 1e-13
BACKWARD = 1e-12
UNROLLED = (1, 3, 10, 30, 100, 300)
FREE = (1, 2, 5, 10, 20, 50)
LIMIT = 3000


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
        image = self.model.readout(scheme(self.start, self.problem))
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
    return {**line.to_plain(), "error_over_residual": statistics.median(ratios)}
