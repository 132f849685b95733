"""Curves over the iterations, beyond those that a scheme was trained for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from learnedrecon.evaluation.iterations import iteration_curves
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative

if TYPE_CHECKING:
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.schemes.reconstructor import Reconstructor

LAST = 200
IMAGES = 50


def curves(model: Reconstructor, whole: Experiment) -> dict[str, Any]:
    """Medians and quartiles of PSNR, change and data residual for iterations 1 to 200.

    A fixed point goes on when it has converged: its tolerance is 0.
    """
    batches = whole.batches("test", IMAGES)
    endless = _without_end(model)
    found = iteration_curves("", endless, batches, whole.data_range, (1, LAST)).to_plain()
    return _rounded({**found, "settled": _settled(model)})


def _without_end(model: Reconstructor) -> Reconstructor:
    if isinstance(model, Iterative) and isinstance(model.scheme, FixedPoint):
        point = model.scheme
        solver = replace(point.solver, tolerance=0.0)
        scheme: Any = FixedPoint(point.step, solver, point.backward_mode)
        return model.with_scheme(scheme).eval()
    return model


def _settled(model: Reconstructor) -> float | None:
    """The tolerance at which a reconstruction stops."""
    if isinstance(model, Iterative) and isinstance(model.scheme, FixedPoint):
        return float(model.scheme.solver.tolerance)
    return None


def _rounded(plain: Any) -> Any:  # noqa: ANN401 - of JSON
    if isinstance(plain, dict):
        return {key: _rounded(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_rounded(value) for value in plain]
    return float(f"{plain:.5g}") if isinstance(plain, float) else plain
