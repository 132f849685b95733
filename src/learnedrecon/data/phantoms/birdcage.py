"""Simulated receive coils of a birdcage."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, DtypeError, ShapeError, describe
from learnedrecon.limits import in_counts, refuse_bytes


def birdcage_maps(
    shape: tuple[int, ...],
    coils: int,
    *,
    radius: float = 1.5,
    rings: int = 1,
    dtype: torch.dtype = torch.complex64,
) -> Tensor:
    """Sensitivity maps of straight wires around the object, with Σ_c |S_c|² = 1 everywhere.

    In the plane z = x + iy, of which the image is the square [-1, 1]², coil c is a wire along the
    third axis through z_c = ``radius``·exp(iφ_c), and receives exp(-iφ_c)/(z - z_c)*, the field of
    a straight current (Biot and Savart). In 3D the coils form ``rings`` along the first axis, and
    the field also decreases with the distance from their centre: exp(-iφ_c)(z - z_c)/(|z - z_c|² +
    (h - h_c)²). Angles are equal within a ring, and every other ring is turned by half a step.

    Args:
        shape: Shape (ny, nx) or (nz, ny, nx).
        coils: Number of coils, a multiple of ``rings``.
        radius: Radius of the circle of coils, in half image widths; above √2 no wire is in a pixel.
        rings: Number of rings along the first axis, in 3D.
        dtype: complex64 or complex128.

    Returns:
        Maps (coil, *shape).

    Raises:
        ShapeError: ``shape`` does not have two or three positive numbers.
        ConfigError: A number is out of range.
        DtypeError: The dtype is not complex.
    """
    _check(shape, coils, radius, rings)
    if not dtype.is_complex:
        raise DtypeError(
            describe(
                expected="complex64 or complex128", found=str(dtype), fix="choose one of the two"
            )
        )
    y, x = (_centres(n) for n in shape[-2:])
    plane = torch.complex(x.expand(len(y), -1), y[:, None].expand(-1, len(x)).contiguous())
    height = _centres(shape[0]) if len(shape) == 3 else torch.zeros(1, dtype=torch.float64)
    maps = [_coil(plane, height, c, coils // rings, (radius, rings)) for c in range(coils)]
    field = torch.stack(maps)
    field = field / torch.linalg.vector_norm(field, dim=0)
    return field.reshape(coils, *shape).to(dtype)


def _coil(
    plane: Tensor, height: Tensor, coil: int, per_ring: int, cage: tuple[float, int]
) -> Tensor:
    """(nz, ny, nx), with one slice in 2D."""
    radius, rings = cage
    ring, place = divmod(coil, per_ring)
    angle = 2.0 * math.pi * (place + 0.5 * (ring % 2)) / per_ring
    turn = complex(math.cos(angle), math.sin(angle))
    away = plane - radius * turn
    middle = (2.0 * ring + 1.0) / rings - 1.0
    distance = away.abs().square() + (height[:, None, None] - middle).square()
    return turn.conjugate() * away / distance


def _centres(size: int) -> Tensor:
    """Of equal pixels that fill [-1, 1]."""
    return (2.0 * torch.arange(size, dtype=torch.float64) + 1.0) / size - 1.0


def _check(shape: tuple[int, ...], coils: int, radius: float, rings: int) -> None:
    if len(shape) not in {2, 3} or min(shape) < 1:
        raise ShapeError(
            describe(
                expected="an image shape (ny, nx) or (nz, ny, nx) of positive numbers",
                found=str(shape),
                fix="ask for at least one pixel in each direction",
            )
        )
    needed = 16 * coils * math.prod(shape)
    refuse_bytes(needed, "coil maps", of=in_counts((coils, *shape)), kind=ShapeError)
    if coils < 1 or rings < 1 or coils % rings or (rings > 1 and len(shape) == 2):
        raise ConfigError(
            describe(
                expected="one or more coils in one or more rings of equal size, one in 2D",
                found=f"{coils} coils, {rings} rings, {len(shape)}D",
                fix="make the number of coils a multiple of the rings",
            )
        )
    if not (math.isfinite(radius) and radius > math.sqrt(2.0)):
        raise ConfigError(
            describe(
                expected="a finite radius above √2, outside the image",
                found=str(radius),
                fix="choose 1.5",
            )
        )
