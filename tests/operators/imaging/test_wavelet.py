"""The wavelet transform against PyWavelets."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnedrecon.errors import GeometryError
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.operators.imaging.wavelet_filters import scaling_filter
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import named_from_plain, named_to_plain
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from torch import Tensor

DOUBLE = torch.float64
ORTHOGONAL = [
    name
    for name in pywt.wavelist(kind="discrete")
    if pywt.Wavelet(name).orthogonal and name != "dmey"
]


def of_pywt(u: Tensor, wavelet: str, levels: int) -> tuple[np.ndarray, list[object]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of levels beyond the length of the filter
        parts = pywt.wavedecn(u.numpy(), wavelet, mode="periodization", level=levels)
    return pywt.coeffs_to_array(parts)[0], parts


@given(
    halves=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    levels=st.integers(1, 3),
    wavelet=st.sampled_from(["haar", "db2", "db3", "db4", "sym6", "coif1", "coif3", "db20"]),
)
@settings(max_examples=60, deadline=None)
def test_coefficients_are_those_of_pywavelets(halves: list[int], levels: int, wavelet: str) -> None:
    shape = tuple(n * 2**levels for n in halves)
    if np.prod(shape) > 30_000:
        return
    u = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    transform = Wavelet(WaveletBasis(shape, wavelet, levels), DOUBLE)
    expected, _ = of_pywt(u, wavelet, levels)
    coefficients = transform(u)
    np.testing.assert_allclose(coefficients.numpy(), expected, atol=1e-9)
    torch.testing.assert_close(transform.adjoint(coefficients), u, rtol=0, atol=1e-13)


@pytest.mark.parametrize("wavelet", ORTHOGONAL)
def test_every_wavelet_is_orthogonal_to_rounding(wavelet: str) -> None:
    transform = Wavelet(WaveletBasis((16, 4), wavelet, 2), DOUBLE)
    matrix = dense_matrix(transform)
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(64, dtype=DOUBLE), rtol=0, atol=1e-13)
    given_by_pywt = pywt.Wavelet(wavelet).dec_lo
    np.testing.assert_allclose(scaling_filter(wavelet), given_by_pywt, atol=1e-9)


@pytest.mark.parametrize("shape", [(32,), (8, 16), (8, 4, 8)])
def test_subbands_are_views_with_the_names_of_pywavelets(shape: tuple[int, ...]) -> None:
    u = torch.randn(3, *shape, dtype=DOUBLE)
    transform = Wavelet(WaveletBasis(shape, "db2", 2), DOUBLE)
    coefficients = transform(u)
    low, *details = transform.subbands(coefficients)
    _, parts = of_pywt(u[1], "db2", 2)
    axes = len(shape)
    np.testing.assert_allclose(low["a" * axes][1], np.asarray(parts[0]), atol=1e-12)
    for ours, theirs in zip(details, parts[1:], strict=True):
        assert isinstance(theirs, dict)
        assert ours.keys() == theirs.keys()
        for name, band in theirs.items():
            np.testing.assert_allclose(ours[name][1], band, atol=1e-12)
    sizes = [band.numel() for level in [low, *details] for band in level.values()]
    assert sum(sizes) == coefficients.numel()
    details[-1]["d" * axes].zero_()
    assert not torch.allclose(transform.adjoint(coefficients), u)


def test_an_operator_made_in_single_precision_inverts_in_double() -> None:
    transform = Wavelet(WaveletBasis((32, 32), "sym4", 2))
    u = torch.randn(32, 32, dtype=DOUBLE)
    torch.testing.assert_close(transform.adjoint(transform(u)), u, rtol=0, atol=1e-13)
    moved = transform.to(torch.float64).to(torch.float32)
    torch.testing.assert_close(moved.adjoint(moved(u)), u, rtol=0, atol=1e-13)


def test_norm_and_normal_inverse_are_those_of_an_isometry() -> None:
    transform = Wavelet(WaveletBasis((8, 8), "db2", 1), DOUBLE)
    assert transform.norm() == 1.0
    assert torch.linalg.matrix_norm(dense_matrix(transform), 2).item() == pytest.approx(1)
    b = torch.randn(8, 8, dtype=DOUBLE)
    u = transform.normal_inverse(b, 0.3)
    torch.testing.assert_close(transform.adjoint(transform(u)) + 0.3 * u, b)


def test_transforms_of_functions() -> None:
    transform = Wavelet(WaveletBasis((8, 4), "db2", 2), DOUBLE)
    u = torch.randn(3, 2, 8, 4, dtype=DOUBLE)
    torch.testing.assert_close(torch.func.vmap(transform)(u), transform(u))
    torch.testing.assert_close(torch.func.vmap(transform.adjoint)(u), transform.adjoint(u))
    leaf = u.clone().requires_grad_()
    assert torch.autograd.gradcheck(transform, leaf)
    assert torch.autograd.gradgradcheck(transform, leaf)
    gradient = torch.func.grad(lambda x: 0.5 * transform(x).square().sum())(u)
    torch.testing.assert_close(gradient, u)


def test_plain_data_and_back() -> None:
    basis = WaveletBasis((16, 8), "coif2", 1)
    assert named_from_plain(OPERATORS, named_to_plain(OPERATORS, basis)) == basis


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (((12, 20), "db2", 3), "2\\^levels = 8"),
        (((8, 8), "db2", 0), "at least one level"),
        (((8, 8), "bior2.2", 1), "orthogonal"),
        (((8, 8), "dmey", 1), "'dmey', which is not"),
        (((8, 8), "morl", 1), "orthogonal"),
        (((8, 8), "db99", 1), "'db99'"),
    ],
)
def test_errors(options: tuple[tuple[int, ...], str, int], text: str) -> None:
    with pytest.raises(GeometryError, match=text):
        WaveletBasis(*options)
