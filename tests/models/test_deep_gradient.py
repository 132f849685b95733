"""Deep gradient descent: its size, and what it unrolls."""

from __future__ import annotations

import torch
from learnedrecon.schemes.learned_gradient import DeepGradientStep

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.fidelities import KullbackLeibler
from learnedrecon.models.deep_gradient import DeepGradient, deep_gradient_descent
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Chain
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.testing.steps import perturb

SCAN = ParallelBeam((8, 8), AngleRange(6), FlatDetector(11))
RAY = RayTransform(SCAN, torch.float64)
SPEC = DeepGradient(3, 5, image_scale=0.5)


def truth() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 1, 8, 8, generator=generator, dtype=torch.float64)


def test_five_steps_have_50725_parameters() -> None:
    model = deep_gradient_descent()
    assert count_parameters(model) == 50_725 == 5 * (2 * 9 * 32 + 32 * 9 * 32 + 32 * 9 + 65)


def test_it_is_the_formula() -> None:
    model = deep_gradient_descent(SPEC).double()
    perturb(model, seed=3)
    data = RAY(truth())
    norm, c = RAY.norm(), SPEC.image_scale
    y = data / (c * norm)
    u = fbp(RayTransform(SCAN), data) / c
    assert isinstance(model.scheme, Chain)
    for step in model.scheme:
        assert isinstance(step, DeepGradientStep)
        gradient = RAY.adjoint(RAY(u) / norm - y) / norm
        u = u + step.network(torch.cat([u, gradient], dim=1))
    torch.testing.assert_close(model(InverseProblem(RAY, data)).image, c * u)


def test_it_sees_the_gradient_of_any_data_term() -> None:
    operator = TransmissionCT(Transmission(SCAN), torch.float64)
    data = operator(0.1 * truth())
    model = deep_gradient_descent(DeepGradient(2, 4, fbp=None)).double()
    perturb(model, seed=3)
    # At u = 0, where it starts, the two gradients agree.
    squares = model(InverseProblem(operator, data)).image
    poisson = model(InverseProblem(operator, data, KullbackLeibler())).image
    assert not torch.allclose(squares, poisson)


def test_it_costs_one_gradient_for_each_step() -> None:
    cost = Cost()
    deep_gradient_descent(SPEC).double()(Counted(InverseProblem(RAY, RAY(truth())), cost))
    assert (cost.forward, cost.adjoint) == (2 * 3, 2 * 3)
