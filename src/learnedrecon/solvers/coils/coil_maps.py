"""Coil images, their combination, and low-resolution coil maps.

Everything here takes k-space (..., coil, ky, kx) with k = 0 at n // 2 and its images by the centred
orthonormal FFT. Maps S are (..., coil, ny, nx), complex, with Σ_c |S_c|² = 1 on their support and
zero outside. The data determine only the ratios of the maps; a common factor, in particular the
phase, is a convention.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learnedrecon.errors import DataError, DtypeError, ShapeError, describe
from learnedrecon.operators.mri.cartesian_checks import require_finite_kspace
from learnedrecon.operators.space import require_tensor

_PLANE = (-2, -1)
_HERMITIAN = 1e-4


def coil_images(kspace: Tensor) -> Tensor:
    """The centred orthonormal inverse FFT over the last two axes, (..., ny, nx).

    Args:
        kspace: k-space (..., ky, kx), complex, with k = 0 at n // 2.
    """
    shifted = torch.fft.ifftshift(kspace, dim=_PLANE)
    return torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=_PLANE)


def rss(images: Tensor, *, coil_axis: int = -3) -> Tensor:
    """Root of the sum of squares over the coils, real, without the coil axis (Roemer et al. 1990).

    Args:
        images: Coil images, (..., coil, ny, nx).
        coil_axis: Axis of the coils.
    """
    return torch.linalg.vector_norm(images, dim=coil_axis)


def low_resolution_maps(
    kspace: Tensor, *, calibration: int | tuple[int, int] = 24, threshold: float = 0.05
) -> Tensor:
    """Coil maps from the windowed centre of k-space: low-resolution images divided by their RSS.

    The window is Hann's over ``calibration`` samples. Unlike ESPIRiT's, these maps keep the phase
    of the (low-resolution) object, and are inaccurate near its border.

    McKenzie et al. 2002, MRM 47.

    Args:
        kspace: k-space (..., coil, ky, kx), complex, fully sampled in the centre.
        calibration: Size of the centre in samples, one number or (ky, kx).
        threshold: Fraction of the maximal RSS at or below which maps are zero.

    Returns:
        Maps (..., coil, ny, nx) in the dtype of ``kspace``, differentiable.

    Raises:
        ShapeError: There are fewer than three axes, or the centre is larger than k-space.
        DtypeError: The data are real.
        DataError: The data are not finite, or the centre is not fully sampled.
    """
    sizes = calibration_size(calibration)
    check_kspace(kspace)
    windowed = torch.zeros_like(kspace)
    rows, columns = centre_slices(kspace, sizes)
    window = torch.ones((), dtype=kspace.real.dtype, device=kspace.device)
    for size in sizes:
        hann = torch.hann_window(size + 2, periodic=False, dtype=window.dtype, device=window.device)
        window = window[..., None] * hann[1:-1]
    windowed[..., rows, columns] = centre_of(kspace, sizes) * window
    images = coil_images(windowed)
    total = rss(images)[..., None, :, :]
    support = total > threshold * total.amax(dim=_PLANE, keepdim=True)
    return torch.where(support, images / torch.where(support, total, 1.0), 0.0)


def whiten(kspace: Tensor, covariance: Tensor) -> Tensor:
    """Noise whitening to virtual coils: L⁻¹y with LL* = Ψ (Pruessmann et al. 2001, MRM 46).

    Args:
        kspace: k-space y, (..., coil, ky, kx), complex.
        covariance: Ψ = E[n n*] of one sample's noise over the coils, (coil, coil), Hermitian and
            positive definite; a real matrix is taken as a complex one with the same values.

    Returns:
        k-space of the virtual coils (..., coil, ky, kx), with unit noise covariance. Coil maps must
        be those of the virtual coils.

    Raises:
        ShapeError: The sizes do not fit.
        DtypeError: k-space is not complex, or the covariance is not floats.
        DataError: Values are not finite, or Ψ is not Hermitian and positive definite.
    """
    check_kspace(kspace)
    require_tensor(covariance, "a covariance")
    coils = kspace.shape[-3] if kspace.ndim >= 3 else -1
    if covariance.shape != (coils, coils):
        raise ShapeError(
            describe(
                expected="k-space (..., coil, ky, kx) and a covariance (coil, coil)",
                found=f"{tuple(kspace.shape)} and {tuple(covariance.shape)}",
                fix="give one row and column for each coil",
            )
        )
    covariance = covariance.to(kspace)
    _require_hermitian(covariance)
    root, info = torch.linalg.cholesky_ex(covariance)
    if int(info) != 0:
        raise DataError(
            describe(
                expected="a positive definite noise covariance",
                found=f"one that is not, seen at row {int(info) - 1}",
                fix="measure the noise over more samples, or drop a coil that is dead",
            )
        )
    flat = torch.linalg.solve_triangular(root, kspace.flatten(-2), upper=False)
    return flat.reshape(kspace.shape)


def _require_hermitian(covariance: Tensor) -> None:
    distance = float((covariance - covariance.mH).abs().max())
    if not distance <= _HERMITIAN * float(covariance.abs().max()):
        raise DataError(
            describe(
                expected="a Hermitian noise covariance, Ψ = Ψ*",
                found=f"one with |Ψ - Ψ*| up to {distance:g}",
                fix="compute n n* averaged over noise samples n, with the conjugate",
            )
        )


def calibration_size(calibration: int | tuple[int, int]) -> tuple[int, int]:
    """The size (ky, kx) of a calibration region.

    Args:
        calibration: Size in samples, one number or (ky, kx).
    """
    return (calibration, calibration) if isinstance(calibration, int) else calibration


def centre_slices(kspace: Tensor, sizes: tuple[int, int]) -> tuple[slice, slice]:
    """The slices of the centre of k-space, from n//2 - size//2 on.

    Args:
        kspace: k-space (..., ky, kx).
        sizes: Size of the centre, (ky, kx).

    Raises:
        ShapeError: The centre has no samples, or more than k-space.
    """
    shape = kspace.shape[-2:]
    if not all(1 <= size <= n for size, n in zip(sizes, shape, strict=True)):
        raise ShapeError(
            describe(
                expected=f"a calibration region of 1 to {tuple(shape)} samples",
                found=str(sizes),
                fix="choose another 'calibration'",
            )
        )
    starts = [n // 2 - size // 2 for n, size in zip(shape, sizes, strict=True)]
    return slice(starts[0], starts[0] + sizes[0]), slice(starts[1], starts[1] + sizes[1])


def centre_of(kspace: Tensor, sizes: tuple[int, int]) -> Tensor:
    """The central samples of k-space, (..., coil, *sizes).

    Args:
        kspace: k-space (..., coil, ky, kx).
        sizes: Size of the centre, (ky, kx).

    Raises:
        ShapeError: The centre has no samples, or more than k-space.
        DataError: A sample of the centre is zero in all coils.
    """
    rows, columns = centre_slices(kspace, sizes)
    centre = kspace[..., rows, columns]
    missing = int((centre == 0).all(dim=-3).sum())
    if missing:
        raise DataError(
            describe(
                expected=f"a fully sampled centre of {sizes[0]} × {sizes[1]} samples",
                found=f"{missing} samples that are zero in all coils",
                fix="set 'calibration' to the (ky, kx) samples that were acquired",
            )
        )
    return centre


def check_kspace(kspace: Tensor) -> None:
    """Check for multi-coil k-space.

    Args:
        kspace: k-space (..., coil, ky, kx).

    Raises:
        ShapeError: There are fewer than three axes.
        DtypeError: The data are not a tensor, or not complex.
        DataError: A value is not finite.
    """
    require_tensor(kspace, "k-space")
    if kspace.ndim < 3:
        raise ShapeError(
            describe(
                expected="k-space of shape (..., coil, ky, kx)",
                found=str(tuple(kspace.shape)),
                fix="add a coil axis",
            )
        )
    if not kspace.is_complex():
        raise DtypeError(
            describe(
                expected="complex k-space",
                found=str(kspace.dtype),
                fix="give complex64 or complex128, torch.view_as_complex makes it from pairs",
            )
        )
    require_finite_kspace(kspace)
