"""The normal operator T*WT of a non-Cartesian transform by two FFTs on a doubled grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from learnedrecon.compiling import real_of
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.mri.nufft import nufft_adjoint

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.space import Space

_CACHED = 2**18


class ToeplitzNormal(LinearOperator):
    """u ↦ Σ_c S_c* F* W F S_c u, as convolutions with p(x) = n⁻¹ Σ_j w_j exp(i k_j·x).

    F*WF is a Toeplitz matrix, embedded in a circulant matrix of twice the size, whose eigenvalues
    are real because p(-x) is the conjugate of p(x) (Fessler et al., IEEE Trans. Signal Process.
    53(9), 2005). It equals the composition of the transforms to their accuracy, and is exactly
    self-adjoint.

    Args:
        domain: Space of images.
        eigenvalues: Eigenvalues of the circulant matrix, (*lead, *(2n along each axis)), real.
        maps: Coil maps (*lead, coil, *domain.shape), or None without coils.
    """

    eigenvalues: Tensor
    maps: Tensor | None

    def __init__(self, domain: Space, eigenvalues: Tensor, maps: Tensor | None = None) -> None:
        super().__init__(domain, domain)
        self.register_buffer("eigenvalues", eigenvalues, persistent=False)
        self.register_buffer("maps", maps, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        if self.maps is None:
            return self._convolve(u, self.eigenvalues)
        n = self.domain.ndim
        maps, eigenvalues = self.maps.to(u.dtype), self.eigenvalues.unsqueeze(-n - 1)
        return (maps.conj() * self._convolve(maps * u.unsqueeze(-n - 1), eigenvalues)).sum(-n - 1)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.evaluate(v)

    def _convolve(self, u: Tensor, eigenvalues: Tensor) -> Tensor:
        """Few images at a time, so that they stay in the cache, where eigenvalues are shared."""
        if not u.numel():
            return torch.zeros_like(u)
        shape = self.domain.shape
        eigenvalues = eigenvalues.to(real_of(u.dtype)).unsqueeze(-1)
        if self.eigenvalues.ndim > len(shape):
            return _filtered(u, eigenvalues, shape)
        images = u.reshape(math.prod(u.shape[: -len(shape)]), *shape)
        eigenvalues = eigenvalues.reshape(*self.eigenvalues.shape, 1)
        parts = images.split(max(1, _CACHED // self.eigenvalues.numel()))
        return torch.cat([_filtered(part, eigenvalues, shape) for part in parts]).reshape(u.shape)


def _filtered(u: Tensor, eigenvalues: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The circulant matrix on u with zeros behind it, axis by axis to leave zeros out."""
    spectrum = u
    axes = range(-1, -len(shape) - 1, -1)
    for axis in axes:
        spectrum = torch.fft.fft(spectrum, n=2 * shape[axis], dim=axis)
    value = torch.view_as_complex(torch.view_as_real(spectrum) * eigenvalues)
    for axis in reversed(axes):
        value = torch.fft.ifft(value, dim=axis).narrow(axis, 0, shape[axis])
    return value


def toeplitz_eigenvalues(points: Tensor, weights: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The eigenvalues for :class:`ToeplitzNormal`, differentiable in points and weights.

    Args:
        points: Frequencies (*lead, number, axes), float64, in radians per pixel.
        weights: w, (*lead, number) float64.
        shape: Shape of the image.

    Returns:
        Eigenvalues (*lead, *(2n along each axis)), float64.
    """
    doubled = tuple(2 * n for n in shape)
    axes = tuple(range(-len(shape), 0))
    scale = math.sqrt(math.prod(doubled)) / math.prod(shape)
    spread = scale * nufft_adjoint(weights.to(torch.complex128), points, doubled)
    for axis in axes:  # the distance -n, which no two pixels have, would not be Hermitian
        inner = spread.narrow(axis, 1, spread.shape[axis] - 1)
        spread = torch.cat([torch.zeros_like(spread.narrow(axis, 0, 1)), inner], dim=axis)
    return torch.fft.fftn(torch.fft.ifftshift(spread, dim=axes), dim=axes).real
