"""The adjoint of `triton_kernels3d`: each voxel gathers from nearby rays, without atomics."""

from __future__ import annotations

import triton
import triton.language as tl

from learnedrecon.kernels.triton_kernels2d import store_rounded
from learnedrecon.kernels.triton_kernels3d import X, Y, Z


@triton.jit
def _cross(ax, ay, az, bx, by, bz):
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@triton.jit
def _largest(x, y, z):
    return tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))


@triton.jit
def _store_plane(pointer, x, y, z, px, py, pz, exists):
    """An affine function of the voxel that is zero at p: its constant and three changes."""
    store_rounded(pointer, -(x * px + y * py + z * pz), exists)
    store_rounded(pointer + 1, x, exists)
    store_rounded(pointer + 2, y, exists)
    store_rounded(pointer + 3, z, exists)


@triton.jit
def _store_vector(pointer, x, y, z, exists):
    store_rounded(pointer, x, exists)
    store_rounded(pointer + 1, y, exists)
    store_rounded(pointer + 2, z, exists)


@triton.jit
def _reach(x, y, z, px, py, pz, nx, ny, nz):
    """A bound on such a function in the volume."""
    constant = tl.abs(x * px + y * py + z * pz)
    return constant + tl.abs(x) * nx + tl.abs(y) * ny + tl.abs(z) * nz


@triton.jit
def prepare_3d(
    vectors,
    lines,
    scales,
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
    ANGLES: tl.constexpr,
):
    """Constants of each angle for the adjoint.

    A voxel projects onto the column U / D and the row V / D of the detector. `lines` is (angles,
    12): the constants of U, V and D and their changes with ix, iy and iz, over the scale. `scales`
    is (angles, 16): the scale, the direction of ray (0, 0), its changes with the column and the
    row, and the source, each as (x, y, z) in voxels.
    """
    angle = tl.program_id(0) * ANGLES + tl.arange(0, ANGLES)
    exists = angle < angles
    own = vectors + tl.where(exists, angle, 0) * 12
    mx, my, mz = 0.5 * (nx - 1), 0.5 * (ny - 1), 0.5 * (nz - 1)
    ax, ay, az = tl.load(own) / dx, tl.load(own + 1) / dy, tl.load(own + 2) / dz
    px, py, pz = tl.load(own + 3) / dx, tl.load(own + 4) / dy, tl.load(own + 5) / dz
    cx, cy, cz = tl.load(own + 6) / dx, tl.load(own + 7) / dy, tl.load(own + 8) / dz
    rx, ry, rz = tl.load(own + 9) / dx, tl.load(own + 10) / dy, tl.load(own + 11) / dz
    if DIVERGING:
        px, py, pz, ax, ay, az = ax, ay, az, px - ax, py - ay, pz - az
        right, down = columns - 1.0, rows - 1.0
        size = tl.maximum(
            _largest(ax, ay, az), _largest(ax + right * cx, ay + right * cy, az + right * cz)
        )
        ex, ey, ez = ax + down * rx, ay + down * ry, az + down * rz
        size = tl.maximum(size, _largest(ex, ey, ez))
        size = tl.maximum(size, _largest(ex + right * cx, ey + right * cy, ez + right * cz))
        cx, cy, cz, rx, ry, rz = cx / size, cy / size, cz / size, rx / size, ry / size, rz / size
    else:
        size = _largest(ax, ay, az)
    ax, ay, az = ax / size, ay / size, az / size
    px, py, pz = px + mx, py + my, pz + mz
    ux, uy, uz = _cross(rx, ry, rz, ax, ay, az)
    vx, vy, vz = _cross(ax, ay, az, cx, cy, cz)
    ex, ey, ez = _cross(cx, cy, cz, rx, ry, rz)
    scale = tl.full([ANGLES], 1.0, dtype=tl.float64)
    constant = ex * ax + ey * ay + ez * az
    if lines.dtype.element_ty == tl.int64:
        most = tl.maximum(rows, columns)
        scale = tl.maximum(
            _reach(ux, uy, uz, px, py, pz, nx, ny, nz), _reach(vx, vy, vz, px, py, pz, nx, ny, nz)
        )
        if DIVERGING:
            depth = _reach(ex, ey, ez, px, py, pz, nx, ny, nz)
        else:
            depth = tl.abs(constant)
        scale = tl.maximum(tl.maximum(scale, depth * most), 1e-300) * 1.734723475976807e-18
    line = lines + angle * 12
    _store_plane(line, ux / scale, uy / scale, uz / scale, px, py, pz, exists)
    _store_plane(line + 4, vx / scale, vy / scale, vz / scale, px, py, pz, exists)
    if DIVERGING:
        _store_plane(line + 8, ex / scale, ey / scale, ez / scale, px, py, pz, exists)
    else:
        store_rounded(line + 8, constant / scale, exists)
        _store_vector(line + 9, 0.0 * scale, 0.0 * scale, 0.0 * scale, exists)
    row = scales + angle * 16
    store_rounded(row, scale, exists)
    _store_vector(row + 1, ax, ay, az, exists)
    _store_vector(row + 4, cx, cy, cz, exists)
    _store_vector(row + 7, rx, ry, rz, exists)
    _store_vector(row + 10, px, py, pz, exists)


@triton.jit
def _changes(x, y, z, HX: tl.constexpr, HY: tl.constexpr, HZ: tl.constexpr):
    """By how much an affine function changes from the middle of a tile to its faces."""
    return tl.abs(x) * HX + tl.abs(y) * HY + tl.abs(z) * HZ


@triton.jit
def _sides(x, y, z, sx, sy, sz, HX: tl.constexpr, HY: tl.constexpr, HZ: tl.constexpr):
    """Bounds in a tile on the components of q × s, which are (x, y, z) in its middle."""
    x = tl.abs(x) + HY * tl.abs(sz) + HZ * tl.abs(sy)
    y = tl.abs(y) + HX * tl.abs(sz) + HZ * tl.abs(sx)
    z = tl.abs(z) + HX * tl.abs(sy) + HY * tl.abs(sx)
    return x, y, z


@triton.jit
def _window(
    low, spread_u, spread_v, size, qx, qy, qz, cx, cy, cz, rx, ry, rz, axis,
    DIVERGING: tl.constexpr, HX: tl.constexpr, HY: tl.constexpr, HZ: tl.constexpr,
):  # fmt: skip
    """Over how many columns and rows the rays that pass by a voxel are spread, at most.

    From |k - u| < a_m (|e_1| + |e_2|) / (|q_m| |D|) with e = q × r, and c in place of r for the
    rows. The main axis m may be one along which q is nearly longest: a first bound, for any m with
    |q_m| at least half the longest, says how near. The last result is whether there is no bound,
    because the rays differ too much from each other.
    """
    e1, e2, e3 = _cross(qx, qy, qz, rx, ry, rz)
    f1, f2, f3 = _cross(qx, qy, qz, cx, cy, cz)
    longest = _largest(qx, qy, qz)
    none = low <= 0.0
    if DIVERGING:
        e1, e2, e3 = _sides(e1, e2, e3, rx, ry, rz, HX, HY, HZ)
        f1, f2, f3 = _sides(f1, f2, f3, cx, cy, cz, HX, HY, HZ)
        margin = max(HX, HY, HZ)
        change_u, change_v = _largest(cx, cy, cz) / size, _largest(rx, ry, rz) / size
        spread = 1.0 + change_u * spread_u + change_v * spread_v
        volume = low * (0.5 * longest - margin)
        none = none | (volume <= 0.0)
        columns, rows = (e1 + e2 + e3) * size, (f1 + f2 + f3) * size
        share = (change_u * columns + change_v * rows) / tl.where(none, 1.0, volume)
        none = none | (share >= 0.5)
        # By which part of the middle ray's a_m the others differ from it.
        differ = spread / tl.where(none, 1.0, 1.0 - share) - 1.0
        none = none | (differ > 0.25)
        near = (1.0 - 2.0 * differ) * longest
        along_x, along_y, along_z = tl.abs(qx) >= near, tl.abs(qy) >= near, tl.abs(qz) >= near
        one = along_x.to(tl.int32) + along_y.to(tl.int32) + along_z.to(tl.int32) == 1
        columns -= size * _of(along_x & one, along_y & one, along_z & one, e1, e2, e3)
        rows -= size * _of(along_x & one, along_y & one, along_z & one, f1, f2, f3)
        volume = tl.where(none, 1.0, low * (tl.where(one, longest, near) - margin))
        columns, rows = columns / volume, rows / volume
        most = spread / tl.where(none, 1.0, 1.0 - change_u * columns - change_v * rows)
        return columns * most, rows * most, none
    else:
        e1, e2, e3 = tl.abs(e1), tl.abs(e2), tl.abs(e3)
        f1, f2, f3 = tl.abs(f1), tl.abs(f2), tl.abs(f3)
        columns = e1 + e2 + e3 - _of(axis == X, axis == Y, axis == Z, e1, e2, e3)
        rows = f1 + f2 + f3 - _of(axis == X, axis == Y, axis == Z, f1, f2, f3)
        volume = tl.where(none, 1.0, low * longest)
        return columns / volume, rows / volume, none


@triton.jit
def _of(first, second, third, a, b, c):
    """The value that belongs to the true condition."""
    return tl.where(first, a, tl.where(second, b, tl.where(third, c, 0.0)))


@triton.jit
def _start(middle, half, spread, count, none):
    """The ray nearest to the middle of a tile, and whether all are taken, or any."""
    wide = none | (half >= count)
    reach = half + spread + 0.01
    seen = wide | ((middle - reach < count) & (middle + reach > -1.0))
    nearest = tl.floor(tl.minimum(tl.maximum(middle, 0.0), count - 1.0) + 0.5)
    return tl.where(wide, 0.0, nearest), wide, seen


@triton.jit
def backproject_3d(
    packed,
    volume,
    lines,
    scales,
    axes,
    batch,
    angles,
    rows,
    columns,
    nz,
    ny,
    nx,
    chunk,
    unit,
    DIVERGING: tl.constexpr,
    ACC: tl.constexpr,
    TINY: tl.constexpr,
    LAYERS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    LANES: tl.constexpr,
):
    """The backprojection of `chunk` angles to a tile of voxels."""
    group = tl.program_id(1)
    across, down = tl.cdiv(nx, COLUMNS), tl.cdiv(ny, ROWS)
    z0 = tl.program_id(0) // (across * down) * LAYERS
    y0 = tl.program_id(0) // across % down * ROWS
    x0 = tl.program_id(0) % across * COLUMNS
    place = tl.arange(0, LAYERS * ROWS * COLUMNS)
    z, y, x = z0 + place // (ROWS * COLUMNS), y0 + place // COLUMNS % ROWS, x0 + place % COLUMNS
    lane = tl.arange(0, LANES)
    HX: tl.constexpr = COLUMNS // 2
    HY: tl.constexpr = ROWS // 2
    HZ: tl.constexpr = LAYERS // 2
    mx, my, mz = x0 + HX, y0 + HY, z0 + HZ
    ox, oy, oz = (x - mx).to(ACC), (y - my).to(ACC), (z - mz).to(ACC)
    total = tl.zeros([LAYERS * ROWS * COLUMNS, LANES], dtype=ACC)
    own = packed + group.to(tl.int64) * angles * rows * columns * LANES
    begin = tl.program_id(2) * chunk
    for turn in range(tl.minimum(chunk, angles - begin)):
        angle = begin + turn
        line, row = lines + angle * 12, scales + angle * 16
        scale = tl.load(row)
        u1, u2, u3 = tl.load(line + 1), tl.load(line + 2), tl.load(line + 3)
        v1, v2, v3 = tl.load(line + 5), tl.load(line + 6), tl.load(line + 7)
        d1, d2, d3 = tl.load(line + 9), tl.load(line + 10), tl.load(line + 11)
        u = tl.load(line) + u1 * mx + u2 * my + u3 * mz
        v = tl.load(line + 4) + v1 * mx + v2 * my + v3 * mz
        d = tl.load(line + 8) + d1 * mx + d2 * my + d3 * mz
        ax, ay, az = tl.load(row + 1), tl.load(row + 2), tl.load(row + 3)
        cx, cy, cz = tl.load(row + 4), tl.load(row + 5), tl.load(row + 6)
        rx, ry, rz = tl.load(row + 7), tl.load(row + 8), tl.load(row + 9)
        g1, g2, g3 = d1.to(ACC) * scale, d2.to(ACC) * scale, d3.to(ACC) * scale
        depth = d.to(ACC) * scale
        inverse = scale / tl.where(depth == 0.0, 1.0, depth)
        middle_u, middle_v = u.to(ACC) * inverse, v.to(ACC) * inverse
        low = tl.abs(depth) - _changes(g1, g2, g3, HX, HY, HZ)
        bound = tl.where(low <= 0.0, 1.0, low)
        spread_u = _changes(
            u1.to(ACC) * scale - middle_u * g1,
            u2.to(ACC) * scale - middle_u * g2,
            u3.to(ACC) * scale - middle_u * g3,
            HX, HY, HZ,
        ) / bound  # fmt: skip
        spread_v = _changes(
            v1.to(ACC) * scale - middle_v * g1,
            v2.to(ACC) * scale - middle_v * g2,
            v3.to(ACC) * scale - middle_v * g3,
            HX, HY, HZ,
        ) / bound  # fmt: skip
        if DIVERGING:
            axis = 0
            qx, qy, qz = mx - tl.load(row + 10), my - tl.load(row + 11), mz - tl.load(row + 12)
            size = _largest(
                ax + middle_u * cx + middle_v * rx,
                ay + middle_u * cy + middle_v * ry,
                az + middle_u * cz + middle_v * rz,
            )
        else:
            axis = tl.load(axes + angle)
            qx, qy, qz = ax, ay, az
            size = 1.0
        half_u, half_v, none = _window(
            low, spread_u, spread_v, size, qx, qy, qz, cx, cy, cz, rx, ry, rz, axis,
            DIVERGING, HX, HY, HZ,
        )  # fmt: skip
        near_u, wide_u, seen_u = _start(middle_u, half_u, spread_u, columns, none)
        near_v, wide_v, seen_v = _start(middle_v, half_v, spread_v, rows, none)
        if seen_u & seen_v:
            k, h = near_u.to(tl.int32), near_v.to(tl.int32)
            dp = depth + g1 * ox + g2 * oy + g3 * oz
            at_u = (u - d * k).to(ACC) * scale
            at_u += (u1 - d1 * k).to(ACC) * scale * ox
            at_u += (u2 - d2 * k).to(ACC) * scale * oy
            at_u += (u3 - d3 * k).to(ACC) * scale * oz
            at_v = (v - d * h).to(ACC) * scale
            at_v += (v1 - d1 * h).to(ACC) * scale * ox
            at_v += (v2 - d2 * h).to(ACC) * scale * oy
            at_v += (v3 - d3 * h).to(ACC) * scale * oz
            # Without a bound w is the direction itself, which differs from it by a multiple of q.
            share = tl.where(none, 0.0, 1.0) / tl.where(none, 1.0, dp)
            at_u, at_v = at_u * share, at_v * share
            first_u = tl.where(wide_u, 0.0, tl.floor(at_u - half_u) + 1.0)
            first_v = tl.where(wide_v, 0.0, tl.floor(at_v - half_v) + 1.0)
            count_u = tl.where(wide_u, columns * 1.0, tl.ceil(2.0 * half_u - TINY)).to(tl.int32)
            count_v = tl.where(wide_v, rows * 1.0, tl.ceil(2.0 * half_v - TINY)).to(tl.int32)
            tx, ty, tz = qx, qy, qz
            if DIVERGING:
                ax, ay = ax + near_u * cx + near_v * rx, ay + near_u * cy + near_v * ry
                az = az + near_u * cz + near_v * rz
                tx, ty, tz = qx + ox, qy + oy, qz + oz
            bx, by, bz = tl.where(none, ax, 0.0), tl.where(none, ay, 0.0), tl.where(none, az, 0.0)
            column, line_of = k + first_u.to(tl.int32), h + first_v.to(tl.int32)
            view = own + angle.to(tl.int64) * rows * columns * LANES
            for t in range(count_u * count_v):
                i, j = t % count_u, t // count_u
                tap_u, tap_v = first_u + i, first_v + j
                alpha, beta = tap_u - at_u, tap_v - at_v
                w1, w2, w3 = _cross(
                    tx, ty, tz,
                    bx + alpha * cx + beta * rx,
                    by + alpha * cy + beta * ry,
                    bz + alpha * cz + beta * rz,
                )  # fmt: skip
                near_c = tl.minimum(tl.maximum(column + i, 0), columns - 1)
                near_r = tl.minimum(tl.maximum(line_of + j, 0), rows - 1)
                exists = (near_c == column + i) & (near_r == line_of + j)
                ray = near_r * columns + near_c
                most = 1.0
                if DIVERGING:
                    most = _largest(
                        ax + tap_u * cx + tap_v * rx,
                        ay + tap_u * cy + tap_v * ry,
                        az + tap_u * cz + tap_v * rz,
                    )
                    main = tl.load(axes + angle.to(tl.int64) * rows * columns + ray)
                else:
                    main = axis
                w1 = tl.where(main == X, 1.0, tl.maximum(most - tl.abs(w1), 0.0))
                w2 = tl.where(main == Y, 1.0, tl.maximum(most - tl.abs(w2), 0.0))
                w3 = tl.where(main == Z, 1.0, tl.maximum(most - tl.abs(w3), 0.0))
                weight = tl.where(exists, w1 * w2 * w3, 0.0)
                values = tl.load(view + (ray * LANES)[:, None] + lane[None, :])
                total += values.to(ACC) * weight[:, None]
    member = group * LANES + lane
    keep = ((z < nz) & (y < ny) & (x < nx))[:, None] & (member < batch)[None, :]
    voxel = z.to(tl.int64) * ny * nx + y * nx + x
    images = (tl.program_id(2) * batch + member).to(tl.int64) * nz * ny * nx
    target = volume + images[None, :] + voxel[:, None]
    tl.store(target, (total * unit).to(volume.dtype.element_ty), keep)
