"""Joseph's ray transform in 3D and its transpose on CUDA devices, by Triton.

The kernels are in `triton_kernels3d` and `triton_kernels3d_adjoint`. Nothing waits for the device.
In addition to volume and data, memory is needed for a byte per ray of a cone beam, for a scaled
copy of the data in the adjoint and, with more than one volume or another storage, for a packed copy
in the forward direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from learnedrecon.kernels.triton_launch import (
    Launch,
    accumulator,
    ceil_div,
    in_groups,
    power_of_two,
    without,
)

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes

_LANES = 8
_PROGRAMS = 256
_Z, _Y, _X = 0, 1, 2


class Blocks3D(NamedTuple):
    """The block sizes of one program in three dimensions; powers of two.

    Attributes:
        lanes: Number of volumes in a group, which share positions and weights.
        rays: Rows and columns of a tile of the detector.
        steps: Number of steps that are read together where rays run along memory, if there is one
            lane.
        voxels: Layers, rows and columns of a tile of the volume.
        warps: Number of warps of 32 threads in a program.
    """

    lanes: int
    rays: tuple[int, int] = (8, 16)
    steps: int = 8
    voxels: tuple[int, int, int] = (4, 8, 16)
    warps: int = 4


@torch.no_grad()
def project(
    volume: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    *,
    storage: torch.dtype | None = None,
    blocks: Blocks3D | None = None,
) -> Tensor:
    """Line integrals of volumes along the rays of a scan.

    Args:
        volume: Volumes (*lead, nz, ny, nx), float16, bfloat16, float32 or float64, on a CUDA device
            (on the CPU with Triton's interpreter).
        vectors: Poses (angles, 12), float64, as in `RayGeometry3D`, valid.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the voxels in the kernel, that of the volume if None.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.

    Returns:
        Data (*lead, angles, rows, columns) of the dtype of the volume.
    """
    stack = in_groups(volume, 3)
    data = stack.new_empty((len(stack), len(vectors), *sizes.detectors))
    for launch in launches_forward(stack, data, vectors.to(stack.device), sizes, storage, blocks):
        launch.run(stack.device)
    return data.reshape(*volume.shape[:-3], *data.shape[1:])


@torch.no_grad()
def backproject(
    data: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    *,
    storage: torch.dtype | None = None,
    blocks: Blocks3D | None = None,
) -> Tensor:
    """The transpose of `project`.

    With a `storage` the data times the lengths of their rays are rounded.

    Args:
        data: Data (*lead, angles, rows, columns).
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the data in the kernel, that of the data if None.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.

    Returns:
        Volumes (*lead, nz, ny, nx).
    """
    stack = in_groups(data, 3)
    parts = _parts(len(stack), sizes, len(vectors), blocks or _blocks(len(stack)))
    kind = accumulator(stack.dtype) if parts > 1 else stack.dtype
    volumes = stack.new_empty((parts, len(stack), *sizes.shape), dtype=kind)
    every = launches_adjoint(stack, volumes, vectors.to(stack.device), sizes, storage, blocks)
    for launch in every:
        launch.run(stack.device)
    volume = volumes[0] if parts == 1 else volumes.sum(0).to(stack.dtype)
    return volume.reshape(*data.shape[:-3], *sizes.shape)


def launches_forward(  # noqa: PLR0917 - by position in torch's calls
    stack: Tensor,
    data: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    storage: torch.dtype | None,
    blocks: Blocks3D | None,
) -> list[Launch]:
    """The kernels of `project`, in order.

    Args:
        stack: Volumes (batch, nz, ny, nx).
        data: Result (batch, angles, rows, columns).
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the voxels in the kernel, that of the volumes if None.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.
    """
    kernels, blocks = _kernels()[0], blocks or _blocks(len(stack))
    scan, (rows, columns) = _scan(stack, vectors, sizes), sizes.detectors
    packed = _packed(stack, storage or stack.dtype, blocks.lanes)
    find, axes = _find_axes(scan, stack, sizes)
    grid = (
        ceil_div(rows, blocks.rays[0]) * ceil_div(columns, blocks.rays[1]),
        len(vectors),
        ceil_div(len(stack), blocks.lanes),
    )
    walks = [
        Launch(
            kernels.project_3d,
            grid,
            {"volume": packed, "data": data, "axes": axes, **scan},
            {
                "DIVERGING": sizes.diverging,
                "MAIN": axis,
                "ACC": kernels.TYPES[accumulator(stack.dtype)],
                "INDEX": kernels.index_type(packed.numel()),
                "ROWS": blocks.rays[0],
                "COLUMNS": blocks.rays[1],
                "STEPS": blocks.steps if axis == _X and blocks.lanes == 1 else 1,
                "LANES": blocks.lanes,
            },
            blocks.warps,
        )
        for axis in (_Z, _Y, _X)
    ]
    return [find, *walks] if len(vectors) else []


def launches_adjoint(  # noqa: PLR0917 - by position in torch's calls
    stack: Tensor,
    volumes: Tensor,
    vectors: Tensor,
    sizes: Sizes,
    storage: torch.dtype | None,
    blocks: Blocks3D | None,
) -> list[Launch]:
    """The kernels of `backproject`, in order.

    Args:
        stack: Data (batch, angles, rows, columns).
        volumes: Results, one entry per part of the angles.
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
        storage: Dtype of the data in the kernel, that of the data if None.
        blocks: Sizes of the blocks of one program; chosen by the batch if None.
    """
    (kernels, gathers), blocks = _kernels(), blocks or _blocks(len(stack))
    angles, lanes, exact = len(vectors), blocks.lanes, stack.dtype == torch.float64
    groups, rays = ceil_div(len(stack), lanes), sizes.detectors[0] * sizes.detectors[1]
    scan, unit = _scan(stack, vectors, sizes), power_of_two(max(sizes.pixel))
    packed = stack.new_empty(
        (groups, angles, *sizes.detectors, lanes), dtype=storage or stack.dtype
    )
    lines = stack.new_empty((angles, 12), dtype=torch.float64 if exact else torch.int64)
    scales = stack.new_empty((angles, 16), dtype=accumulator(stack.dtype))
    find, axes = _find_axes(scan, stack, sizes)
    pixels = max(1024 // lanes, 32)
    pack = Launch(
        kernels.pack_data_3d,
        (ceil_div(rays, pixels), angles, groups),
        {"data": stack, "packed": packed, "unit": unit, **without(scan, "nz", "ny", "nx")},
        {"DIVERGING": sizes.diverging, "RAYS": pixels, "LANES": lanes},
    )
    prepare = Launch(
        gathers.prepare_3d,
        (ceil_div(angles, 32),),
        {"lines": lines, "scales": scales, **without(scan, "batch")},
        {"DIVERGING": sizes.diverging, "ANGLES": 32},
        1,
    )
    tiles = [ceil_div(n, tile) for n, tile in zip(sizes.shape, blocks.voxels, strict=True)]
    gather = Launch(
        gathers.backproject_3d,
        (tiles[0] * tiles[1] * tiles[2], groups, len(volumes)),
        {
            "packed": packed,
            "volume": volumes,
            "lines": lines,
            "scales": scales,
            "axes": axes,
            **without(scan, "vectors", "dz", "dy", "dx"),
            "chunk": ceil_div(angles, len(volumes)),
            "unit": unit,
        },
        {
            "DIVERGING": sizes.diverging,
            "ACC": kernels.TYPES[accumulator(stack.dtype)],
            "TINY": 1e-12 if exact else 1e-6,
            "LAYERS": blocks.voxels[0],
            "ROWS": blocks.voxels[1],
            "COLUMNS": blocks.voxels[2],
            "LANES": lanes,
        },
        blocks.warps,
    )
    return [find, pack, prepare, gather] if angles else [gather]


def _find_axes(scan: dict[str, Any], stack: Tensor, sizes: Sizes) -> tuple[Launch, Tensor]:
    """The kernel that writes the main axis of each ray, of each angle in a parallel beam."""
    rows, columns = sizes.detectors if sizes.diverging else (1, 1)
    axes = stack.new_empty((scan["angles"], rows, columns), dtype=torch.int8)
    arguments = {"axes": axes, "rows": rows, "columns": columns}
    arguments |= {name: scan[name] for name in ("vectors", "dz", "dy", "dx")}
    constants = {"DIVERGING": sizes.diverging, "RAYS": 256}
    grid = (ceil_div(rows * columns, 256), scan["angles"])
    return Launch(_kernels()[0].axes_3d, grid, arguments, constants, fused=False), axes


def _packed(stack: Tensor, kept: torch.dtype, lanes: int) -> Tensor:
    """(groups, voxels, lanes), missing volumes zero; the stack itself if that is the same."""
    flat = stack.reshape(len(stack), -1)
    if lanes == 1:
        return flat.to(kept)
    packed = stack.new_zeros((ceil_div(len(flat), lanes), flat.shape[1], lanes), dtype=kept)
    for group, part in zip(packed, flat.split(lanes), strict=True):
        group[:, : len(part)] = part.T
    return packed


def _scan(stack: Tensor, vectors: Tensor, sizes: Sizes) -> dict[str, Any]:
    """The arguments that the kernels have in common."""
    names = ("rows", "columns", "nz", "ny", "nx")
    return {
        "vectors": vectors.contiguous(),
        "batch": len(stack),
        "angles": len(vectors),
        **dict(zip(names, (*sizes.detectors, *sizes.shape), strict=True)),
        **dict(zip(("dz", "dy", "dx"), map(float, sizes.pixel), strict=True)),
    }


def _blocks(batch: int) -> Blocks3D:
    lanes = min(1 << max(batch - 1, 0).bit_length(), _LANES)
    if lanes == 1:
        return Blocks3D(1)
    return Blocks3D(lanes, rays=(8, 16), voxels=(4, 8, max(32 // lanes, 4)))


def _parts(batch: int, sizes: Sizes, angles: int, blocks: Blocks3D) -> int:
    """The parts into which the angles of an adjoint are shared out."""
    programs = ceil_div(batch, blocks.lanes)
    for n, tile in zip(sizes.shape, blocks.voxels, strict=True):
        programs *= ceil_div(n, tile)
    return max(min(_PROGRAMS // max(programs, 1), ceil_div(angles, 16)), 1)


def _kernels() -> tuple[ModuleType, ModuleType]:
    """The modules of the kernels: Triton is imported when a tensor asks for it."""
    from learnedrecon.kernels import (  # noqa: PLC0415 - an extra
        triton_kernels3d,
        triton_kernels3d_adjoint,
    )

    return triton_kernels3d, triton_kernels3d_adjoint
