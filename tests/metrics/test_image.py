"""PSNR, SSIM and NMSE against closed forms and against their definitions written out."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from learnedrecon.errors import ConfigError, DataError, DtypeError, ShapeError
from learnedrecon.metrics import DataRange, FixedRange, MaxMinPerImage, nmse, psnr, psnr_torch, ssim

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = FixedRange(1.0)
MEASURES: list[Callable[..., Any]] = [
    partial(psnr, data_range=ONE),
    partial(psnr_torch, data_range=ONE),
    partial(ssim, data_range=ONE),
    nmse,
]


def pair(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return truth, truth + 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def ssim_by_definition(x: np.ndarray, y: np.ndarray, value: float) -> float:
    """The mean over all 7×7 windows, sample covariances, one channel."""
    c1, c2 = (0.01 * value) ** 2, (0.03 * value) ** 2
    total = []
    for i in range(x.shape[0] - 6):
        for j in range(x.shape[1] - 6):
            a, b = x[i : i + 7, j : j + 7].ravel(), y[i : i + 7, j : j + 7].ravel()
            (va, cab), (_, vb) = np.cov(a, b, ddof=1)
            ma, mb = a.mean(), b.mean()
            structure = (2 * cab + c2) / (va + vb + c2)
            total.append((2 * ma * mb + c1) / (ma**2 + mb**2 + c1) * structure)
    return float(np.mean(total))


@pytest.mark.parametrize("measure", [psnr, psnr_torch])
def test_psnr_of_a_constant_error_is_its_closed_form(measure: Callable[..., Any]) -> None:
    truth = torch.linspace(-1.0, 3.0, 2 * 6 * 5, dtype=torch.float64).reshape(1, 2, 6, 5)
    truth = torch.cat((truth, 0.5 * truth))
    shift = torch.tensor([0.1, -0.01], dtype=torch.float64).reshape(2, 1, 1, 1)
    fixed = measure(truth=truth, estimate=truth + shift, data_range=FixedRange(2.0))
    assert fixed.tolist() == pytest.approx([20 * math.log10(20), 20 * math.log10(200)], rel=1e-12)
    varying = measure(truth=truth, estimate=truth + shift, data_range=MaxMinPerImage())
    assert varying.tolist() == pytest.approx([20 * math.log10(40), 20 * math.log10(200)], rel=1e-12)


@pytest.mark.parametrize("data_range", [ONE, FixedRange(2.0), MaxMinPerImage()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_psnr_agree(data_range: DataRange, dtype: torch.dtype) -> None:
    truth, estimate = (u.to(dtype) for u in pair(4, 2, 9, 7))
    one = psnr(truth=truth, estimate=estimate, data_range=data_range)
    two = psnr_torch(truth=truth, estimate=estimate, data_range=data_range)
    assert one.shape == two.shape == (4,)
    assert one.dtype == np.float64
    assert two.dtype == torch.float64
    np.testing.assert_allclose(two.numpy(), one, rtol=1e-13)


@pytest.mark.parametrize("measure", [psnr, psnr_torch])
def test_psnr_of_the_truth_is_infinite(measure: Callable[..., Any]) -> None:
    truth, _ = pair(2, 1, 5, 5)
    assert measure(truth=truth, estimate=truth, data_range=ONE).tolist() == [math.inf] * 2


def test_max_min_is_that_of_the_truth_and_not_of_the_estimate() -> None:
    truth, estimate = pair(1, 1, 8, 8)
    forth = psnr(truth=truth, estimate=estimate, data_range=MaxMinPerImage())
    back = psnr(truth=estimate, estimate=truth, data_range=MaxMinPerImage())
    ratio = (truth.max() - truth.min()) / (estimate.max() - estimate.min())
    assert (forth - back).item() == pytest.approx(20 * math.log10(ratio.item()), rel=1e-10)


@pytest.mark.parametrize("data_range", [FixedRange(2.0), MaxMinPerImage()])
def test_ssim_is_its_definition(data_range: DataRange) -> None:
    truth, estimate = pair(2, 3, 11, 9)
    expected = [
        np.mean([ssim_by_definition(a, b, value) for a, b in zip(x, y, strict=True)])
        for x, y, value in zip(
            truth.numpy(), estimate.numpy(), data_range.per_image(truth).tolist(), strict=True
        )
    ]
    result = ssim(truth=truth, estimate=estimate, data_range=data_range)
    np.testing.assert_allclose(result, expected, rtol=1e-11)


@pytest.mark.parametrize("value", [1.0, 2.0])
def test_ssim_of_constant_images_is_its_closed_form(value: float) -> None:
    truth, estimate = np.full((8, 9), 0.3), np.full((8, 9), 0.5)
    c1 = (0.01 * value) ** 2
    expected = (2 * 0.3 * 0.5 + c1) / (0.3**2 + 0.5**2 + c1)
    result = ssim(truth=truth, estimate=estimate, data_range=FixedRange(value))
    assert result.tolist() == pytest.approx([expected], rel=1e-10)


def test_ssim_of_the_truth_is_one() -> None:
    truth, _ = pair(3, 1, 7, 12)
    result = ssim(truth=truth, estimate=truth, data_range=MaxMinPerImage())
    np.testing.assert_allclose(result, 1.0, rtol=0, atol=1e-14)


def test_nmse_is_its_closed_form() -> None:
    truth = np.full((2, 1, 4, 4), 2.0)
    truth[1, 0, 0, 0] = 4.0
    estimate = truth.copy()
    estimate[:, 0, 3, 3] += 3.0
    assert nmse(truth=truth, estimate=estimate).tolist() == pytest.approx([9 / 64, 9 / 76])
    assert nmse(truth=truth, estimate=0 * truth).tolist() == [1.0, 1.0]


def test_nmse_does_not_change_with_the_unit() -> None:
    truth, estimate = pair(2, 1, 6, 5)
    scaled = nmse(truth=1e-3 * truth, estimate=1e-3 * estimate)
    np.testing.assert_allclose(scaled, nmse(truth=truth, estimate=estimate), rtol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_each_image_has_its_own_value(measure: Callable[..., Any]) -> None:
    truth, estimate = pair(3, 2, 8, 9)
    together = [float(value) for value in measure(truth=truth, estimate=estimate)]
    alone = [
        float(measure(truth=truth[i : i + 1], estimate=estimate[i : i + 1])[0]) for i in range(3)
    ]
    assert together == pytest.approx(alone, rel=1e-13)
    assert len(set(together)) == 3


@pytest.mark.parametrize("measure", [m for m in MEASURES if m is not MEASURES[1]])
def test_numpy_torch_and_single_images_agree(measure: Callable[..., Any]) -> None:
    truth, estimate = pair(8, 9)
    estimate.requires_grad_()
    whole = measure(truth=truth[None, None], estimate=estimate[None, None])
    array = estimate.detach().numpy()
    array.setflags(write=False)
    assert measure(truth=truth, estimate=estimate).tolist() == whole.tolist()
    assert measure(truth=truth, estimate=array).tolist() == whole.tolist()
    flipped = measure(truth=truth.numpy()[::-1], estimate=array[::-1])
    assert flipped.tolist() == pytest.approx(whole.tolist(), rel=1e-12)


def test_integers_do_not_wrap_around() -> None:
    truth, estimate = np.full((4, 4), 1, np.uint8), np.full((4, 4), 3, np.uint8)
    assert nmse(truth=truth, estimate=estimate).tolist() == [4.0]
    result = psnr(truth=truth, estimate=estimate, data_range=FixedRange(255))
    assert result.tolist() == pytest.approx([20 * math.log10(127.5)])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["truth", "estimate"])
def test_images_with_nan_are_named(measure: Callable[..., Any], bad: float, name: str) -> None:
    images = dict(zip(("truth", "estimate"), pair(4, 1, 8, 8), strict=True))
    images[name][1, 0, 2, 3] = bad
    images[name][3, 0, 0, 0] = bad
    with pytest.raises(DataError, match=rf"{name}, batch index \[1, 3\]"):
        measure(**images)


@pytest.mark.parametrize("measure", [psnr, psnr_torch, ssim])
def test_constant_truth_has_no_max_min(measure: Callable[..., Any]) -> None:
    truth, estimate = pair(2, 1, 8, 8)
    truth[1] = 0.7
    with pytest.raises(DataError, match=r"constant images at batch index \[1\]"):
        measure(truth=truth, estimate=estimate, data_range=MaxMinPerImage())


def test_zero_truth_has_no_nmse() -> None:
    truth, estimate = pair(2, 1, 8, 8)
    truth[0] = 0
    with pytest.raises(DataError, match=r"zero images at batch index \[0\]"):
        nmse(truth=truth, estimate=estimate)


@pytest.mark.parametrize("measure", [psnr, psnr_torch, ssim])
@pytest.mark.parametrize("data_range", [1.0, "max-min", None])
def test_data_range_is_a_value_and_has_no_default(
    measure: Callable[..., Any], data_range: object
) -> None:
    truth, estimate = pair(1, 1, 8, 8)
    with pytest.raises(ConfigError, match=r"range=NUMBER.*max-min"):
        measure(truth=truth, estimate=estimate, data_range=data_range)
    with pytest.raises(TypeError, match="data_range"):
        measure(truth=truth, estimate=estimate)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("shape", [(8,), (1, 8, 8), (1, 1, 1, 8, 8), (0, 1, 8, 8), (1, 1, 0, 8)])
def test_other_axes_are_refused(measure: Callable[..., Any], shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="batch, channel, ny, nx"):
        measure(truth=torch.zeros(shape), estimate=torch.zeros(shape))


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_is_broadcast(measure: Callable[..., Any]) -> None:
    truth, estimate = pair(2, 1, 8, 8)
    with pytest.raises(ShapeError, match="same shape"):
        measure(truth=truth, estimate=estimate[:1])


@pytest.mark.parametrize("measure", MEASURES)
def test_complex_images_are_refused(measure: Callable[..., Any]) -> None:
    truth, estimate = pair(1, 1, 8, 8)
    with pytest.raises(DtypeError, match="estimate with real numbers"):
        measure(truth=truth, estimate=estimate.to(torch.complex128))


def test_ssim_needs_a_whole_window() -> None:
    truth, estimate = pair(1, 1, 6, 20)
    with pytest.raises(ShapeError, match="7×7"):
        ssim(truth=truth, estimate=estimate, data_range=ONE)


def test_psnr_torch_has_no_gradient() -> None:
    truth, estimate = pair(1, 1, 8, 8)
    result = psnr_torch(truth=truth, estimate=estimate.requires_grad_(), data_range=ONE)
    assert not result.requires_grad
