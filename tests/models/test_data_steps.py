"""MoDL, half-quadratic splitting and Neumann networks in numpy, and without their network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.in_numpy import IMAGE, RAY, C, T, data, number, scaled_data

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.half_quadratic import HalfQuadraticSplitting, HalfQuadraticStep
from learnedrecon.models.like import Like
from learnedrecon.models.modl import ModelBasedStep, MoDL
from learnedrecon.models.neumann import (
    NeumannNetwork,
    NeumannStep,
    PreconditionedNeumannNetwork,
)
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Repeat
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from tests.in_numpy import Array

    from learnedrecon.schemes.reconstructor import Reconstructor

EXACT = NormalSolver(1e-13, 300)
COMPLEX = Like(image_complex=True)
SMALL: dict[str, Any] = {"iterations": 3, "layers": 3, "hidden": 5, "image_scale": C}
UNET = UNetSpec(base=3, depth=1, groups=0)
NORMAL = T.T @ T
EIGENVALUES, VECTORS = np.linalg.eigh(NORMAL)
ONE = np.eye(len(NORMAL))


def perturbed(model: Reconstructor) -> Any:
    perturb(model.double(), seed=0)
    return model


def without_network(model: Any) -> Any:
    with torch.no_grad():
        for p in model.scheme.step.network.parameters():
            p.zero_()
    return model.double()


def iterates(model: Reconstructor) -> list[Array]:
    """Flat, in units of the image scale."""
    problem = InverseProblem(RAY, data())
    return [e.image.detach().numpy().ravel() / C for e in model.iterates(problem)]


def applied(network: torch.nn.Module, *images: Array) -> Array:
    seen = torch.from_numpy(np.stack(images).reshape(1, len(images), *IMAGE))
    result: Array = network(seen).detach().numpy().ravel()
    return result


def tikhonov(right: Array, weight: float) -> Array:
    """(T*T + λI)⁻¹ of the right side."""
    result: Array = np.asarray(np.linalg.solve(NORMAL + weight * ONE, right), np.float64)
    return result


def filtered(factors: Array, right: Array) -> Array:
    """A function of T*T, given by its values at the eigenvalues, of the right side."""
    result: Array = VECTORS @ (factors * (VECTORS.T @ right))
    return result


def assert_close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_every_iterate_of_modl() -> None:
    torch.manual_seed(0)
    model = perturbed(MoDL(**SMALL, weight=0.3, data_step=EXACT))
    step, back = model.scheme.step, T.T @ scaled_data()
    weight, u = number(step, "log_weight"), back
    for found in iterates(model):
        noise = applied(step.network, u)
        assert np.abs(noise).max() > 1e-3
        u = tikhonov(back + weight * (u - noise), weight)
        assert_close(found, u)


def test_modl_without_network_is_the_iterated_tikhonov_method() -> None:
    """u_n - (λ/(T*T + λ))ⁿ u₀ = (1 - (λ/(T*T + λ))ⁿ)/(T*T) T*y."""
    model = without_network(MoDL(**SMALL, weight=0.3, data_step=EXACT))
    back = T.T @ scaled_data()
    for n, found in enumerate(iterates(model), start=1):
        decay = (0.3 / (EIGENVALUES + 0.3)) ** n
        assert_close(found, filtered((1 - decay) / EIGENVALUES + decay, back))


def test_every_iterate_of_half_quadratic_splitting() -> None:
    torch.manual_seed(0)
    model = perturbed(HalfQuadraticSplitting(3, UNET, weight=0.3, data_step=EXACT, image_scale=C))
    step, back = model.scheme.step, T.T @ scaled_data()
    weights, levels = (
        step.get_parameter(name).detach().exp().numpy() for name in ("log_weights", "log_levels")
    )
    u = back
    for weight, level, found in zip(weights, levels, iterates(model), strict=True):
        z = tikhonov(back + weight * u, weight)
        change = applied(step.network, z, np.full_like(z, level))
        assert np.abs(change).max() > 1e-3
        u = z + change
        assert_close(found, u)


def test_untrained_half_quadratic_splitting_is_the_iterated_tikhonov_method() -> None:
    model = HalfQuadraticSplitting(3, UNET, weight=0.3, data_step=EXACT, image_scale=C).double()
    back = u = T.T @ scaled_data()
    weights = 0.3 * 10.0 ** np.array([-1, -0.5, 0])
    for weight, found in zip(weights, iterates(model), strict=True):
        u = tikhonov(back + weight * u, weight)
        np.testing.assert_allclose(found, u, rtol=1e-5, atol=1e-6)


def test_initial_weights_keep_the_product_of_half_quadratic_splitting() -> None:
    step = HalfQuadraticStep(torch.nn.Identity(), 5, weight=0.2, noise_level=0.03)
    weights, levels = step.log_weights.detach().exp(), step.log_levels.detach().exp()
    torch.testing.assert_close(weights * levels**2, torch.full((5,), 0.2 * 0.03**2))
    torch.testing.assert_close(weights[-1] / weights[0], torch.tensor(10.0))


def test_iterations_beyond_the_last_have_the_last_weights() -> None:
    model = perturbed(HalfQuadraticSplitting(2, UNET, data_step=EXACT, image_scale=C))
    scaled, _ = model.scaled(InverseProblem(RAY, data()))
    step = model.scheme.step
    state = step(step.begin(model.start(scaled), scaled), scaled)
    last = step(state, scaled).image
    later = step(state._replace(passed=state.passed + 5), scaled).image
    torch.testing.assert_close(later, last, rtol=0, atol=0)
    earlier = step(state._replace(passed=state.passed - 1), scaled).image
    assert float((earlier - last).detach().abs().max()) > 1e-3


def test_every_iterate_of_a_neumann_network() -> None:
    torch.manual_seed(0)
    model = perturbed(NeumannNetwork(**SMALL, step=0.8))
    step = model.scheme.step
    eta = number(step, "log_step")
    b = u = eta * T.T @ scaled_data()
    for found in iterates(model):
        regularised = applied(step.network, b)
        assert np.abs(regularised).max() > 1e-3
        b = b - eta * NORMAL @ b - regularised
        u = u + b
        assert_close(found, u)


def test_a_neumann_network_without_network_is_a_truncated_neumann_series() -> None:
    """Gradient descent from zero: u_n = (1 - (1 - ηT*T)ⁿ⁺¹)/(T*T) T*y."""
    model = without_network(NeumannNetwork(**SMALL, step=0.8))
    back = T.T @ scaled_data()
    descent = 0.8 * back
    for n, found in enumerate(iterates(model), start=1):
        decay = (1 - 0.8 * EIGENVALUES) ** (n + 1)
        assert_close(found, filtered((1 - decay) / EIGENVALUES, back))
        descent = descent - 0.8 * (NORMAL @ descent - back)
        assert_close(found, descent)


class Multiple(torch.nn.Module):
    """u ↦ cu."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.factor * u


def test_a_linear_regulariser_gives_the_minimiser() -> None:
    """With R = ημ the series is that of (T*T + μ)⁻¹T*y."""
    scheme = Repeat(NeumannStep(Multiple(0.5 * 0.2), step=0.5).double(), 300)
    norm = float(RAY.norm())
    problem = InverseProblem(RAY * (1 / norm), data() / (C * norm))
    start = scheme.begin(torch.zeros(1, 1, *IMAGE, dtype=torch.float64), problem)
    found = scheme(start, problem).image.detach().numpy().ravel()
    np.testing.assert_allclose(found, tikhonov(T.T @ scaled_data(), 0.2), rtol=1e-6)


def test_every_iterate_of_a_preconditioned_neumann_network() -> None:
    torch.manual_seed(0)
    model = perturbed(PreconditionedNeumannNetwork(**SMALL, weight=0.3, data_step=EXACT))
    step = model.scheme.step
    weight = number(step, "log_weight")
    b = u = tikhonov(T.T @ scaled_data(), weight)
    for found in iterates(model):
        b = weight * tikhonov(b, weight) - applied(step.network, b)
        u = u + b
        assert_close(found, u)


def test_a_preconditioned_one_without_network_is_the_iterated_tikhonov_method() -> None:
    model = PreconditionedNeumannNetwork(**SMALL, weight=0.3, data_step=EXACT)
    back = T.T @ scaled_data()
    for n, found in enumerate(iterates(without_network(model)), start=1):
        decay = (0.3 / (EIGENVALUES + 0.3)) ** (n + 1)
        assert_close(found, filtered((1 - decay) / EIGENVALUES, back))


@pytest.mark.parametrize(
    ("kind", "real", "of_complex"),
    [
        (MoDL, 112_002, 113_155),
        (HalfQuadraticSplitting, 481_905, 482_210),
        (NeumannNetwork, 19_106, 19_683),
        (PreconditionedNeumannNetwork, 19_106, 19_683),
    ],
)
def test_parameters(kind: Any, real: int, of_complex: int) -> None:
    assert count_parameters(kind()) == count_parameters(kind(iterations=3)) + (
        10 if kind is HalfQuadraticSplitting else 0
    )
    assert count_parameters(kind()) == real
    assert count_parameters(kind(like=COMPLEX)) == of_complex


def test_numbers_of_a_step_are_positive() -> None:
    with pytest.raises(ConfigError, match="Expected weight > 0"):
        ModelBasedStep(torch.nn.Identity(), weight=0)
    with pytest.raises(ConfigError, match="Expected step > 0"):
        NeumannStep(torch.nn.Identity(), step=-1)
    with pytest.raises(ConfigError, match="Expected noise_level > 0"):
        HalfQuadraticStep(torch.nn.Identity(), 2, weight=1, noise_level=0)


def test_the_data_step_is_as_exact_as_asked_for() -> None:
    """A loose tolerance moves the image by about so much, and is not ignored."""
    torch.manual_seed(0)
    model = perturbed(MoDL(**SMALL, weight=0.3, data_step=EXACT))
    step, problem = model.scheme.step, InverseProblem(RAY, data())
    scaled, _ = model.scaled(problem)
    exact = step(Image(scaled.back), scaled).image
    loose, _ = MoDL(**SMALL, data_step=NormalSolver(1e-2, 50)).double().scaled(problem)
    gap = (step(Image(scaled.back), loose).image - exact).norm() / exact.norm()
    assert 1e-5 < float(gap.detach()) < 0.1
