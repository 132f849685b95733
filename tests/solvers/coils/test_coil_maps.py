"""Coil images, low-resolution maps and whitening."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch

from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.errors import DataError, DtypeError, ShapeError
from learnedrecon.solvers.coils.coil_maps import coil_images, low_resolution_maps, rss, whiten

DOUBLE = torch.complex128


def centred_fft(images: torch.Tensor) -> torch.Tensor:
    """Forwards, independent of what is tested."""
    shifted = torch.fft.ifftshift(images, dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), dim=(-2, -1))


def phantom_images(size: int = 64, coils: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """(coil images, maps)."""
    maps = birdcage_maps((size, size), coils, dtype=DOUBLE)
    return maps * torch.from_numpy(shepp_logan(size)).double(), maps


@pytest.mark.parametrize("shape", [(6, 8), (5, 7)])
def test_the_transform_is_centred_and_orthonormal(shape: tuple[int, int]) -> None:
    """One sample off k = 0 is a plane wave around the middle pixel."""
    ny, nx = shape
    kspace = torch.zeros(1, ny, nx, dtype=DOUBLE)
    kspace[0, ny // 2 + 1, nx // 2 - 2] = 1.0
    image = coil_images(kspace)
    for iy, ix in ((0, 0), (ny // 2, nx // 2), (2, nx - 1)):
        phase = 2 * math.pi * ((iy - ny // 2) / ny - 2 * (ix - nx // 2) / nx)
        expected = cmath.exp(1j * phase) / math.sqrt(ny * nx)
        assert abs(complex(image[0, iy, ix]) - expected) < 1e-14


def test_images_come_back() -> None:
    images, _ = phantom_images(33)
    torch.testing.assert_close(coil_images(centred_fft(images)), images)


def test_rss_of_normalised_maps_is_the_magnitude() -> None:
    images, _ = phantom_images()
    truth = torch.from_numpy(shepp_logan(64)).double()
    torch.testing.assert_close(rss(images), truth)
    torch.testing.assert_close(rss(images[None, None]), truth[None, None])


def test_low_resolution_maps_of_smooth_coils() -> None:
    """Inside a large smooth object they are the true maps, up to the phase of the object."""
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, 64, dtype=torch.float64)], indexing="ij")
    wave = torch.exp(0.5j * x + 0.3j * y * x)
    truth = birdcage_maps((64, 64), 6, dtype=DOUBLE)
    blob = torch.exp(-2 * (x.square() + y.square()))
    maps = low_resolution_maps(centred_fft(truth * blob * wave), calibration=(24, 20))
    inner = blob > 0.3
    overlap = (truth.conj() * maps).sum(0)[inner]
    assert float(overlap.abs().min()) > 0.999
    assert float((overlap / overlap.abs() - wave[inner]).abs().max()) < 0.1


def test_low_resolution_maps_in_numpy() -> None:
    """The window is sin²(πj/(n + 1)) for the samples j = 1..n of the centre of every axis."""
    generator = torch.Generator().manual_seed(0)
    kspace = torch.randn(3, 12, 11, dtype=DOUBLE, generator=generator)
    windowed = np.zeros((3, 12, 11), complex)
    window = np.outer(*(np.sin(np.pi * np.arange(1, n + 1) / (n + 1)) ** 2 for n in (6, 5)))
    windowed[:, 3:9, 3:8] = kspace[:, 3:9, 3:8].numpy() * window
    axes = (-2, -1)
    shifted = np.fft.ifft2(np.fft.ifftshift(windowed, axes=axes), norm="ortho")
    images = np.fft.fftshift(shifted, axes=axes)
    expected = images / np.sqrt((np.abs(images) ** 2).sum(0))
    found = low_resolution_maps(kspace, calibration=(6, 5), threshold=0.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


def test_low_resolution_maps_are_normalised_on_their_support() -> None:
    images, _ = phantom_images()
    maps = low_resolution_maps(centred_fft(images)[None, None])[0, 0]
    power = maps.abs().square().sum(0)
    support = power > 0.5
    torch.testing.assert_close(power, support.double())
    assert 0.4 < support.double().mean() < 0.8
    everywhere = low_resolution_maps(centred_fft(images), threshold=0.0)
    assert float(everywhere.abs().square().sum(0).min()) > 1 - 1e-9


def test_low_resolution_maps_are_differentiable() -> None:
    images, _ = phantom_images(16, 2)
    kspace = centred_fft(images).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda k: low_resolution_maps(k, calibration=4, threshold=0.0), kspace
    )


def test_samples_outside_the_centre_do_not_matter() -> None:
    images, _ = phantom_images()
    kspace = centred_fft(images)
    other = kspace.clone()
    other[:, :10] = 0
    assert torch.equal(low_resolution_maps(kspace), low_resolution_maps(other))


def test_whitened_noise_is_white() -> None:
    """L⁻¹ Ψ L⁻* = I, and the noise itself by its sample covariance."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 4, dtype=DOUBLE, generator=generator)
    noise = mixing @ torch.randn(4, 40000, dtype=DOUBLE, generator=generator)
    covariance = mixing @ mixing.mH
    white = whiten(noise.reshape(1, 4, 200, 200), covariance).reshape(4, -1)
    identity = torch.eye(4, dtype=DOUBLE)
    torch.testing.assert_close(white @ white.mH / 40000, identity, atol=5 / 200, rtol=0.0)
    inverse = whiten(mixing.reshape(4, 1, 4), covariance)[:, 0]
    torch.testing.assert_close(inverse @ inverse.mH, identity)


def test_wrong_input_is_refused() -> None:
    kspace = torch.ones(2, 32, 32, dtype=torch.complex64)
    with pytest.raises(ShapeError, match="coil"):
        low_resolution_maps(kspace[0])
    with pytest.raises(DtypeError, match="complex"):
        low_resolution_maps(kspace.real)
    with pytest.raises(DataError, match="NaN"):
        low_resolution_maps(kspace * math.nan)
    with pytest.raises(ShapeError, match="calibration region"):
        low_resolution_maps(kspace, calibration=33)
    kspace[:, 16, 10:12] = 0
    with pytest.raises(DataError, match="2 samples that are zero"):
        low_resolution_maps(kspace)
    with pytest.raises(ShapeError, match=r"\(coil, coil\)"):
        whiten(kspace, torch.eye(3, dtype=torch.complex64))
    with pytest.raises(DataError, match="positive definite"):
        whiten(kspace, -torch.eye(2, dtype=torch.complex64))


@pytest.mark.parametrize("dtype", [torch.complex64, DOUBLE])
@pytest.mark.parametrize("real", [torch.float32, torch.float64, torch.complex64])
def test_a_diagonal_covariance_divides_by_standard_deviations(
    dtype: torch.dtype, real: torch.dtype
) -> None:
    """L = diag(σ), real or complex, in either precision: no imaginary part is lost."""
    kspace = torch.randn(2, 3, 4, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    deviations = torch.tensor([1.0, 2.0, 0.5])
    white = whiten(kspace, torch.diag(deviations**2).to(real))
    assert white.dtype == dtype
    torch.testing.assert_close(white, kspace / deviations[:, None, None])


def test_whitening_refuses_what_is_no_noise_covariance() -> None:
    kspace = torch.randn(3, 4, 5, dtype=torch.complex64)
    with pytest.raises(DtypeError, match="complex k-space"):
        whiten(kspace.real, torch.eye(3))
    with pytest.raises(DtypeError, match="a covariance as a torch tensor"):
        whiten(kspace, torch.eye(3).numpy())  # type: ignore[arg-type]
    skew = torch.eye(3, dtype=torch.complex64) + 0.1j * torch.ones(3, 3).triu(1)
    with pytest.raises(DataError, match=r"Hermitian.*up to 0\.1"):
        whiten(kspace, skew)
    with pytest.raises(DataError, match="Hermitian"):
        whiten(kspace, torch.full((3, 3), torch.nan))


def test_kspace_of_numpy_is_named() -> None:
    kspace = torch.randn(3, 32, 32, dtype=torch.complex64).numpy()
    with pytest.raises(DtypeError, match=r"k-space as a torch tensor.*from_numpy"):
        low_resolution_maps(kspace)  # type: ignore[arg-type]
