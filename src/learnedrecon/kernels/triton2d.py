"""Joseph's ray transform in 2D and its transpose on CUDA devices, by Triton.

The kernels and their accuracy are described in `triton_kernels2d`. Nothing waits for the device:
everything that depends on the scan is computed there from its vectors, so that subsets of angles
need no preparation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.kernels.triton_launch import (
    Blocks,
    Launch,
    accumulator,
    ceil_div,
    in_groups,
    lanes_for,
    power_of_two,
    without,
)

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes

_FRAME = 2
_ADDRESSES = 2**31
"""Within a group, addresses are 32-bit integers."""
_COALESCED = 32
"""Bytes from one pixel that make a full memory transaction."""
_PROGRAMS = 256
"""Programs that keep a GPU busy: with fewer tiles of pixels the angles are shared out, too."""


@torch.no_grad()
def project(
    image: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    *,
    storage: torch.dtype | None = None,
    blocks: Blocks | None = None,
) -> Tensor:
    """Line integrals of images along the rays of a scan.

    Args:
        image: Images (*lead, ny, nx), float16, bfloat16, float32 or float64, on a CUDA device (on
            the CPU with Triton's interpreter).
        vectors: Poses (angles, 6), float64, as in `RayGeometry2D`, valid.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the pixels in the kernel, that of the image if None. float16 and bfloat16
            halve the memory traffic and round each pixel once; sums stay float32.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.

    Returns:
        Data (*lead, angles, detectors) of the dtype of the image.
    """
    stack = in_groups(image, 2)
    data = stack.new_empty((len(stack), len(vectors), *sizes.detectors))
    for launch in launches_forward(stack, data, vectors.to(stack.device), sizes, storage, blocks):
        launch.run(stack.device)
    return data.reshape(*image.shape[:-2], *data.shape[1:])


@torch.no_grad()
def backproject(
    data: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    *,
    storage: torch.dtype | None = None,
    blocks: Blocks | None = None,
) -> Tensor:
    """The transpose of `project`.

    With a `storage` the data times the lengths of their rays are rounded.

    Args:
        data: Data (*lead, angles, detectors).
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the data in the kernel, that of the data if None.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.

    Returns:
        Images (*lead, ny, nx).
    """
    stack = in_groups(data, 2)
    parts = _parts(len(stack), sizes, len(vectors), blocks or _blocks(len(stack), sizes))
    kind = accumulator(stack.dtype) if parts > 1 else stack.dtype
    images = stack.new_empty((parts, len(stack), *sizes.shape), dtype=kind)
    for launch in launches_adjoint(stack, images, vectors.to(stack.device), sizes, storage, blocks):
        launch.run(stack.device)
    image = images[0] if parts == 1 else images.sum(0).to(stack.dtype)
    return image.reshape(*data.shape[:-2], *sizes.shape)


def launches_forward(  # noqa: PLR0917 - by position in torch's calls
    stack: Tensor,
    data: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    storage: torch.dtype | None,
    blocks: Blocks | None,
) -> list[Launch]:
    """The kernels of `project`, in order.

    Args:
        stack: Images (batch, ny, nx).
        data: Result (batch, angles, detectors).
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the pixels in the kernel, that of the images if None.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.
    """
    kernels, blocks = _kernels(), blocks or _blocks(len(stack), sizes)
    (ny, nx), (detectors,), batch, angles = sizes.shape, sizes.detectors, len(stack), len(vectors)
    groups, lanes = ceil_div(batch, blocks.lanes), blocks.lanes
    height, width = ny + 2 * _FRAME, nx + 2 * _FRAME
    kept = storage or stack.dtype
    twice = lanes * kept.itemsize < _COALESCED
    pixels = height * width
    sheet = stack.new_empty((groups, 2 if twice else 1, pixels, lanes), dtype=kept)
    frames = [
        Launch(
            kernels.frame_2d,
            (ceil_div(pixels, _pixels(lanes)), groups),
            {
                "image": stack,
                "sheet": sheet[:, int(transposed)],
                "batch": batch,
                "ny": ny,
                "nx": nx,
                "sheet_offset": sheet.stride(0) // lanes,
            },
            {"TRANSPOSED": transposed, "PIXELS": _pixels(lanes), "LANES": lanes},
        )
        for transposed in ([False, True] if twice else [False])
    ]
    tiles = ceil_div(angles, blocks.angles) * ceil_div(detectors, blocks.detectors)
    walk = Launch(
        kernels.project_2d,
        (tiles, groups, 2),
        {
            "sheet": sheet,
            "data": data,
            **_scan(stack, vectors, sizes),
            "column_step": height if twice else 1,
            "column_across": 1 if twice else width,
            "column_offset": pixels if twice else 0,
            "sheet_offset": sheet.stride(0) // lanes,
        },
        {
            "DIVERGING": sizes.diverging,
            "ACC": kernels.TYPES[accumulator(stack.dtype)],
            "ANGLES": blocks.angles,
            "DETECTORS": blocks.detectors,
            "LANES": lanes,
        },
        blocks.warps,
    )
    return [*frames, walk]


def launches_adjoint(  # noqa: PLR0917 - by position in torch's calls
    stack: Tensor,
    images: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    storage: torch.dtype | None,
    blocks: Blocks | None,
) -> list[Launch]:
    """The kernels of `backproject`, in order.

    Args:
        stack: Data (batch, angles, detectors).
        images: Results, one entry per part of the angles.
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the data in the kernel, that of the data if None.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.
    """
    kernels, blocks = _kernels(), blocks or _blocks(len(stack), sizes)
    (ny, nx), (detectors,), batch, angles = sizes.shape, sizes.detectors, len(stack), len(vectors)
    groups, lanes = ceil_div(batch, blocks.lanes), blocks.lanes
    exact = stack.dtype == torch.float64
    scan, unit = _scan(stack, vectors, sizes), power_of_two(max(sizes.pixel))
    packed = stack.new_empty((groups, angles, detectors, lanes), dtype=storage or stack.dtype)
    lines = stack.new_empty((angles, 6), dtype=torch.float64 if exact else torch.int64)
    scales = stack.new_empty((angles, 8), dtype=accumulator(stack.dtype))
    tile = {
        "DIVERGING": sizes.diverging,
        "ACC": kernels.TYPES[accumulator(stack.dtype)],
        "TINY": 1e-12 if exact else 1e-6,
        "ROWS": blocks.rows,
        "COLUMNS": blocks.columns,
        "LANES": lanes,
    }
    pack = Launch(
        kernels.pack_data_2d,
        (ceil_div(angles * detectors, _pixels(lanes)), groups),
        {"data": stack, "packed": packed, "unit": unit, **without(scan, "ny", "nx")},
        {"DIVERGING": sizes.diverging, "RAYS": _pixels(lanes), "LANES": lanes},
    )
    prepare = Launch(
        kernels.prepare_2d,
        (ceil_div(angles, 64),),
        {"lines": lines, "scales": scales, **without(scan, "batch")},
        {**without(tile, "ACC", "LANES"), "ANGLES": 64},
        2,
    )
    gather = Launch(
        kernels.backproject_2d,
        (ceil_div(ny, blocks.rows) * ceil_div(nx, blocks.columns), groups, len(images)),
        {
            "packed": packed,
            "image": images,
            "lines": lines,
            "scales": scales,
            **without(scan, "vectors", "dy", "dx"),
            "chunk": ceil_div(angles, len(images)),
            "unit": unit,
        },
        tile,
        blocks.warps,
    )
    return [pack, prepare, gather] if angles else [gather]


def _scan(stack: Tensor, vectors: Tensor, sizes: Sizes) -> dict[str, Any]:
    """The arguments that the kernels have in common."""
    return {
        "vectors": vectors.contiguous(),
        "batch": len(stack),
        "angles": len(vectors),
        "detectors": sizes.detectors[0],
        "ny": sizes.shape[0],
        "nx": sizes.shape[1],
        "dy": float(sizes.pixel[0]),
        "dx": float(sizes.pixel[1]),
    }


def _blocks(batch: int, sizes: Sizes) -> Blocks:
    """Some 16 or 32 sums for each of 128 threads in large batches, fewer in small ones."""
    lanes = lanes_for(batch)
    while lanes > 1 and math.prod(n + 2 * _FRAME for n in sizes.shape) * 2 * lanes > _ADDRESSES:
        lanes //= 2
    if lanes <= 2:
        return Blocks(lanes, angles=2, detectors=64, rows=16, columns=32)
    if lanes <= 8:
        return Blocks(lanes, angles=4, detectors=32, rows=16, columns=16)
    return Blocks(lanes, angles=4, detectors=512 // lanes, rows=8, columns=512 // lanes)


def _pixels(lanes: int) -> int:
    """The pixels that one program packs."""
    return max(1024 // lanes, 32)


def _parts(batch: int, sizes: Sizes, angles: int, blocks: Blocks) -> int:
    """The parts into which the angles of an adjoint are shared out."""
    ny, nx = sizes.shape
    tiles = ceil_div(ny, blocks.rows) * ceil_div(nx, blocks.columns)
    programs = max(tiles * ceil_div(batch, blocks.lanes), 1)
    return max(min(_PROGRAMS // programs, ceil_div(angles, 16)), 1)


def _kernels() -> ModuleType:
    """The module of the kernels: Triton is imported when a tensor asks for it."""
    from learnedrecon.kernels import triton_kernels2d  # noqa: PLC0415 - an extra

    return triton_kernels2d
