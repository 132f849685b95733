"""ESPIRiT: coil maps as eigenvectors, from the fully sampled centre of k-space.

Every k × k block of multi-coil k-space lies near one subspace, which the blocks of a fully sampled
region span. Let V be its orthonormal basis from a singular value decomposition of those blocks. At
a pixel x, the vector of the coils' sensitivities times the plane wave of x must lie in it, so it is
an eigenvector with eigenvalue 1 of

    G(x) = E(x)* V V* E(x) / k²,   E(x) s = (s_c · exp(-2πi p·x/n))_{c, p},  p in the block.

Instead of transforming each kernel, V V* is summed along its diagonals first: G has (2k - 1)²
Fourier coefficients for a pair of coils, however many kernels there are. G(x) is evaluated for a
few rows of the image at a time.

Uecker et al., ESPIRiT - an eigenvalue approach to autocalibrating parallel MRI: where SENSE meets
GRAPPA, MRM 71 (2014), in the version with one set of maps.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import ConfigError, require
from learnedrecon.solvers.coils.coil_maps import calibration_size, centre_of, check_kspace

_CHUNK: Final = 2**18
"""Entries of G that are held at a time (4 MiB of complex128, a few times over)."""


class CoilMaps(NamedTuple):
    """Coil maps, with the eigenvalue that shows where one set of maps explains the data.

    Attributes:
        maps: Coil maps S, (..., coil, ny, nx), complex, Σ_c |S_c|² = 1 on the support and 0
            outside.
        eigenvalue: Largest eigenvalue of G, (..., ny, nx), in [0, 1]: near 1 where one set of maps
            explains the data.
    """

    maps: Tensor
    eigenvalue: Tensor


@uncompiled
def espirit(
    kspace: Tensor,
    *,
    calibration: int | tuple[int, int] = 24,
    kernel: int = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
    soft: float = 0.0,
    iterations: int = 100,
) -> CoilMaps:
    """Coil maps by ESPIRiT.

    The phase is chosen such that the first coil's map is real and not negative. The maps do not
    change when k-space is multiplied by a number. The maps are not differentiable.

    Args:
        kspace: k-space (..., coil, ky, kx), complex64 or complex128, k = 0 at n // 2, undersampled
            only outside the calibration region. Leading axes are separate measurements.
        calibration: Size of the fully sampled centre that is used, one number or (ky, kx).
        kernel: Side k of a block.
        threshold: Fraction of the largest singular value at or below which singular values count as
            noise.
        crop: Eigenvalue at or below which maps are zero.
        soft: Half the width of a ramp (3t² - 2t³) around ``crop`` on which the maps decrease to 0;
            Σ|S|² is then below 1 on it. 0 gives a sharp border.
        iterations: Number of power iterations for the eigenvector, from (1, ..., 1); they are
            computed by squaring G, so that many cost little.

    Returns:
        Maps and eigenvalue, in the precision of ``kspace`` and on its device.

    Raises:
        ShapeError: k-space is not (..., coil, ky, kx), or the calibration region is larger than
            k-space.
        DtypeError: The data are real.
        DataError: A value is not finite, or a sample of the calibration region is zero in all
            coils.
        ConfigError: A parameter is out of range.
    """
    check_kspace(kspace)
    sizes = calibration_size(calibration)
    _check_blocks(sizes, kernel, threshold)
    _check_maps(crop, soft, iterations)
    with torch.no_grad():
        centre = centre_of(kspace, sizes)
        found = [
            _one(block, kspace.shape[-2:], kernel, threshold, iterations)
            for block in centre.reshape(-1, *centre.shape[-3:])
        ]
        vectors = torch.stack([vector for vector, _ in found])
        value = torch.stack([value for _, value in found])
        maps = vectors * _weight(value, crop, soft)[:, None]
        return CoilMaps(
            maps.reshape(kspace.shape), value.reshape(*kspace.shape[:-3], *kspace.shape[-2:])
        )


def block_projection(centre: Tensor, kernel: int, threshold: float) -> Tensor:
    """The orthogonal projection V V* onto the span of the blocks of a calibration region.

    Args:
        centre: Calibration region, (coil, cy, cx), complex.
        kernel: Side k of a block.
        threshold: Threshold of singular values, as in :func:`espirit`.

    Returns:
        Hermitian matrix (coil · k², coil · k²) with rows (coil, py, px), complex128.
    """
    blocks = centre.to(torch.complex128).unfold(1, kernel, 1).unfold(2, kernel, 1)
    rows = blocks.permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)
    _, values, basis = torch.linalg.svd(rows, full_matrices=False)
    basis = basis[values > threshold * values[0]]
    return basis.mT @ basis.conj()


def _one(
    centre: Tensor, shape: torch.Size, kernel: int, threshold: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """The eigenvectors (coil, ny, nx) and eigenvalues (ny, nx) of one measurement."""
    coils = centre.shape[0]
    coefficients = _coefficients(block_projection(centre, kernel, threshold), coils, kernel)
    waves_y, waves_x = (_waves(n, kernel, centre.device) for n in shape)
    lines = torch.einsum("xd,ydab->yxab", waves_x, coefficients)
    lines = lines.flatten(1).to(centre.dtype)
    step = max(1, _CHUNK // (shape[1] * coils**2))
    found = [
        _top_eigenpair((part @ lines).reshape(-1, coils, coils), iterations)
        for part in waves_y.to(centre.dtype).split(step)
    ]
    vectors = torch.cat([vector for vector, _ in found])
    values = torch.cat([value for _, value in found])
    return vectors.T.reshape(coils, *shape), values.reshape(shape)


def _coefficients(projection: Tensor, coils: int, kernel: int) -> Tensor:
    """Sums along the diagonals, over k²: (2k - 1, 2k - 1, coil, coil) for differences dy, dx."""
    width = 2 * kernel - 1
    place = torch.arange(kernel, device=projection.device)
    difference = place[:, None] - place + kernel - 1
    index = width * difference[:, None, :, None] + difference[None, :, None, :]
    pairs = projection.reshape(coils, kernel**2, coils, kernel**2).permute(1, 3, 0, 2).flatten(0, 1)
    sums = pairs.new_zeros(width**2, coils, coils)
    sums.index_add_(0, index.flatten(), pairs)
    return sums.reshape(width, width, coils, coils) / kernel**2


def _waves(size: int, kernel: int, device: torch.device) -> Tensor:
    """exp(2πi d x / n) for pixels x around n // 2 and differences |d| < k, (n, 2k - 1)."""
    x = torch.arange(size, dtype=torch.float64, device=device) - size // 2
    d = torch.arange(1 - kernel, kernel, dtype=torch.float64, device=device)
    phase = (2.0 * math.pi / size) * x[:, None] * d
    return torch.polar(torch.ones_like(phase), phase)


def _top_eigenpair(matrices: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Power iterations from (1, ..., 1), by the binary digits of their number; first entry ≥ 0.

    Args:
        matrices: G, (number, coil, coil), Hermitian and positive semidefinite.
        iterations: at least 1.

    Returns:
        Unit vectors (number, coil) and their Rayleigh quotients (number,).
    """
    tiny = torch.finfo(matrices.real.dtype).tiny
    vector = torch.ones_like(matrices[:, :, :1])
    power, rest = matrices, iterations
    while rest:
        if rest % 2:
            vector = power @ vector
            vector = vector / torch.linalg.vector_norm(vector, dim=1, keepdim=True).clamp_min(tiny)
        rest //= 2
        if rest:
            trace = power.diagonal(dim1=1, dim2=2).real.sum(-1).clamp_min(tiny)
            scaled = torch.view_as_real(power) / trace[:, None, None, None]
            power = torch.view_as_complex(scaled)
            power = power @ power
    value = (vector.conj() * (matrices @ vector)).real.sum(dim=(1, 2))
    first = vector[:, :1]
    phase = torch.where(first == 0, 1.0, torch.sgn(first).conj())
    return (vector * phase)[..., 0], value


def _weight(value: Tensor, crop: float, soft: float) -> Tensor:
    if soft == 0.0:
        return (value > crop).to(value.dtype)
    t = ((value - crop + soft) / (2.0 * soft)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _check_blocks(sizes: tuple[int, int], kernel: int, threshold: float) -> None:
    _check(kernel >= 1, "a kernel of at least 1 sample", str(kernel), "choose about 6")
    _check(
        kernel <= min(sizes),
        f"a calibration region of at least {kernel} × {kernel} samples, as large as the kernel",
        f"{sizes[0]} × {sizes[1]} samples",
        f"choose a kernel of at most {min(sizes)}, or acquire more lines in the centre",
    )
    right = 0.0 <= threshold < 1.0
    _check(right, "a threshold in [0, 1)", str(threshold), "choose about 0.02")


def _check_maps(crop: float, soft: float, iterations: int) -> None:
    _check(0.0 <= crop <= 1.0, "a crop in [0, 1]", str(crop), "choose about 0.95")
    _check(0.0 <= soft <= 1.0, "a softening in [0, 1]", str(soft), "0 is a sharp border")
    right = iterations >= 1
    _check(right, "one or more iterations", str(iterations), "choose about 100")


def _check(right: object, expected: str, found: str, fix: str) -> None:
    require(right, ConfigError, expected=expected, found=found, fix=fix)
