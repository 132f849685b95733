"""What is measured of a trained model: curves over the iterations, and certificates."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.evaluation.certificate import certified_step, certify
from learnedrecon.evaluation.certificate_attack import measured_contraction
from learnedrecon.evaluation.iterations import iteration_curves
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative

if TYPE_CHECKING:
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.schemes.reconstructor import Reconstructor

PAIRS, ASCENTS = 8, 300
TOLERANCE = 1e-2
LAST = 200
IMAGES = 50


def certificate(model: Reconstructor, whole: Experiment) -> dict[str, Any]:
    """Bounds, the worst contraction of random and adversarial pairs, and how solving ends."""
    proved = certify(model, whole.operator, fidelity=whole.fidelity())
    step = certified_step(model)
    assert step is not None
    assert isinstance(model, Iterative)
    batch = next(whole.batches("test", 1))
    precise = copy.deepcopy(step).double().requires_grad_(requires_grad=False)
    operator: LinearOperator = copy.deepcopy(whole.operator).to(torch.float64)  # type: ignore[assignment]
    given = model.scaling(InverseProblem(operator, batch.problem.data.double()))[0]
    worst = measured_contraction(precise, given, pairs=PAIRS, ascents=ASCENTS)
    return {
        "holds": proved.holds,
        "reason": proved.reason,
        "epsilon": proved.epsilon,
        "weight": proved.weight,
        "eta": proved.eta,
        "factor": proved.factor,
        "stability": proved.stability,
        "iterations": proved.iterations(TOLERANCE),
        "iterations_tolerance": TOLERANCE,
        "measured_contraction": worst,
        "measured_over_proved": None if proved.factor is None else worst / proved.factor,
        "attack": {"pairs": PAIRS, "ascents": ASCENTS},
        **_ending(model, whole),
    }


@torch.no_grad()
def _ending(model: Iterative, whole: Experiment) -> dict[str, Any]:
    """Of the reconstructions of the test images, and how data that are close stay close."""
    point = model.scheme
    assert isinstance(point, FixedPoint)
    iterations, residuals, converged, ratios = [], [], [], []
    for batch in whole.batches("test", 50):
        image = model(batch.problem).image
        assert point.result is not None
        iterations += point.result.iterations.tolist()
        residuals += point.result.residual.tolist()
        converged += point.result.converged.tolist()
        y = batch.problem.data
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
        z = y + 0.01 * y.abs().mean() * noise
        other = model(InverseProblem(batch.problem.operator, z)).image
        moved = (other - image).flatten(1).norm(dim=1) / (z - y).flatten(1).norm(dim=1)
        ratios += moved.tolist()
    return {
        "solver_tolerance": point.solver.tolerance,
        "solver_iterations_mean": sum(iterations) / len(iterations),
        "solver_iterations_max": max(iterations),
        "solver_residual_max": max(residuals),
        "solver_converged": sum(converged) / len(converged),
        "measured_stability": max(ratios),
    }


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
