"""Deep gradient descent: its size, and what it unrolls."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.fidelities import KullbackLeibler
from learnedrecon.models.deep_gradient import DeepGradientDescent, DeepGradientStep
from learnedrecon.models.start import FilteredBackprojection
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
C = 0.5


def built() -> DeepGradientDescent:
    return DeepGradientDescent(3, 5, image_scale=C).double()


def truth() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 1, 8, 8, generator=generator, dtype=torch.float64)


def test_five_steps_have_50725_parameters() -> None:
    model = DeepGradientDescent()
    assert count_parameters(model) == 50_725 == 5 * (2 * 9 * 32 + 32 * 9 * 32 + 32 * 9 + 65)


def test_it_is_the_formula() -> None:
    model = built()
    perturb(model, seed=3)
    data = RAY(truth())
    norm = RAY.norm()
    y = data / (C * norm)
    u = fbp(RayTransform(SCAN), data) / C
    assert isinstance(model.scheme, Chain)
    for step in model.scheme:
        assert isinstance(step, DeepGradientStep)
        gradient = RAY.adjoint(RAY(u) / norm - y) / norm
        u = u + step.network(torch.cat([u, gradient], dim=1))
    torch.testing.assert_close(model(InverseProblem(RAY, data)).image, C * u)


@pytest.mark.parametrize(
    "start", ["adjoint", FilteredBackprojection(), FilteredBackprojection("hann", 0.5)], ids=str
)
def test_where_it_starts(start: Literal["adjoint"] | FilteredBackprojection) -> None:
    """From T*y of the operator of norm 1, or the filtered back-projection that is asked for."""
    model = DeepGradientDescent(2, 4, start=start, image_scale=0.5).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # every step is the identity
    data = RAY(truth())
    expected = RAY.adjoint(data) / RAY.norm() ** 2
    if start != "adjoint":
        expected = fbp(RAY, data, window=start.window, bandwidth=start.bandwidth)
    torch.testing.assert_close(model(InverseProblem(RAY, data)).image, expected)


def test_it_sees_the_gradient_of_any_data_term() -> None:
    operator = TransmissionCT(Transmission(SCAN), torch.float64)
    data = operator(0.1 * truth())
    model = DeepGradientDescent(2, 4, start="adjoint").double()
    perturb(model, seed=3)
    # At u = 0, where it starts, the two gradients agree.
    squares = model(InverseProblem(operator, data)).image
    poisson = model(InverseProblem(operator, data, KullbackLeibler())).image
    assert not torch.allclose(squares, poisson)


def test_it_costs_one_gradient_for_each_step() -> None:
    cost = Cost()
    built()(Counted(InverseProblem(RAY, RAY(truth())), cost))
    assert (cost.forward, cost.adjoint) == (2 * 3, 2 * 3)
