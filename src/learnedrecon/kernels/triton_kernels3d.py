"""Triton kernels of Joseph's ray transform in 3D, launched by `triton3d`.

The method is that of two dimensions (`triton_kernels2d` describes the positions), with these
differences. A ray steps along one of three axes, which is decided once per ray, in float64, in the
order of operations of `RayGeometry3D.table`, and stored in a byte: where axes tie, weights depend
on the choice, which must be the same in both directions. With c and r the steps of the detector
from column to column and row to row, q the vector from the source to a voxel and w = (k - u) c + (l
- v) r that from where the voxel meets the detector to the pixel (k, l), the ray of that pixel
passes the voxel at |W_2| / a_m along the one axis of interpolation and at |W_1| / a_m along the
other one, where W = q × w and a_m is the component of its direction along its main axis. In a
parallel beam q is the direction.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from learnedrecon.kernels.triton_kernels2d import fixed, span

TYPES = {torch.float32: tl.float32, torch.float64: tl.float64}
Z, Y, X = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


def index_type(elements: int) -> tl.dtype:
    """The integer type of addresses within a group.

    Args:
        elements: Number of elements of a group.
    """
    return tl.int32 if elements < 2**31 else tl.int64


@triton.jit
def _direction(vectors, angle, column, row, COMPONENT: tl.constexpr, DIVERGING: tl.constexpr):
    """One component (x, y, z) of the pixel of the detector and of the direction of its ray."""
    own = vectors + angle * 12 + COMPONENT
    pixel = tl.load(own + 3) + column * tl.load(own + 6) + row * tl.load(own + 9)
    if DIVERGING:
        return pixel, pixel - tl.load(own)
    else:
        return pixel, tl.load(own) + 0.0 * pixel


@triton.jit
def axes_3d(
    vectors,
    axes,
    rows,
    columns,
    dz: tl.float64,
    dy: tl.float64,
    dx: tl.float64,
    DIVERGING: tl.constexpr,
    RAYS: tl.constexpr,
):
    """The main axis of each ray, as in `RayGeometry3D.table`; launched without fused operations."""
    angle = tl.program_id(1)
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    row, column = (ray // columns).to(tl.float64), (ray % columns).to(tl.float64)
    _, x = _direction(vectors, angle, column, row, 0, DIVERGING)
    _, y = _direction(vectors, angle, column, row, 1, DIVERGING)
    _, z = _direction(vectors, angle, column, row, 2, DIVERGING)
    x, y, z = tl.abs(x / dx), tl.abs(y / dy), tl.abs(z / dz)
    axis = tl.where((y >= x) & (y >= z), Y, tl.where(x >= z, X, Z))
    target = axes + angle.to(tl.int64) * (rows * columns) + ray
    tl.store(target, axis.to(tl.int8), ray < rows * columns)


@triton.jit
def _larger(vectors, angle, column, row, dz, dy, dx, DIVERGING: tl.constexpr):
    """The component of a ray along its main axis, in voxels."""
    _, x = _direction(vectors, angle, column, row, 0, DIVERGING)
    _, y = _direction(vectors, angle, column, row, 1, DIVERGING)
    _, z = _direction(vectors, angle, column, row, 2, DIVERGING)
    return tl.maximum(tl.maximum(tl.abs(x / dx), tl.abs(y / dy)), tl.abs(z / dz))


@triton.jit
def _largest(vectors, angle, rows, columns, dz, dy, dx, DIVERGING: tl.constexpr):
    """The largest of these, which is at a corner of the detector."""
    right, down = columns - 1.0, rows - 1.0
    first = _larger(vectors, angle, 0.0, 0.0, dz, dy, dx, DIVERGING)
    second = _larger(vectors, angle, right, 0.0, dz, dy, dx, DIVERGING)
    third = _larger(vectors, angle, 0.0, down, dz, dy, dx, DIVERGING)
    fourth = _larger(vectors, angle, right, down, dz, dy, dx, DIVERGING)
    return tl.maximum(tl.maximum(first, second), tl.maximum(third, fourth))


@triton.jit
def _length(vectors, angle, column, row, dz, dy, dx, DIVERGING: tl.constexpr):
    """The length of a ray per step in mm, and its component along the main axis in voxels."""
    larger = _larger(vectors, angle, column, row, dz, dy, dx, DIVERGING)
    _, x = _direction(vectors, angle, column, row, 0, DIVERGING)
    _, y = _direction(vectors, angle, column, row, 1, DIVERGING)
    _, z = _direction(vectors, angle, column, row, 2, DIVERGING)
    x, y, z = x / larger, y / larger, z / larger
    return tl.sqrt(x * x + y * y + z * z), larger


@triton.jit
def pack_data_3d(
    data,
    packed,
    vectors,
    batch,
    angles,
    rows,
    columns,
    dz: tl.float64,
    dy: tl.float64,
    dx: tl.float64,
    unit,
    DIVERGING: tl.constexpr,
    RAYS: tl.constexpr,
    LANES: tl.constexpr,
):
    """Packing of (batch, angles, rows, columns), times length per step over `unit`, over a_m².

    `unit` is a power of two, and a_m is normalised to at most 1 in each angle.
    """
    group = tl.program_id(2)
    angle = tl.program_id(1)
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    lane = tl.arange(0, LANES)
    exists = ray < rows * columns
    known = tl.where(exists, ray, 0)
    column, row = (known % columns).to(tl.float64), (known // columns).to(tl.float64)
    factor, larger = _length(vectors, angle, column, row, dz, dy, dx, DIVERGING)
    factor = factor / unit
    if DIVERGING:
        ratio = _largest(vectors, angle, rows, columns, dz, dy, dx, DIVERGING) / larger
        factor = factor * ratio * ratio
    member = group * LANES + lane
    views = member.to(tl.int64) * angles + angle
    source = views[None, :] * (rows * columns) + ray[:, None]
    values = tl.load(data + source, exists[:, None] & (member < batch)[None, :], other=0.0)
    if data.dtype.element_ty == tl.float64:
        values = values * factor[:, None]
    else:
        values = values.to(tl.float32) * factor.to(tl.float32)[:, None]
    view = (group.to(tl.int64) * angles + angle) * (rows * columns)
    target = packed + (view + ray)[:, None] * LANES + lane[None, :]
    tl.store(target, values.to(packed.dtype.element_ty), exists[:, None])


@triton.jit
def project_3d(
    volume,
    data,
    vectors,
    axes,
    batch,
    angles,
    rows,
    columns,
    nz,
    ny,
    nx,
    dz: tl.float64,
    dy: tl.float64,
    dx: tl.float64,
    DIVERGING: tl.constexpr,
    MAIN: tl.constexpr,
    ACC: tl.constexpr,
    INDEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
    LANES: tl.constexpr,
):
    """Line integrals of ROWS × COLUMNS rays of an angle, those with the main axis MAIN.

    STEPS (then one lane) or LANES (then one step) neighbours are read together.
    """
    group = tl.program_id(2)
    angle = tl.program_id(1)
    tiles = tl.cdiv(columns, COLUMNS)
    place = tl.arange(0, ROWS * COLUMNS)
    row = tl.program_id(0) // tiles * ROWS + place // COLUMNS
    column = tl.program_id(0) % tiles * COLUMNS + place % COLUMNS
    exists = (row < rows) & (column < columns)
    lane = tl.arange(0, LANES)
    if DIVERGING:
        own = axes + angle.to(tl.int64) * (rows * columns)
        mine = tl.load(own + row * columns + column, exists, other=-1) == MAIN
    else:
        mine = exists & (tl.load(axes + angle) == MAIN)
    if tl.max(mine.to(tl.int32), axis=0) > 0:
        c, r = tl.where(mine, column, 0).to(tl.float64), tl.where(mine, row, 0).to(tl.float64)
        x, along_x = _direction(vectors, angle, c, r, 0, DIVERGING)
        y, along_y = _direction(vectors, angle, c, r, 1, DIVERGING)
        z, along_z = _direction(vectors, angle, c, r, 2, DIVERGING)
        x, along_x = x / dx + 0.5 * (nx - 1), along_x / dx
        y, along_y = y / dy + 0.5 * (ny - 1), along_y / dy
        z, along_z = z / dz + 0.5 * (nz - 1), along_z / dz
        if MAIN == Z:
            steps, n1, n2 = nz, ny, nx
            at, main, at1, along1, at2, along2 = z, along_z, y, along_y, x, along_x
            stride, stride1, stride2 = ny * nx, nx, 1
        elif MAIN == Y:
            steps, n1, n2 = ny, nz, nx
            at, main, at1, along1, at2, along2 = y, along_y, z, along_z, x, along_x
            stride, stride1, stride2 = nx, ny * nx, 1
        else:
            steps, n1, n2 = nx, nz, ny
            at, main, at1, along1, at2, along2 = x, along_x, z, along_z, y, along_y
            stride, stride1, stride2 = 1, ny * nx, nx
        main = tl.where(mine, main, 1.0)
        slope1, slope2 = along1 / main, along2 / main
        start1, start2 = at1 - slope1 * at, at2 - slope2 * at
        first1, last1 = span(start1, slope1, steps, n1)
        first2, last2 = span(start2, slope2, steps, n2)
        first, last = tl.maximum(first1, first2), tl.minimum(last1, last2)
        first = tl.min(tl.where(mine, first, steps).to(tl.int32), axis=0)
        last = tl.max(tl.where(mine, last, 0.0).to(tl.int32), axis=0)
        length, _ = _length(vectors, angle, c, r, dz, dy, dx, DIVERGING)

        group_volume = volume + group.to(tl.int64) * nz * ny * nx * LANES
        step = first + tl.arange(0, STEPS)[None, :]
        start1, slope1 = start1[:, None], slope1[:, None]
        start2, slope2 = start2[:, None], slope2[:, None]
        if ACC != tl.float64:
            slope1, slope2 = fixed(slope1), fixed(slope2)
            start1, start2 = fixed(start1), fixed(start2)
        total = tl.zeros([ROWS * COLUMNS, STEPS * LANES], dtype=ACC)
        for _ in range(tl.cdiv(tl.maximum(last - first, 0), STEPS)):
            near1, far1, here1, next1 = _taps(start1 + slope1 * step, n1, ACC)
            near2, far2, here2, next2 = _taps(start2 + slope2 * step, n2, ACC)
            valid = step < steps
            near1, far1 = tl.where(valid, near1, 0.0), tl.where(valid, far1, 0.0)
            base = tl.where(valid, step, 0).to(INDEX) * stride
            base1 = base + here1.to(INDEX) * stride1
            base2 = base + next1.to(INDEX) * stride1
            left, right = here2.to(INDEX) * stride2, next2.to(INDEX) * stride2
            total += near1 * near2 * _read(group_volume, base1 + left, lane, ACC, LANES)
            total += near1 * far2 * _read(group_volume, base1 + right, lane, ACC, LANES)
            total += far1 * near2 * _read(group_volume, base2 + left, lane, ACC, LANES)
            total += far1 * far2 * _read(group_volume, base2 + right, lane, ACC, LANES)
            step += STEPS
        if STEPS > 1:
            total = tl.sum(total, axis=1)[:, None]
        total = total * length.to(ACC)[:, None]
        member = group * LANES + lane
        view = (member.to(tl.int64) * angles + angle) * (rows * columns)
        target = data + view[None, :] + (row * columns + column)[:, None]
        keep = mine[:, None] & (member < batch)[None, :]
        tl.store(target, total.to(data.dtype.element_ty), keep)


@triton.jit
def _taps(position, size, ACC: tl.constexpr):
    """Two neighbours along an axis and their weights, zero where they are outside the volume."""
    if ACC == tl.float64:
        near = tl.minimum(tl.maximum(position, -3.0), size + 3.0)
        cell = tl.floor(near)
        fraction = near - cell
    else:
        cell = tl.minimum(tl.maximum(position >> 32, -3), size + 2)
        fraction = position.to(tl.uint32).to(tl.float32) * 2.3283064365386963e-10
    cell = cell.to(tl.int32)
    here = tl.minimum(tl.maximum(cell, 0), size - 1)
    following = tl.minimum(tl.maximum(cell + 1, 0), size - 1)
    left = tl.where(here == cell, 1.0 - fraction, 0.0)
    right = tl.where(following == cell + 1, fraction, 0.0)
    return left, right, here, following


@triton.jit
def _read(volume, offset, lane, ACC: tl.constexpr, LANES: tl.constexpr):
    return tl.load(volume + offset * LANES + lane[None, :]).to(ACC)
