"""Triton kernels of Joseph's ray transform in 2D, launched by `triton2d`.

Images and data are packed batch-innermost, (groups, ., ., LANES), so that the position and the two
weights of a sample are computed once for all the images of a group.

Positions. The forward kernel finds its rays in float64, from the vectors of the scan, when a
program starts, and follows them in fixed point: 32 bits of pixel and 32 of fraction. The adjoint
asks for each pixel and angle which rays pass within one pixel of it. With the position u of the
pixel on the detector, ray k passes at the distance |(k - u) D| / m_k along the axis of
interpolation, where u = N / D, N and D are affine in the indices of the pixel, and m_k is the
larger component of the direction of the ray, in pixels (both axes give the same distance where they
tie). N and D are 64-bit integers at one pixel of a tile; the differences to the other pixels are
small, so that float32 is sufficient. In both kernels the error of a position is some 1e-6 pixels
(more where directions differ tenfold on one detector), and for float64 nothing is rounded.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

TYPES = {torch.float32: tl.float32, torch.float64: tl.float64}
FRAME = tl.constexpr(2)
"""Zeros on each side of a packed image, so that no tap needs a mask."""


@triton.jit
def frame_2d(
    image,
    sheet,
    batch,
    ny,
    nx,
    sheet_offset,
    TRANSPOSED: tl.constexpr,
    PIXELS: tl.constexpr,
    LANES: tl.constexpr,
):
    """Packing of (batch, ny, nx) with a frame of zeros as (groups, ny + 4, nx + 4, LANES).

    With TRANSPOSED the axes ny and nx are exchanged.
    """
    height, width = ny + 2 * FRAME, nx + 2 * FRAME
    group = tl.program_id(1)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    lane = tl.arange(0, LANES)
    if TRANSPOSED:
        y, x = pixel % height - FRAME, pixel // height - FRAME
    else:
        y, x = pixel // width - FRAME, pixel % width - FRAME
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    member = group * LANES + lane
    source = member.to(tl.int64)[None, :] * ny * nx + (y * nx + x)[:, None]
    values = tl.load(image + source, inside[:, None] & (member < batch)[None, :], other=0.0)
    target = sheet + (group.to(tl.int64) * sheet_offset + pixel)[:, None] * LANES + lane[None, :]
    tl.store(target, values.to(sheet.dtype.element_ty), (pixel < height * width)[:, None])


@triton.jit
def _direction(vectors, angle, detector, DIVERGING: tl.constexpr):
    """The pixel of the detector and the direction of its ray, in mm."""
    own = vectors + angle * 6
    pixel_x = tl.load(own + 2) + detector * tl.load(own + 4)
    pixel_y = tl.load(own + 3) + detector * tl.load(own + 5)
    first_x, first_y = tl.load(own), tl.load(own + 1)
    if DIVERGING:
        first_x = pixel_x - first_x
        first_y = pixel_y - first_y
    return pixel_x, pixel_y, first_x, first_y


@triton.jit
def _length(along_x, along_y, dy, dx):
    """The length of a ray per step in mm, from its direction in mm."""
    larger = tl.maximum(tl.abs(along_x / dx), tl.abs(along_y / dy))
    run, rise = along_y / larger, along_x / larger
    return tl.sqrt(run * run + rise * rise)


@triton.jit
def pack_data_2d(
    data,
    packed,
    vectors,
    batch,
    angles,
    detectors,
    dy: tl.float64,
    dx: tl.float64,
    unit,
    DIVERGING: tl.constexpr,
    RAYS: tl.constexpr,
    LANES: tl.constexpr,
):
    """Packing of (batch, angles, detectors), times the length of each ray per step over `unit`.

    `unit` is a power of two. In a fan beam also over m_k, which is normalised to at most 1.
    """
    group = tl.program_id(1)
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    lane = tl.arange(0, LANES)
    exists = ray < angles * detectors
    known = tl.where(exists, ray, 0)
    detector = (known % detectors).to(tl.float64)
    _, _, along_x, along_y = _direction(vectors, known // detectors, detector, DIVERGING)
    factor = _length(along_x, along_y, dy, dx) / unit
    if DIVERGING:
        _, _, x, y = _direction(vectors, known // detectors, 0.0, DIVERGING)
        largest = tl.maximum(tl.abs(x / dx), tl.abs(y / dy))
        _, _, x, y = _direction(vectors, known // detectors, detectors - 1.0, DIVERGING)
        largest = tl.maximum(largest, tl.maximum(tl.abs(x / dx), tl.abs(y / dy)))
        factor *= largest / tl.maximum(tl.abs(along_x / dx), tl.abs(along_y / dy))
    member = group * LANES + lane
    source = member.to(tl.int64)[None, :] * angles * detectors + ray[:, None]
    values = tl.load(data + source, exists[:, None] & (member < batch)[None, :], other=0.0)
    if data.dtype.element_ty == tl.float64:
        values = values * factor[:, None]
    else:
        values = values.to(tl.float32) * factor.to(tl.float32)[:, None]
    target = packed + (group.to(tl.int64) * angles * detectors + ray)[:, None] * LANES
    tl.store(target + lane[None, :], values.to(packed.dtype.element_ty), exists[:, None])


@triton.jit
def project_2d(
    sheet,
    data,
    vectors,
    batch,
    angles,
    detectors,
    ny,
    nx,
    dy: tl.float64,
    dx: tl.float64,
    column_step,
    column_across,
    column_offset,
    sheet_offset,
    DIVERGING: tl.constexpr,
    ACC: tl.constexpr,
    ANGLES: tl.constexpr,
    DETECTORS: tl.constexpr,
    LANES: tl.constexpr,
):
    """Line integrals of ANGLES × DETECTORS rays through a group's images, by rows or columns."""
    by_columns = tl.program_id(2)
    group = tl.program_id(1)
    tiles = tl.cdiv(detectors, DETECTORS)
    place = tl.arange(0, ANGLES * DETECTORS)
    angle = tl.program_id(0) // tiles * ANGLES + place // DETECTORS
    detector = tl.program_id(0) % tiles * DETECTORS + place % DETECTORS
    exists = (angle < angles) & (detector < detectors)
    lane = tl.arange(0, LANES)

    pixel_x, pixel_y, along_x, along_y = _direction(
        vectors, tl.where(exists, angle, 0), detector.to(tl.float64), DIVERGING
    )
    length = _length(along_x, along_y, dy, dx).to(ACC)
    along_x, along_y = along_x / dx, along_y / dy
    index_x, index_y = pixel_x / dx + 0.5 * (nx - 1), pixel_y / dy + 0.5 * (ny - 1)
    mine = exists & ((tl.abs(along_y) < tl.abs(along_x)) == (by_columns == 1))
    rows = by_columns == 0
    main = tl.where(mine, tl.where(rows, along_y, along_x), 1.0)
    slope = tl.where(mine, tl.where(rows, along_x, along_y) / main, 0.0)
    index_main = tl.where(rows, index_y, index_x)
    intercept = tl.where(rows, index_x, index_y) - slope * index_main
    steps = tl.where(rows, ny, nx)
    across = tl.where(rows, nx, ny)

    first, last = span(intercept, slope, steps, across)
    first = tl.min(tl.where(mine, first, steps).to(tl.int32), axis=0)
    last = tl.max(tl.where(mine, last, 0.0).to(tl.int32), axis=0)
    row_step = nx + 2 * FRAME
    step_stride = tl.where(rows, row_step, column_step)
    across_stride = tl.where(rows, 1, column_across)
    origin = tl.where(rows, 0, column_offset) + FRAME * (step_stride + across_stride)
    own = sheet + group.to(tl.int64) * sheet_offset * LANES
    total = tl.zeros([ANGLES * DETECTORS, LANES], dtype=ACC)
    fixed_slope = fixed(slope)
    position = fixed(intercept) + fixed_slope * first
    for step in range(first, last):
        if ACC == tl.float64:
            exact = tl.minimum(tl.maximum(intercept + slope * step, -3.0), across + 3.0)
            cell = tl.floor(exact)
            fraction = exact - cell
        else:
            cell = position >> 32
            fraction = position.to(tl.uint32).to(tl.float32) * 2.3283064365386963e-10
            position += fixed_slope
        cell = tl.minimum(tl.maximum(cell, -FRAME), across).to(tl.int32)
        offset = (origin + step * step_stride + cell * across_stride) * LANES
        left = tl.load(own + offset[:, None] + lane[None, :]).to(ACC)
        right = tl.load(own + (offset + across_stride * LANES)[:, None] + lane[None, :]).to(ACC)
        total += left * (1.0 - fraction)[:, None]
        total += right * fraction[:, None]
    total = total * length[:, None]
    member = group * LANES + lane
    target = data + member.to(tl.int64)[None, :] * angles * detectors
    target += (angle * detectors + detector)[:, None]
    keep = mine[:, None] & (member < batch)[None, :]
    tl.store(target, total.to(data.dtype.element_ty), keep)


@triton.jit
def span(intercept, slope, steps, across):
    """The range of steps in which rays may be within a pixel of [0, across)."""
    inverse = 1.0 / tl.where(slope == 0.0, 1.0, slope)
    enter, leave = (-1.0 - intercept) * inverse, (across - intercept) * inverse
    first, last = tl.minimum(enter, leave), tl.maximum(enter, leave)
    first = tl.where(slope == 0.0, 0.0, first)
    last = tl.where(slope == 0.0, steps, last)
    first = tl.minimum(tl.maximum(tl.floor(first), 0.0), steps)
    return first, tl.minimum(tl.maximum(tl.ceil(last) + 1.0, 0.0), steps)


@triton.jit
def fixed(value):
    """A position in 32.32 fixed point, clipped at a distance of 2^30 pixels."""
    near = tl.minimum(tl.maximum(value, -1073741824.0), 1073741824.0)
    return tl.floor(near * 4294967296.0 + 0.5).to(tl.int64)


@triton.jit
def store_rounded(pointer, value, exists):
    """Storing of float64 values, rounded to the nearest integer in integer arrays."""
    if pointer.dtype.element_ty == tl.int64:
        tl.store(pointer, tl.floor(value + 0.5).to(tl.int64), exists)
    else:
        tl.store(pointer, value.to(pointer.dtype.element_ty), exists)


@triton.jit
def prepare_2d(
    vectors,
    lines,
    scales,
    angles,
    detectors,
    ny,
    nx,
    dy: tl.float64,
    dx: tl.float64,
    DIVERGING: tl.constexpr,
    TINY: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ANGLES: tl.constexpr,
):
    """Constants of each angle for the adjoint.

    `lines` is (angles, 6): N = l0 + l1 ix + l2 iy, D = l3 + l4 ix + l5 iy, over the scale. `scales`
    is (angles, 8). Its first entry is the scale. Fan beam: the direction of ray 0 as (x, y), and
    its change from ray to ray. Parallel beam: the changes of N with ix and iy, D, 1 / D, how many
    detector pixels away a ray may pass by a pixel and by a tile, and the number of these rays.
    """
    angle = tl.program_id(0) * ANGLES + tl.arange(0, ANGLES)
    exists = angle < angles
    own = vectors + tl.where(exists, angle, 0) * 6
    px, py = tl.load(own + 2) / dx + 0.5 * (nx - 1), tl.load(own + 3) / dy + 0.5 * (ny - 1)
    sx, sy = tl.load(own + 4) / dx, tl.load(own + 5) / dy
    ax, ay = tl.load(own) / dx, tl.load(own + 1) / dy
    if DIVERGING:
        qx, qy = ax + 0.5 * (nx - 1), ay + 0.5 * (ny - 1)
        ax, ay = (tl.load(own + 2) - tl.load(own)) / dx, (tl.load(own + 3) - tl.load(own + 1)) / dy
        far = detectors - 1
        size = tl.maximum(tl.abs(ax), tl.abs(ay))
        size = tl.maximum(size, tl.maximum(tl.abs(ax + far * sx), tl.abs(ay + far * sy)))
        ax, ay, sx, sy = ax / size, ay / size, sx / size, sy / size
        n0, n1, n2 = ax * qy - ay * qx, ay, -ax
        d0, d1, d2 = sy * qx - sx * qy, -sy, sx
    else:
        size = tl.maximum(tl.abs(ax), tl.abs(ay))
        ax, ay = ax / size, ay / size
        n0, n1, n2 = ay * px - ax * py, -ay, ax
        d0, d1, d2 = ax * sy - ay * sx, sx * 0.0, sx * 0.0
    scale = tl.full([ANGLES], 1.0, dtype=tl.float64)
    if lines.dtype.element_ty == tl.int64:
        reach = tl.abs(n0) + tl.abs(n1) * nx + tl.abs(n2) * ny
        depth = tl.abs(d0) + tl.abs(d1) * nx + tl.abs(d2) * ny
        scale = tl.maximum(tl.maximum(reach, depth * detectors), 1.0) * 1.734723475976807e-18
    store_rounded(lines + angle * 6, n0 / scale, exists)
    store_rounded(lines + angle * 6 + 1, n1 / scale, exists)
    store_rounded(lines + angle * 6 + 2, n2 / scale, exists)
    store_rounded(lines + angle * 6 + 3, d0 / scale, exists)
    store_rounded(lines + angle * 6 + 4, d1 / scale, exists)
    store_rounded(lines + angle * 6 + 5, d2 / scale, exists)
    row = scales + angle * 8
    store_rounded(row, scale, exists)
    if DIVERGING:
        store_rounded(row + 1, ax, exists)
        store_rounded(row + 2, ay, exists)
        store_rounded(row + 3, sx, exists)
        store_rounded(row + 4, sy, exists)
    else:
        wide = tl.abs(d0) * detectors <= 1.0
        inverse = tl.where(wide, 0.0, 1.0 / tl.where(wide, 1.0, d0))
        half = tl.where(wide, detectors * 1.0, tl.abs(inverse))
        reach = (tl.abs(n1) * (COLUMNS // 2) + tl.abs(n2) * (ROWS // 2)) * tl.abs(inverse)
        store_rounded(row + 1, n1, exists)
        store_rounded(row + 2, n2, exists)
        store_rounded(row + 3, d0, exists)
        store_rounded(row + 4, inverse, exists)
        store_rounded(row + 5, half, exists)
        store_rounded(row + 6, reach + half + 0.01, exists)
        store_rounded(row + 7, tl.ceil(2.0 * half - TINY), exists)


@triton.jit
def backproject_2d(
    packed,
    image,
    lines,
    scales,
    batch,
    angles,
    detectors,
    ny,
    nx,
    chunk,
    unit,
    DIVERGING: tl.constexpr,
    ACC: tl.constexpr,
    TINY: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    LANES: tl.constexpr,
):
    """The backprojection of `chunk` angles to a tile of ROWS × COLUMNS pixels."""
    group = tl.program_id(1)
    tiles = tl.cdiv(nx, COLUMNS)
    y0 = tl.program_id(0) // tiles * ROWS
    x0 = tl.program_id(0) % tiles * COLUMNS
    place = tl.arange(0, ROWS * COLUMNS)
    down, right = place // COLUMNS, place % COLUMNS
    lane = tl.arange(0, LANES)
    cy, cx = y0 + ROWS // 2, x0 + COLUMNS // 2
    oy, ox = (down - ROWS // 2).to(ACC), (right - COLUMNS // 2).to(ACC)
    total = tl.zeros([ROWS * COLUMNS, LANES], dtype=ACC)
    own = packed + group.to(tl.int64) * angles * detectors * LANES
    begin = tl.program_id(2) * chunk
    for turn in range(tl.minimum(chunk, angles - begin)):
        angle = begin + turn
        line, row = lines + angle * 6, scales + angle * 8
        scale, second, third = tl.load(row), tl.load(row + 1), tl.load(row + 2)
        fourth, fifth = tl.load(row + 3), tl.load(row + 4)
        n1, n2 = tl.load(line + 1), tl.load(line + 2)
        n, d = tl.load(line) + n1 * cx + n2 * cy, tl.load(line + 3)
        # `middle`: where the middle pixel of the tile meets the detector; `half`: how far from
        # there, in detector pixels, a ray may pass within a pixel of it; `taps`: how many may.
        if DIVERGING:
            d1, d2 = tl.load(line + 4), tl.load(line + 5)
            d += d1 * cx + d2 * cy
            middle, half, seen, wide = _meet(
                n.to(ACC) * scale, n1.to(ACC) * scale, n2.to(ACC) * scale,
                d.to(ACC) * scale, d1.to(ACC) * scale, d2.to(ACC) * scale,
                second, third, fourth, fifth, detectors, ROWS // 2, COLUMNS // 2,
            )  # fmt: skip
            taps = tl.ceil(2.0 * half - TINY).to(tl.int32)
        else:
            half, taps = tl.load(row + 5), tl.load(row + 7).to(tl.int32)
            middle, reach = n.to(ACC) * scale * fifth, tl.load(row + 6)
            seen = (middle - reach < detectors) & (middle + reach > -1.0)
        middle = tl.floor(tl.minimum(tl.maximum(middle, 0.0), detectors - 1.0) + 0.5)
        k = middle.to(tl.int32)
        if seen:
            # N - k D and D at the pixels of the tile.
            if DIVERGING:
                e1, e2 = (n1 - d1 * k).to(ACC) * scale, (n2 - d2 * k).to(ACC) * scale
                dp = d.to(ACC) * scale + d1.to(ACC) * scale * ox + d2.to(ACC) * scale * oy
                ep = (n - d * k).to(ACC) * scale + e1 * ox + e2 * oy
                position = ep / tl.where(wide, 1e30, dp)
                ax, ay, sx, sy = second + middle * fourth, third + middle * fifth, fourth, fifth
            else:
                dp, ax, ay, sx, sy = fourth, 0.0, 0.0, 0.0, 0.0
                ep = (n - d * k).to(ACC) * scale + second * ox + third * oy
                position = ep * fifth
            tap = tl.floor(position - half) + 1.0
            ray = k + tap.to(tl.int32)
            view = own + angle.to(tl.int64) * detectors * LANES
            for _ in tl.static_range(2):
                total = _gather(
                    total, view, lane, ray, tap, ep, dp, ax, ay, sx, sy, detectors, DIVERGING, LANES
                )
                tap += 1.0
                ray += 1
            for _ in range(2, taps):
                total = _gather(
                    total, view, lane, ray, tap, ep, dp, ax, ay, sx, sy, detectors, DIVERGING, LANES
                )
                tap += 1.0
                ray += 1
    member = group * LANES + lane
    y, x = y0 + down, x0 + right
    keep = ((y < ny) & (x < nx))[:, None] & (member < batch)[None, :]
    target = image + (tl.program_id(2) * batch + member).to(tl.int64)[None, :] * ny * nx
    target += (y * nx + x)[:, None]
    tl.store(target, (total * unit).to(image.dtype.element_ty), keep)


@triton.jit
def _meet(n, n1, n2, d, d1, d2, ax, ay, sx, sy, detectors, DOWN: tl.constexpr, RIGHT: tl.constexpr):
    """The detector position of the rays through a tile, and the number of pixels around it.

    Bounds: |D| is at least `low`, the meeting points are within `spread` of the middle one, and
    m_k changes by at most `change` from ray to ray. `wide` is a tile that all rays may pass.
    """
    middle = n / tl.where(d == 0.0, 1.0, d)
    low = tl.abs(d) - tl.abs(d1) * RIGHT - tl.abs(d2) * DOWN
    change = tl.maximum(tl.abs(sx), tl.abs(sy))
    wide = low <= change * 1.001
    spread = tl.abs(n1 - middle * d1) * RIGHT + tl.abs(n2 - middle * d2) * DOWN
    spread = spread / tl.where(wide, 1.0, low)
    size = tl.maximum(tl.abs(ax + middle * sx), tl.abs(ay + middle * sy))
    half = (size + change * spread) / tl.where(wide, 1.0, low - change)
    wide = wide | (half >= detectors)
    reach = spread + half + 0.01
    seen = wide | ((middle - reach < detectors) & (middle + reach > -1.0))
    return tl.where(wide, 0.0, middle), tl.where(wide, detectors * 1.0, half), seen, wide


@triton.jit
def _gather(
    total, view, lane, ray, tap, ep, dp, ax, ay, sx, sy, detectors,
    DIVERGING: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Adds what a ray gives to each pixel; `tap` is its distance from ray k."""
    size = 1.0
    if DIVERGING:
        size = tl.maximum(tl.abs(ax + tap * sx), tl.abs(ay + tap * sy))
    weight = size - tl.abs(tap * dp - ep)
    near = tl.minimum(tl.maximum(ray, 0), detectors - 1)
    weight = tl.where(ray == near, tl.maximum(weight, 0.0), 0.0)
    values = tl.load(view + (near * LANES)[:, None] + lane[None, :])
    return total + values.to(total.dtype) * weight[:, None]
