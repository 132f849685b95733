"""ΨDONet: ISTA before training and its minimiser by FISTA, a step in numpy, and its subbands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pywt
import torch
from tests.helpers import complex_normal, normal, relative
from tests.in_numpy import IMAGE, RAY, C, T, data, scaled_data
from tests.models.derivatives import assert_derivatives

from learnedrecon.errors import GeometryError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.functionals.norms import L1
from learnedrecon.models.like import Like
from learnedrecon.models.psi_donet import PsiDONet, ThresholdingStep
from learnedrecon.networks.subbands import SubbandConvolutions
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.fista import fista
from learnedrecon.testing import dense_matrix
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from tests.in_numpy import Array

WIDE = (8, 8)
GAMMA = 0.03


def frame(wavelet: str, levels: int) -> Array:
    """W with the extension by zeros, a matrix of images 7 × 6 to coefficients 8 × 8."""
    inside = np.zeros(WIDE, bool)
    inside[: IMAGE[0], : IMAGE[1]] = True
    matrix = dense_matrix(Wavelet(WaveletBasis(WIDE, wavelet, levels), torch.float64)).numpy()
    result: Array = matrix[:, inside.ravel()]
    return result


def soft(v: Array, threshold: float) -> Array:
    result: Array = np.sign(v) * np.maximum(np.abs(v) - threshold, 0)
    return result


def iterates(model: Any) -> list[Array]:
    problem = InverseProblem(RAY, data())
    return [e.image.detach().numpy().reshape(IMAGE) / C for e in model.iterates(problem)]


@pytest.mark.parametrize(("wavelet", "levels"), [("haar", 3), ("db2", 2)])
def test_untrained_it_is_ista(wavelet: str, levels: int) -> None:
    model = PsiDONet(4, levels, wavelet, threshold=GAMMA, image_scale=C).double()
    w_matrix = frame(wavelet, levels)
    np.testing.assert_allclose(w_matrix.T @ w_matrix, np.eye(42), atol=1e-12)
    operator, y = T @ w_matrix.T, scaled_data()
    w = w_matrix @ T.T @ y
    for found in iterates(model):
        w = soft(w + operator.T @ (y - operator @ w), GAMMA)
        np.testing.assert_allclose(found.ravel(), w_matrix.T @ w, rtol=1e-7, atol=1e-8)


def test_ista_rests_at_the_minimiser_that_fista_finds_and_approaches_it() -> None:
    """A step is averaged: its fixed points are the minimisers, and no distance to one grows."""
    w_matrix = frame("haar", 3)
    operator = MatrixOperator(torch.from_numpy(T @ w_matrix.T))
    y = torch.from_numpy(scaled_data())[None, None]
    smooth = FunctionalOf(Misfit(LeastSquares(), y), operator)
    minimiser = (
        fista(
            smooth,
            FunctionalMultiple(L1(), GAMMA),
            torch.zeros(1, 1, 64, dtype=torch.float64),
            lipschitz=1.0,
            tolerance=1e-9,
            max_iterations=20_000,
        )
        .solution[0, 0]
        .numpy()
    )
    assert 3 < np.count_nonzero(minimiser) < 60
    model: Any = PsiDONet(1, threshold=GAMMA, image_scale=C).double()
    with torch.no_grad():
        scaled, _ = model.scaled(InverseProblem(RAY, data()))
        state = model.initial(scaled)
        there = torch.from_numpy(minimiser).reshape(state.coefficients.shape)
        image = torch.from_numpy(w_matrix.T @ minimiser).reshape(state.image.shape)
        after = model.scheme(type(state)(image, there), scaled).coefficients
        distances = []
        for _ in range(300):
            state = model.scheme(state, scaled)
            distances.append(float((state.coefficients - there).norm()))
    torch.testing.assert_close(after, there, rtol=0, atol=1e-8)
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.3 * distances[0]


def test_every_iterate_with_other_weights() -> None:
    model: Any = PsiDONet(3, 2, "db2", threshold=GAMMA, image_scale=C).double()
    perturb(model, seed=0)
    w_matrix, y = frame("db2", 2), scaled_data()
    w = w_matrix @ T.T @ y
    for step, found in zip(model.scheme, iterates(model), strict=True):
        alpha, beta = float(step.alpha.detach()), float(step.beta.detach())
        u = w_matrix.T @ w
        drive = w_matrix @ (alpha * T.T @ y - beta * T.T @ (T @ u))
        kernels = [k.detach().numpy() for k in step.perturbation.kernels]
        moved = perturbed(w.reshape(WIDE), kernels).ravel()
        w = soft(w + drive - moved, float(step.log_threshold.detach().exp()))
        np.testing.assert_allclose(found.ravel(), w_matrix.T @ w, rtol=1e-7, atol=1e-8)


def perturbed(w: Array, kernels: list[Array]) -> Array:
    """Λw with two levels, by the quadrants of an array, repeated entries and shifts."""
    coarse, fine = w[:4, :4], (w[:4, 4:], w[4:, :4], w[4:, 4:])
    quarters = (coarse[:2, :2], coarse[:2, 2:], coarse[2:, :2], coarse[2:, 2:])
    means = [v.reshape(2, 2, 2, 2).mean((1, 3)) for v in fine]
    result = np.zeros(WIDE)
    small = [summed([*quarters, *means], k) for k in kernels[0]]
    result[:4, :4] = np.block([small[:2], small[2:]])
    repeated = [np.asarray(np.kron(v, np.ones((2, 2))), np.float64) for v in quarters]
    large = [summed([*repeated, *fine], k) for k in kernels[1]]
    result[:4, 4:], result[4:, :4], result[4:, 4:] = large
    return result


def summed(bands: list[Array], kernels: Array) -> Array:
    """The sum of correlations with periodic borders."""
    result: Array = sum(
        k[i, j] * np.roll(v, (1 - i, 1 - j), (0, 1))
        for v, k in zip(bands, kernels, strict=True)
        for i in range(3)
        for j in range(3)
    )
    return result


@pytest.mark.parametrize("space", [(8,), (8, 12), (4, 8, 4)])
def test_subbands_are_those_of_the_wavelet_transform(space: tuple[int, ...]) -> None:
    network = SubbandConvolutions(len(space), 2)
    w = normal(2, 1, *space)
    levels = network.split(w)
    bands = Wavelet(WaveletBasis(space, "haar", 2), torch.float64).subbands(w)
    expected = [torch.cat([*bands[0].values(), *bands[1].values()], 1)]
    expected += [torch.cat([*found.values()], 1) for found in bands[2:]]
    for found, band in zip(levels, expected, strict=True):
        assert torch.equal(found, band)
    assert torch.equal(network.joined(levels), w)
    assert (
        pywt.wavedecn(np.zeros(space), "haar", "periodization", 2)[0].shape == levels[0].shape[2:]
    )


def steps_of(model: PsiDONet) -> list[ThresholdingStep]:
    return [step for step in model.double().modules() if isinstance(step, ThresholdingStep)]


def test_complex_images_and_channels_share_the_perturbation() -> None:
    """Λ is real-linear: of a channel and of a part alone it is what it is of a real image."""
    (step,) = steps_of(PsiDONet(1, 2, like=Like(channels=2, image_complex=True)))
    (real,) = steps_of(PsiDONet(1, 2))
    perturb(step, seed=0)
    real.load_state_dict(step.state_dict())
    w = complex_normal(3, 2, 8, 4)
    found = step.perturbed(w).detach()
    for channel in range(2):
        single = w[:, channel : channel + 1]
        parts = torch.complex(real.perturbed(single.real), real.perturbed(single.imag))
        assert relative(found[:, channel : channel + 1], parts.detach()) < 1e-12


def test_derivatives_by_finite_differences() -> None:
    assert_derivatives(PsiDONet(2, 1, threshold=0.05, like=Like(1, 1, 1)))


def test_parameters() -> None:
    assert count_parameters(PsiDONet()) == 10 * (10 * 10 * 9 + 3) == 9_030
    assert count_parameters(PsiDONet(like=Like(3, image_complex=True))) == 9_030
    assert count_parameters(PsiDONet(1, 2, like=Like(image_axes=3))) == (8 + 7) ** 2 * 27 + 3


def test_a_wavelet_that_is_not_orthogonal_is_refused() -> None:
    with pytest.raises(GeometryError, match="orthogonal wavelet"):
        PsiDONet(wavelet="bior2.2")
