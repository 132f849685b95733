"""Spectral initialisation of phase retrieval, an approximate pseudo-inverse of |Au|²."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from learnedrecon.operators.magnitude import Phaseless, squared
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.networks.filters import Window

ITERATIONS: Final = 60


@torch.no_grad()
def spectral_image(operator: Phaseless, data: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Image with the direction of the leading eigenvector of A* diag(y) A, y the intensities |Au|².

    By power iteration from one drawn image, the same for every sample (Candès, Li, Soltanolkotabi,
    IEEE Trans. Inf. Theory 61(4), 2015, algorithm 1); its size is the one whose intensities are
    nearest to y in the mean square. The zero image, at which the derivative of |Au|² vanishes, is
    no start for an iteration; this one is. The phase, or sign, of the image is arbitrary. No
    gradient flows through it.

    Args:
        operator: T, of phase retrieval or magnitudes.
        data: y, (..., *codomain.shape).
        iterations: Number of power iterations.

    Returns:
        (..., *domain.shape).
    """
    inner, intensity = operator.operator, operator.intensity(data)
    axes = tuple(range(-operator.domain.ndim, 0))
    lead = data.shape[: data.ndim - operator.codomain.ndim]
    drawn = operator.domain.random(torch.Generator().manual_seed(0), ())
    real = torch.promote_types(data.dtype.to_real(), torch.float32)
    dtype = real.to_complex() if drawn.is_complex() else real
    image = drawn.to(data.device, dtype).expand(*lead, *operator.domain.shape)
    for _ in range(iterations):
        image = inner.adjoint(intensity * inner(image))
        size = torch.linalg.vector_norm(image, dim=axes, keepdim=True)
        image = image / size.clamp_min(torch.finfo(real).tiny)
    seen = squared(inner(image))
    ends = tuple(range(-operator.codomain.ndim, 0))
    match = (seen * intensity).sum(ends) / seen.square().sum(ends).clamp_min(torch.finfo(real).tiny)
    return image * match.clamp_min(0).sqrt().reshape(*lead, *[1] * operator.domain.ndim)


@pseudo_inverse.register(Phaseless)
def _of_phaseless(
    operator: Phaseless,
    data: Tensor,
    *,
    window: Window = "ram-lak",  # noqa: ARG001 - of filtered back-projection
    bandwidth: float = 1.0,  # noqa: ARG001 - likewise
) -> Tensor:
    return spectral_image(operator, data)
