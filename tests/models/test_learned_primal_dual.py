"""Learned primal-dual: the paper's size, own weights, and what it unrolls."""

from __future__ import annotations

import math

import pytest
import torch

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Chain

GEOMETRY = ParallelBeam((12, 12), AngleRange(9), FlatDetector(19))
RAY = RayTransform(GEOMETRY, torch.float64)
PHOTONS = TransmissionCT(Transmission(GEOMETRY, mu=0.05), torch.float64)


def built() -> LearnedPrimalDual:
    return LearnedPrimalDual(iterations=3, hidden=6)


def image(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 1, 12, 12, generator=generator, dtype=torch.float64)


def test_the_paper_has_253220_parameters() -> None:
    assert count_parameters(LearnedPrimalDual()) == 253_220


@pytest.mark.parametrize("operator", [RAY, PHOTONS])
def test_the_same_weights_serve_a_linear_and_a_nonlinear_operator(
    operator: RayTransform | TransmissionCT,
) -> None:
    """The operator has no weights: the count and the model are one."""
    model = built().double()
    assert count_parameters(operator) == 0
    before = count_parameters(model)
    estimate = model(InverseProblem(operator, operator(image())))
    assert estimate.image.shape == (2, 1, 12, 12)
    assert bool(estimate.image.isfinite().all())
    assert count_parameters(model) == before


def test_the_papers_initial_weights() -> None:
    """PReLU slopes and biases 0, weights uniform in ±sqrt(6 / fans)."""
    torch.manual_seed(0)
    model = LearnedPrimalDual()
    slopes = [m for m in model.modules() if isinstance(m, torch.nn.PReLU)]
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(slopes) == 40
    assert len(layers) == 60
    assert all(m.weight.shape == (32,) and not m.weight.any() for m in slopes)
    for layer in layers:
        assert layer.bias is not None
        assert not layer.bias.any()
        bound = math.sqrt(6 / (9 * (layer.in_channels + layer.out_channels)))
        largest = float(layer.weight.detach().abs().max())
        assert 0.98 * bound < largest <= bound


def test_every_iteration_has_its_own_weights() -> None:
    model = built()
    assert isinstance(model.scheme, Chain)
    assert len({id(p) for p in model.parameters()}) == 3 * 2 * 8
    double = LearnedPrimalDual(iterations=6, hidden=6)
    assert count_parameters(double) == 2 * count_parameters(model)


@pytest.mark.parametrize("operator", [RAY, PHOTONS])
def test_with_zero_weights_it_is_zero(operator: RayTransform | TransmissionCT) -> None:
    model = built().double()
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    estimate = model(InverseProblem(operator, operator(image())))
    assert not estimate.image.any()


def test_it_sees_the_data_only_through_the_dual_variable() -> None:
    """Dual networks of zero cut the data off: the image is that of the primal networks alone."""
    model = built().double()
    for name, p in model.named_parameters():
        if "dual_network" in name:
            torch.nn.init.zeros_(p)
    first = model(InverseProblem(RAY, RAY(image()))).image
    second = model(InverseProblem(RAY, 2 + RAY(image()))).image
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_part_of_the_chain_gives_the_iterates() -> None:
    model = built().double()
    problem = InverseProblem(RAY, RAY(image()))
    scheme = model.scheme
    assert isinstance(scheme, Chain)
    for k, estimate in enumerate(model.iterates(problem), start=1):
        model.scheme = scheme[:k]
        torch.testing.assert_close(model(problem).image, estimate.image)
    assert k == 3
