"""Derivatives of line integrals in the vectors of a two-dimensional scan, on plain tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.kernels.moments import Lines, moments

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes


def lines_of(vectors: Tensor, sizes: Sizes) -> Lines:
    """Where the rays of a scan cross the image, differentiable in the vectors.

    The expressions are those of `RayGeometry2D.table`, in the same order.

    Args:
        vectors: (angles, 6) float64, as in `RayGeometry2D`.
        sizes: of the scan.

    Raises:
        GeometryError: a scan in three dimensions.
    """
    if len(sizes.shape) != 2:
        raise GeometryError(
            describe(
                expected="a scan in two dimensions for derivatives in its geometry",
                found=f"images of shape {sizes.shape}",
                fix="detach the tensors of this geometry",
            )
        )
    (ny, nx), (dy, dx), (detectors,) = sizes.shape, sizes.pixel, sizes.detectors
    d = torch.arange(detectors, dtype=vectors.dtype, device=vectors.device)
    first_x, first_y, pixel_x, pixel_y, step_x, step_y = vectors[:, :, None].unbind(1)
    centre_x, centre_y = pixel_x + d * step_x, pixel_y + d * step_y
    along_x = (centre_x - first_x if sizes.diverging else first_x.expand_as(centre_x)) / dx
    along_y = (centre_y - first_y if sizes.diverging else first_y.expand_as(centre_y)) / dy
    index_x, index_y = centre_x / dx + 0.5 * (nx - 1), centre_y / dy + 0.5 * (ny - 1)
    by_rows = along_y.abs() >= along_x.abs()
    slope = along_x.where(by_rows, along_y) / along_y.where(by_rows, along_x)
    intercept = (index_x - slope * index_y).where(by_rows, index_y - slope * index_x)
    run, rise = (by_rows * dy + ~by_rows * dx), slope * (by_rows * dx + ~by_rows * dy)
    return Lines(by_rows, intercept, slope, (run * run + rise * rise).sqrt())


def gradient(image: Tensor, data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """∂⟨Tu, v⟩/∂vectors, which is ∂⟨u, T*v⟩/∂vectors too, summed over a batch.

    Args:
        image: u, (batch, ny, nx).
        data: v, (batch, angles, detectors).
        vectors: (angles, 6) float64.
        sizes: of the scan.

    Returns:
        (angles, 6) float64, where the vectors are.
    """
    with torch.enable_grad():
        leaf = vectors.detach().requires_grad_()
        lines = lines_of(leaf, sizes)
    weight = lines.weight.detach()
    factors = vectors.new_zeros((3, *weight.shape))
    for u, v in zip(image, data, strict=True):
        factors += (moments(u, lines) * v).to(vectors.device)
    factors[:2] *= weight
    (pulled,) = torch.autograd.grad(lines[1:], leaf, tuple(factors))
    return pulled


def tangent(image: Tensor, vectors: Tensor, direction: Tensor, sizes: Sizes) -> Tensor:
    """The derivative of Tu along a direction in the vectors.

    Args:
        image: u, (batch, ny, nx).
        vectors: (angles, 6) float64.
        direction: (angles, 6) float64.
        sizes: of the scan.

    Returns:
        (batch, angles, detectors), of the type of the image.
    """
    with torch.enable_grad():
        leaf = vectors.detach().requires_grad_()
        lines = lines_of(leaf, sizes)
        # The pullback is linear in what is pulled back; its own transpose pushes forward.
        probe = [torch.zeros_like(part, requires_grad=True) for part in lines[1:]]
        (pulled,) = torch.autograd.grad(lines[1:], leaf, probe, create_graph=True)
    factors = torch.stack(torch.autograd.grad(pulled, probe, direction)).to(image.device)
    factors[:2] *= lines.weight.detach().to(image.device)
    data = image.new_empty((len(image), *lines.weight.shape))
    for u, values in zip(image, data, strict=True):
        values.copy_((moments(u, lines) * factors).sum(0))
    return data
