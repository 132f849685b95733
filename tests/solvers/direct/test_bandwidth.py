"""The bandwidth from the noise: dense matrices, expectations, and what a truth would choose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from learnedrecon.data.phantoms.ellipses import ellipse_phantom, ellipse_preset
from learnedrecon.errors import ConfigError, GeometryError, ShapeError
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.solvers.direct.bandwidth import fbp_by_noise
from learnedrecon.solvers.direct.fbp import fbp

SMALL = RayTransform(ParallelBeam((9, 8), AngleRange(11), FlatDetector(13, 1.0)), torch.float64)
TRIED = (1.0, 0.7, 0.4)


def matrices(operator: RayTransform) -> tuple[Tensor, dict[float, Tensor]]:
    """A and A_b as matrices, (pixels, data), column by column."""
    size = operator.codomain.shape
    units = torch.eye(int(np.prod(size)), dtype=torch.float64).reshape(-1, *size)
    sharp = fbp(operator, units).flatten(1).T
    return sharp, {b: fbp(operator, units, window="hann", bandwidth=b).flatten(1).T for b in TRIED}


def noisy(level: float, number: int = 4, seed: int = 3) -> tuple[RayTransform, Tensor, Tensor]:
    """Phantoms of 64² and their data with white noise."""
    operator = RayTransform(ParallelBeam((64, 64), AngleRange(60), FlatDetector(95, 1.0)))
    law = ellipse_preset("dival")
    images = [ellipse_phantom(law, i, 64, seed=seed, split="train") for i in range(number)]
    u = torch.from_numpy(np.stack(images))[:, None]
    y = operator(u)
    generator = torch.Generator().manual_seed(seed)
    size = level * y.abs().mean()
    return operator, u, y + size * torch.randn(y.shape, generator=generator)


def test_the_risk_is_its_formula_and_the_image_that_of_the_least() -> None:
    sharp, A = matrices(SMALL)
    y = torch.randn(3, 1, *SMALL.codomain.shape, dtype=torch.float64)
    sigma = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    found = fbp_by_noise(SMALL, y, sigma, noise_factor=2.5, bandwidths=TRIED, seed=5)
    n = torch.randn(y.shape[1:], generator=torch.Generator().manual_seed(5)).double().ravel()
    for row, b in enumerate(TRIED):
        D = A[b] - sharp
        for i, each in enumerate(y):
            noise = 2.5 * (A[b] @ n).square().sum() - (D @ n).square().sum()
            expected = (D @ each.ravel()).square().sum() + sigma[i] ** 2 * noise
            torch.testing.assert_close(found.risk[row, i], expected)
    least = found.risk.argmin(0)
    assert found.bandwidth.tolist() == [TRIED[i] for i in least]
    assert found.bandwidth[0] == 1.0
    for i, each in enumerate(y):
        expected = (A[TRIED[int(least[i])]] @ each.ravel()).reshape(1, *SMALL.domain.shape)
        torch.testing.assert_close(found.image[i], expected)


def test_the_risk_is_right_in_the_mean() -> None:
    """E of the estimate is ‖(A_b - A)Tu‖² + σ²‖A_b‖² (Frobenius), to five standard errors."""
    (sharp, A), sigma = matrices(SMALL), 0.3
    u = torch.rand(1, *SMALL.domain.shape, dtype=torch.float64)
    clean = SMALL(u)
    risks = []
    for seed in range(60):
        noise = torch.randn(64, *clean.shape, dtype=torch.float64)
        found = fbp_by_noise(SMALL, clean + sigma * noise, sigma, bandwidths=TRIED, seed=seed)
        risks.append(found.risk.mean(1))
    mean, error = torch.stack(risks).mean(0), torch.stack(risks).std(0) / 60**0.5
    for row, b in enumerate(TRIED):
        bias = ((A[b] - sharp) @ clean.ravel()).square().sum()
        true = bias + sigma**2 * A[b].square().sum()
        assert abs(mean[row] - true) < 5 * error[row]
        assert error[row] < 0.05 * true


@pytest.mark.parametrize(("level", "decibels"), [(0.0, 0.01), (0.15, 0.5), (0.4, 0.4)])
def test_it_is_nearly_as_good_as_what_a_truth_would_choose(level: float, decibels: float) -> None:
    operator, u, y = noisy(level)
    fixed = {
        b: (fbp(operator, y, window="hann", bandwidth=b) - u).square().flatten(1).mean(1)
        for b in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
    }
    best = torch.stack(list(fixed.values())).amin(0)
    found = (fbp_by_noise(operator, y).image - u).square().flatten(1).mean(1)
    assert (10 * (found / best).log10()).max() < decibels
    if level > 0.2:
        assert (10 * (fixed[1.0] / found).log10()).min() > 1


def test_a_batch_is_a_stack_of_singles_and_a_sample_of_zeros_stays_zero() -> None:
    operator, _, y = noisy(0.1, number=2)
    y = torch.cat([y, torch.zeros_like(y[:1])])
    together = fbp_by_noise(operator, y)
    assert together.sigma[2] == 0
    assert not together.image[2].any()
    for i in range(3):
        alone = fbp_by_noise(operator, y[i : i + 1])
        assert alone.bandwidth[0] == together.bandwidth[i]
        torch.testing.assert_close(alone.image[0], together.image[i])


def test_an_operator_without_bandwidth_is_applied_as_it_is() -> None:
    y = torch.randn(2, 1, 4, 5)
    found = fbp_by_noise(Identity(Space((4, 5))), y)
    assert torch.equal(found.image, y)
    assert found.bandwidth.tolist() == [1.0, 1.0]


def test_what_cannot_be_done_is_refused() -> None:
    y = torch.zeros(1, *SMALL.codomain.shape, dtype=torch.float64)
    with pytest.raises(GeometryError, match="registered"):
        fbp_by_noise(MatrixOperator(torch.eye(3)), torch.zeros(1, 3))
    with pytest.raises(ShapeError, match="batch axis"):
        fbp_by_noise(SMALL, y[0])
    with pytest.raises(ShapeError, match="one per sample"):
        fbp_by_noise(SMALL, y, torch.ones(2))
    with pytest.raises(ConfigError, match="sigma ≥ 0"):
        fbp_by_noise(SMALL, y, -1.0)
    with pytest.raises(ConfigError, match="noise_factor > 0"):
        fbp_by_noise(SMALL, y, 1.0, noise_factor=0.0)
    with pytest.raises(ConfigError, match="fall"):
        fbp_by_noise(SMALL, y, 1.0, bandwidths=(0.5, 0.5))
