"""Ray transforms on plain tensors, with one geometry for all samples or one per sample."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch

from learnedrecon.kernels import joseph, joseph3d
from learnedrecon.operators.ray import geometry_gradients

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes

# Modules with project(image, vectors, sizes) and backproject(data, vectors, sizes), by the number
# of axes of the image.
_MODULES: dict[int, ModuleType] = {2: joseph, 3: joseph3d}


def evaluate(x: Tensor, vectors: Tensor, sizes: Sizes, *, transpose: bool) -> Tensor:
    """T x, or T*x.

    The kernels treat a ray whose position is NaN as one that misses the image; here the data of its
    view, or the whole image, become NaN.

    Args:
        x: Image or data, (*lead, ...).
        vectors: Poses, (*lead, angles, components) float64; leading axes broadcast with those of x.
        sizes: Sizes and constants of the scan.
        transpose: True for T*, False for T.
    """
    if x.is_meta:
        return x.new_empty(result_shape(x, vectors, sizes, transpose=transpose))
    result = _evaluated(x, vectors, sizes, transpose=transpose)
    if vectors.is_cpu and bool(vectors.isfinite().all()):
        return result
    views = (0 * vectors).sum(-1).to(result)
    lost, axes = (views.sum(-1), len(sizes.shape)) if transpose else (views, len(sizes.detectors))
    return result + lost[(..., *[None] * axes)]


def _evaluated(x: Tensor, vectors: Tensor, sizes: Sizes, *, transpose: bool) -> Tensor:
    module = _MODULES[len(sizes.shape)]
    kernel = module.backproject if transpose else module.project
    if vectors.ndim == 2:
        return kernel(x, vectors.contiguous(), sizes)
    axes = axes_of(sizes, data=transpose)
    lead = torch.broadcast_shapes(x.shape[:-axes], vectors.shape[:-2])
    x = x.expand(*lead, *x.shape[-axes:])
    result = x.new_empty(result_shape(x, vectors, sizes, transpose=transpose))
    for index, part in _samples(vectors, len(lead)):
        result[part] = kernel(x[part], vectors[index].contiguous(), sizes)
    return result


def gradient(image: Tensor, data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """∂⟨Tu, v⟩/∂vectors, of the shape of the vectors, summed over the samples that share them.

    Args:
        image: u, (*lead, *sizes.shape).
        data: v, (*lead, angles, *sizes.detectors).
        vectors: Poses, (*lead, angles, components) float64; all leading axes broadcast.
        sizes: Sizes and constants of the scan.
    """
    axes = axes_of(sizes, data=True)
    lead = torch.broadcast_shapes(
        image.shape[: -len(sizes.shape)], data.shape[:-axes], vectors.shape[:-2]
    )
    image, data = image.expand(*lead, *sizes.shape), data.expand(*lead, *data.shape[-axes:])
    result = torch.empty_like(vectors)
    for index, part in _samples(vectors, len(lead)):
        u, v = (x[part].reshape(-1, *x.shape[len(lead) :]) for x in (image, data))
        result[index] = geometry_gradients.gradient(u, v, vectors[index], sizes)
    return result


def tangent(image: Tensor, vectors: Tensor, direction: Tensor, sizes: Sizes) -> Tensor:
    """The derivative of Tu along a direction in the vectors.

    Args:
        image: u, (*lead, *sizes.shape).
        vectors: Poses, (*lead, angles, components) float64.
        direction: Direction, of the shape of the vectors.
        sizes: Sizes and constants of the scan.
    """
    result = image.new_empty(result_shape(image, vectors, sizes, transpose=False))
    lead = result.shape[: -axes_of(sizes, data=True)]
    image = image.expand(*lead, *sizes.shape)
    for index, part in _samples(vectors, len(lead)):
        u = image[part].reshape(-1, *sizes.shape)
        pushed = geometry_gradients.tangent(u, vectors[index], direction[index], sizes)
        result[part] = pushed.view_as(result[part])
    return result


def result_shape(x: Tensor, vectors: Tensor, sizes: Sizes, *, transpose: bool) -> tuple[int, ...]:
    """The shape of T x or T*x, with leading axes.

    Args:
        x: Image or data.
        vectors: Poses, (*lead, angles, components).
        sizes: Sizes and constants of the scan.
        transpose: True for T*, False for T.
    """
    own = x.shape[: -axes_of(sizes, data=transpose)]
    lead = torch.broadcast_shapes(own, vectors.shape[:-2])
    return (*lead, *(sizes.shape if transpose else (vectors.shape[-2], *sizes.detectors)))


def axes_of(sizes: Sizes, *, data: bool) -> int:
    """The number of axes of data, or of an image.

    Args:
        sizes: Sizes and constants of the scan.
        data: True for data, False for an image.
    """
    return len(sizes.detectors) + 1 if data else len(sizes.shape)


def _samples(vectors: Tensor, lead: int) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """The index of every geometry, and the part of ``lead`` leading axes that it belongs to."""
    own = vectors.shape[:-2]
    for index in product(*map(range, own)):
        part = [
            slice(None) if size == 1 else slice(i, i + 1)
            for i, size in zip(index, own, strict=True)
        ]
        yield index, (*[slice(None)] * (lead - len(own)), *part)
