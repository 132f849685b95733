"""The learned gradient scheme: the paper's size, shared weights, and what it unrolls."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.functionals.regularisers import Dirichlet, TotalVariation
from learnedrecon.models.learned_gradient import LearnedGradient, WithRegulariser
from learnedrecon.networks.conv import ConvNet
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Repeat
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.testing.steps import Sealed

GEOMETRY = ParallelBeam((12, 12), AngleRange(9), FlatDetector(19))
RAY = RayTransform(GEOMETRY, torch.float64)


def built() -> LearnedGradient:
    return LearnedGradient(iterations=4, hidden=6, image_scale=0.5)


def data(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return RAY(torch.rand(batch, 1, 12, 12, generator=generator, dtype=torch.float64))


def test_the_paper_has_13318_parameters() -> None:
    assert count_parameters(LearnedGradient()) == 13_318


def test_the_weights_are_shared_by_all_iterations() -> None:
    model = built()
    assert isinstance(model.scheme, Repeat)
    assert model.scheme.times == 4
    more = LearnedGradient(iterations=40, hidden=6)
    assert count_parameters(more) == count_parameters(model)


def test_the_paper_starts_with_xavier_normal_weights_and_small_biases() -> None:
    torch.manual_seed(0)
    (network,) = (m for m in LearnedGradient().modules() if type(m) is ConvNet)
    first, second, last = (m for m in network.layers if isinstance(m, torch.nn.Conv2d))
    for layer, bias in ((first, 0.01), (second, 0.01), (last, 0.0)):
        assert layer.bias is not None
        torch.testing.assert_close(layer.bias, torch.full_like(layer.bias, bias))
        fans = 9 * (layer.in_channels + layer.out_channels)
        expected = (2 / fans) ** 0.5
        std, largest = float(layer.weight.detach().std()), float(layer.weight.detach().abs().max())
        assert std == pytest.approx(expected, rel=5 / (2 * layer.weight.numel()) ** 0.5)
        assert largest > 2 * std, "a uniform law ends at 1.74 standard deviations"


def test_with_zero_weights_it_is_its_start() -> None:
    model = built().double()
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    y = data()
    torch.testing.assert_close(model(InverseProblem(RAY, y)).image, fbp(RayTransform(GEOMETRY), y))


def test_iterates_are_those_of_fewer_iterations() -> None:
    model = built().double()
    problem = InverseProblem(RAY, data())
    assert isinstance(model.scheme, Repeat)
    images = [estimate.image for estimate in model.iterates(problem)]
    assert len(images) == 4
    for times, image in enumerate(images, start=1):
        model.scheme = model.scheme.with_times(times)
        torch.testing.assert_close(model(problem).image, image)


def test_a_problem_keeps_its_own_regulariser() -> None:
    model = built().double()
    y = data()
    default, same, other = (
        model(InverseProblem(RAY, y, regulariser=regulariser)).image.detach()
        for regulariser in (None, Dirichlet(), TotalVariation())
    )
    torch.testing.assert_close(same, default, rtol=0, atol=0)
    assert float((other - default).abs().max()) > 1e-3 * float(default.abs().max())


def test_the_regulariser_cannot_enter_a_foreign_problem() -> None:
    with pytest.raises(ConfigError, match="Sealed"):
        WithRegulariser(Dirichlet())(Sealed(InverseProblem(RAY, data())))


def test_photons_with_the_kullback_leibler_distance() -> None:
    """The paper's nonlinear experiment: finite, and not that of least squares."""
    operator = TransmissionCT(Transmission(GEOMETRY, mu=0.05), torch.float64)
    model = built().double()
    y = torch.exp(-0.05 * data())
    image, other = (
        model(InverseProblem(operator, y, fidelity)).image.detach()
        for fidelity in (KullbackLeibler(), LeastSquares())
    )
    assert bool(image.isfinite().all())
    assert float((image - other).abs().max()) > 1e-6


def test_a_wrapper_stays_around_the_problem_with_the_regulariser() -> None:
    operator = RayTransform(ParallelBeam((6, 5), AngleRange(4), FlatDetector(9)), torch.float64)
    problem = InverseProblem(operator, operator(torch.ones(1, 1, 6, 5, dtype=torch.float64)))
    model, cost = LearnedGradient(3, 1, 2).double(), Cost()
    image = model(Counted(problem, cost)).image
    assert (cost.forward, cost.adjoint) == (3, 3)
    assert torch.equal(image, model(problem).image)
