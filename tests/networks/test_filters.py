"""The ramp filter against its kernel, a dense matrix, and its Fourier transform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.linalg import toeplitz

from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.networks import RampFilter, apply_filter, padded_length, ramp_response

if TYPE_CHECKING:
    from learnedrecon.networks.filters import Window

SIZES = [1, 2, 7, 16, 183]
WINDOWS = [("ram-lak", 1.0), ("ram-lak", 0.6), ("hann", 1.0), ("hann", 0.37)]


def kernel(n: int) -> np.ndarray:
    """h[0], ..., h[n-1] of Ramachandran and Lakshminarayanan (1971)."""
    return np.array(
        [0.25 if k == 0 else -1 / (math.pi * k) ** 2 if k % 2 else 0.0 for k in range(n)]
    )


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-14), (torch.float32, 3e-7)])
def test_equals_direct_convolution(n: int, dtype: torch.dtype, atol: float) -> None:
    torch.manual_seed(n)
    data = torch.rand(2, 3, n, dtype=dtype)
    expected = data.double().numpy() @ toeplitz(kernel(n))
    result = RampFilter()(data)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("window", "bandwidth"), WINDOWS)
def test_matrix_is_symmetric_and_toeplitz(n: int, window: Window, bandwidth: float) -> None:
    matrix = RampFilter(n, window=window, bandwidth=bandwidth)(torch.eye(n, dtype=torch.float64))
    np.testing.assert_allclose(matrix, toeplitz(matrix[0]), rtol=0, atol=1e-15)


@pytest.mark.parametrize("window", ["ram-lak", "hann"])
@pytest.mark.parametrize("bandwidth", [1.0, 0.5])
def test_response_is_the_ramp_times_the_window(window: Window, bandwidth: float) -> None:
    """abs(f) up to the aliasing of a kernel cut at N/2: below 4 / (π² N/2)."""
    n = 512
    length = padded_length(n)
    response = ramp_response(n, window, bandwidth, torch.float64, "cpu").numpy()
    f = np.fft.rfftfreq(length)
    cut = bandwidth * 0.5
    factor = 0.5 * (1 + np.cos(np.pi * f / cut)) if window == "hann" else np.ones_like(f)
    expected = np.where(f <= cut, f * factor, 0.0)
    np.testing.assert_allclose(response, expected, rtol=0, atol=4 / (math.pi**2 * length / 2))
    assert not response[f > cut].any()


def test_windows_multiply_the_ramp_exactly() -> None:
    ramp = ramp_response(50, "ram-lak", 1.0, torch.float64, "cpu").numpy()
    hann = ramp_response(50, "hann", 0.8, torch.float64, "cpu").numpy()
    f = np.fft.rfftfreq(padded_length(50))
    factor = np.where(f <= 0.4, 0.5 * (1 + np.cos(np.pi * f / 0.4)), 0.0)
    np.testing.assert_allclose(hann, ramp * factor, rtol=0, atol=1e-15)


def test_mean_is_that_of_the_kernel_and_not_zero() -> None:
    """A sampled abs(f) would have response 0 at f = 0: the error that shifts every image."""
    n = 100
    length = padded_length(n)
    response = ramp_response(n, "ram-lak", 1.0, torch.float64, "cpu")
    h = kernel(length // 2 + 1)
    total = h[0] + 2 * h[1:-1].sum() + h[-1]
    assert response[0].item() == pytest.approx(total, abs=1e-15)
    assert total > 1e-3


def test_length_is_even_smooth_and_without_wrap_around() -> None:
    smooth = {2**a * 3**b * 5**c for a in range(1, 12) for b in range(8) for c in range(6)}
    for n in range(1, 1025):
        assert padded_length(n) == min(m for m in smooth if m >= 2 * n)


def test_is_differentiable_and_its_own_adjoint() -> None:
    ramp = RampFilter(window="hann", bandwidth=0.9)
    data = torch.randn(2, 3, 11, dtype=torch.float64, requires_grad=True)
    other = torch.randn(2, 3, 11, dtype=torch.float64)
    assert torch.autograd.gradcheck(ramp, (data,))
    (adjoint,) = torch.autograd.grad(ramp(data), data, other)
    torch.testing.assert_close(adjoint, ramp(other), rtol=0, atol=1e-14)


def test_has_no_state_that_conversion_could_spoil() -> None:
    ramp = RampFilter(9)
    data = torch.randn(2, 9, dtype=torch.float64)
    expected = ramp(data)
    assert not ramp.state_dict()
    assert torch.equal(ramp.float().double()(data), expected)
    assert "detectors=9" in repr(ramp)


def test_any_response_long_enough_will_do() -> None:
    data = torch.randn(4, 10, dtype=torch.float64)
    longer = ramp_response(37, "ram-lak", 1.0, torch.float64, "cpu")
    torch.testing.assert_close(apply_filter(data, longer), RampFilter()(data), rtol=0, atol=1e-14)


def test_short_response_is_refused() -> None:
    response = ramp_response(10, "ram-lak", 1.0, torch.float32, "cpu")
    with pytest.raises(ShapeError, match="N ≥ 2n"):
        apply_filter(torch.zeros(2, 11), response)


def test_response_of_another_type_is_refused() -> None:
    response = ramp_response(10, "ram-lak", 1.0, torch.float64, "cpu")
    with pytest.raises(DtypeError, match=r"torch\.float32"):
        apply_filter(torch.zeros(2, 10), response)


@pytest.mark.parametrize("data", [torch.zeros(2, 8), torch.zeros(2, 0), torch.tensor(1.0)])
def test_wrong_detectors_are_refused(data: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="9"):
        RampFilter(9)(data)


@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64, torch.int32])
def test_wrong_numbers_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(DtypeError, match="float32 or float64"):
        RampFilter()(torch.zeros(2, 9, dtype=dtype))


@pytest.mark.parametrize(
    ("window", "bandwidth"), [("hamming", 1.0), ("hann", 0.0), ("hann", 1.1), ("hann", math.nan)]
)
def test_unknown_windows_are_refused(window: Window, bandwidth: float) -> None:
    with pytest.raises(ConfigError, match="ram-lak"):
        RampFilter(window=window, bandwidth=bandwidth)
    with pytest.raises(ConfigError, match="ram-lak"):
        ramp_response(9, window, bandwidth, torch.float32, "cpu")


def test_no_detectors_are_refused() -> None:
    with pytest.raises(ConfigError, match="detectors"):
        RampFilter(0)
    with pytest.raises(ShapeError, match="n=0"):
        padded_length(0)
