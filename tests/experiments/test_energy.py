"""What fixed points minimise: the energy against its gradient, and against another minimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.helpers import normal

from learnedrecon.errors import ConfigError
from learnedrecon.experiments.certification import certify
from learnedrecon.experiments.energy import energy, minimiser
from learnedrecon.functionals.fidelities import Huber
from learnedrecon.models.equilibrium import (
    EquilibriumGradient,
    FixedPointSolver,
    PotentialLayers,
)
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.plug_and_play import GradientStepDenoising, PlugAndPlayFBS
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Reconstructor

T = RayTransform(ParallelBeam((7, 6), AngleRange(4), FlatDetector(9)), torch.float64)
EXACT = FixedPointSolver(1e-11, 1000)
ONE = PotentialLayers(1, 2, 5, 0.3)
ARGUMENTS: dict[str, Any] = {"solver": EXACT, "image_scale": 0.5, "like": T}


def model(kind: type[Reconstructor], **given: Any) -> Reconstructor:
    torch.manual_seed(0)
    built = kind(network=ONE, **(ARGUMENTS | given)).double()
    perturb(built, seed=0)
    return built.requires_grad_(requires_grad=False)


MODELS: dict[str, Any] = {
    "equilibrium": lambda: model(EquilibriumGradient, weight=0.3, epsilon=0.9),
    "gradient step": lambda: model(
        GradientStepDenoising, weight=0.5, data_step=NormalSolver(1e-13, 100)
    ),
}


def problem(batch: int = 2) -> InverseProblem:
    return InverseProblem(T, T(normal(batch, 1, 7, 6)) + 0.3)


@pytest.mark.parametrize("name", MODELS)
def test_the_fixed_point_is_what_another_method_minimises(name: str) -> None:
    """L-BFGS on the energy alone, which knows nothing of the step."""
    built, given = MODELS[name](), problem()
    point = built(given).image
    u = torch.zeros_like(point).requires_grad_()
    search = torch.optim.LBFGS(
        [u],
        max_iter=500,
        tolerance_grad=1e-13,
        tolerance_change=1e-16,
        history_size=30,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        search.zero_grad()
        value = energy(built, given, u).sum()
        value.backward()
        return value

    search.step(closure)
    found, least = energy(built, given, u).detach(), energy(built, given)
    assert torch.allclose(found, least, rtol=1e-9)
    gap = float((u - point).detach().norm() / point.detach().norm())
    assert gap < (1e-6 if name == "equilibrium" else 1e-3)


def test_nothing_near_the_fixed_point_has_less_energy() -> None:
    built, given = MODELS["equilibrium"](), problem()
    point = built(given).image
    least = energy(built, given)
    for size in (1e-3, 1e-1, 1.0):
        moved = energy(built, given, point + size * normal(2, 1, 7, 6, seed=4))
        assert bool((moved > least).all())


def test_the_step_is_a_gradient_step_of_the_energy() -> None:
    """u - Λ(u) = η∇J(u), in the units of the scaled problem."""
    built, given = MODELS["equilibrium"](), problem()
    scaled, c = built.scaled(given)
    step, u = built.scheme.step, normal(2, 1, 7, 6).requires_grad_()
    (slope,) = torch.autograd.grad(energy(built, given, c * u).sum(), u)
    with torch.no_grad():
        moved = u - step(step.begin(u, scaled), scaled).image
    assert float((moved - step.sizes()[1] * slope).abs().max()) < 1e-13


def test_what_minimises_nothing_known_says_why() -> None:
    many = EquilibriumGradient(network=PotentialLayers(2, 2, 4), like=T).double()
    with pytest.raises(ConfigError, match="2 potential layers is in general no gradient"):
        energy(many, problem())
    assert "2 potential layers" in str(minimiser(many, T))
    assert minimiser(LearnedPrimalDual(iterations=1, like=T), T) is None
    with pytest.raises(ConfigError, match="the data term Huber in place of LeastSquares"):
        energy(MODELS["equilibrium"](), InverseProblem(T, problem().data, Huber(0.1)))


def test_certify_says_what_the_fixed_point_is() -> None:
    found = certify(MODELS["equilibrium"](), operator=T, attack=0)
    assert found.minimiser is not None
    text = str(found.minimiser)
    assert text.startswith("Its fixed point is the minimiser of ½‖Tu - y‖² + λρ(u) with ∇ρ = R: ")
    assert found.minimiser.gradient is not None
    assert found.minimiser.gradient < 1e-9
    proximal = certify(model(PlugAndPlayFBS), operator=T, attack=0).minimiser
    assert "φ(u) with D = prox_φ" in str(proximal)
