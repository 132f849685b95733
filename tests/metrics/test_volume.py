"""Measures of volumes against the formulae of fastMRI's evaluate.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from learnedrecon.errors import DataError, ShapeError
from learnedrecon.metrics.volume import volume_metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray


def nmse(gt: NDArray[Any], pred: NDArray[Any]) -> float:
    return float(np.linalg.norm(gt - pred) ** 2 / np.linalg.norm(gt) ** 2)


def psnr(gt: NDArray[Any], pred: NDArray[Any]) -> float:
    return float(peak_signal_noise_ratio(gt, pred, data_range=gt.max()))


def ssim(gt: NDArray[Any], pred: NDArray[Any]) -> float:
    total = np.array([0.0])
    for number in range(gt.shape[0]):
        total = total + structural_similarity(gt[number], pred[number], data_range=gt.max())
    return float(total[0] / gt.shape[0])


@pytest.mark.parametrize("seed", range(3))
def test_they_are_those_of_the_challenge(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.gamma(2.0, 1e-4, (4, 20, 24))
    estimate = truth + random.normal(0, 3e-5, truth.shape)
    found = volume_metrics(truth=truth, estimate=estimate)
    assert found.nmse == pytest.approx(nmse(truth, estimate), rel=1e-6)
    assert found.psnr == pytest.approx(psnr(truth, estimate), rel=1e-6)
    assert found.ssim == pytest.approx(ssim(truth, estimate), rel=1e-6)


def test_the_range_is_that_of_the_volume() -> None:
    """Slice by slice the dark slice would have another range, and the numbers be others."""
    truth = np.random.default_rng(0).random((2, 16, 16))
    truth[1] *= 0.1
    estimate = truth + 0.01
    found = volume_metrics(truth=truth, estimate=estimate)
    assert found.psnr == pytest.approx(20 * np.log10(truth.max() / 0.01), rel=1e-9)
    alone = volume_metrics(truth=truth[1:], estimate=estimate[1:])
    assert alone.psnr < found.psnr - 15


def test_exact_and_small_volumes() -> None:
    truth = np.random.default_rng(0).random((2, 5, 5))
    found = volume_metrics(truth=truth, estimate=truth)
    assert found.nmse == 0
    assert found.psnr == np.inf
    assert np.isnan(found.ssim)


def test_wrong_volumes_are_refused() -> None:
    one = np.ones((2, 8, 8))
    with pytest.raises(ShapeError):
        volume_metrics(truth=one, estimate=one[:1])
    with pytest.raises(ShapeError):
        volume_metrics(truth=one[0], estimate=one[0])
    with pytest.raises(DataError):
        volume_metrics(truth=0 * one, estimate=one)
    with pytest.raises(DataError):
        volume_metrics(truth=one, estimate=one * np.nan)
