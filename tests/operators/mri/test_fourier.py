"""The centred Fourier transform against sums of cosines and sines."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import DtypeError
from learnedrecon.operators.mri.fourier import CentredFFT, phases_after, phases_before
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix

SHAPES = [(1,), (2,), (7,), (8,), (5, 6), (6, 5), (4, 4), (3, 4, 5), (2, 3, 2, 3)]


def by_hand(shape: tuple[int, ...]) -> Tensor:
    """[[Re, -Im], [Im, Re]] of exp(-2πi Σ (k - c)(x - c)/n)/sqrt(N), entry by entry."""
    places = list(itertools.product(*map(range, shape)))
    scale = 1 / math.sqrt(math.prod(shape))
    real = torch.zeros(len(places), len(places), dtype=torch.float64)
    imag = torch.zeros_like(real)
    for row, k in enumerate(places):
        for column, x in enumerate(places):
            along = zip(k, x, shape, strict=True)
            turns = sum((a - n // 2) * (b - n // 2) / n for a, b, n in along)
            real[row, column] = scale * math.cos(2 * math.pi * turns)
            imag[row, column] = -scale * math.sin(2 * math.pi * turns)
    return torch.cat([torch.cat([real, -imag], 1), torch.cat([imag, real], 1)])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_matrix_is_the_formula(shape: tuple[int, ...]) -> None:
    matrix = dense_matrix(CentredFFT(Space(shape, torch.complex128)))
    assert torch.allclose(matrix, by_hand(shape), rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_composition_with_shifts(shape: tuple[int, ...]) -> None:
    u = Space((2, *shape), torch.complex128).random(torch.Generator().manual_seed(0))
    axes = tuple(range(-len(shape), 0))
    shifted = torch.fft.fftn(torch.fft.ifftshift(u, axes), dim=axes, norm="ortho")
    expected = torch.fft.fftshift(shifted, axes)
    assert torch.allclose(CentredFFT(Space(shape, torch.complex128))(u), expected, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_inverse_is_the_adjoint(shape: tuple[int, ...]) -> None:
    fourier = CentredFFT(Space(shape, torch.complex128))
    u = fourier.domain.random(torch.Generator().manual_seed(0), (3,))
    assert torch.allclose(fourier.inverse(fourier(u)), u, rtol=0, atol=1e-13)
    assert torch.allclose(fourier(fourier.inverse(u)), u, rtol=0, atol=1e-13)
    solved = fourier.normal_inverse(u, 0.3)
    assert torch.allclose(fourier.adjoint(fourier(solved)) + 0.3 * solved, u, rtol=0, atol=1e-13)


def test_a_constant_is_a_peak_in_the_middle() -> None:
    fourier = CentredFFT(Space((6, 5), torch.complex128))
    peak = torch.zeros(6, 5, dtype=torch.complex128)
    peak[3, 2] = math.sqrt(30)
    assert torch.allclose(fourier(torch.ones_like(peak)), peak, rtol=0, atol=1e-13)


@pytest.mark.parametrize("n", [2, 4, 6, 320])
def test_phases_of_even_sizes_are_exactly_signs(n: int) -> None:
    for phases in (phases_before(n), phases_after(n)):
        assert torch.equal(phases.imag, torch.zeros(n, dtype=torch.float64))
        assert torch.equal(phases.real.abs(), torch.ones(n, dtype=torch.float64))


def test_the_phases_are_those_of_the_precision() -> None:
    u = Space((7, 9), torch.complex128).random(torch.Generator().manual_seed(0))
    single, double = (CentredFFT(Space((7, 9), d)) for d in (torch.complex64, torch.complex128))
    expected = double(u)
    assert torch.equal(single(u), expected)
    assert torch.equal(single.to(torch.float64)(u), expected)
    assert single.to(torch.float32)(u.to(torch.complex64)).dtype == torch.complex64


def test_real_spaces_are_refused() -> None:
    with pytest.raises(DtypeError, match="complex64 or complex128 for CentredFFT"):
        CentredFFT(Space((4, 4)))
