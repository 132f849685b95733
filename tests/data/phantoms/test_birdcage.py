"""Simulated coils: the field of straight wires."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.errors import ConfigError, DtypeError, ShapeError

DOUBLE = torch.complex128


@pytest.mark.parametrize(("shape", "rings"), [((9, 12), 1), ((5, 8, 6), 2), ((5, 8, 6), 1)])
def test_squares_sum_to_one(shape: tuple[int, ...], rings: int) -> None:
    maps = birdcage_maps(shape, 6, rings=rings, dtype=DOUBLE)
    assert maps.shape == (6, *shape)
    assert maps.dtype == DOUBLE
    power = maps.abs().square().sum(0)
    torch.testing.assert_close(power, torch.ones(shape, dtype=torch.float64))


def test_the_field_is_that_of_a_straight_wire() -> None:
    """1/(z - z_c)* turned by -φ_c, at some pixels by hand."""
    maps = birdcage_maps((7, 10), 5, radius=1.7, dtype=DOUBLE)
    for iy, ix in ((0, 0), (3, 9), (6, 4)):
        z = complex((2 * ix + 1) / 10 - 1, (2 * iy + 1) / 7 - 1)
        turns = [cmath.exp(2j * math.pi * c / 5) for c in range(5)]
        field = [turn.conjugate() / (z - 1.7 * turn).conjugate() for turn in turns]
        scale = math.sqrt(sum(abs(value) ** 2 for value in field))
        expected = torch.tensor(field, dtype=DOUBLE) / scale
        torch.testing.assert_close(maps[:, iy, ix], expected)


def test_a_quarter_turn_of_the_image_moves_every_coil_to_its_neighbour() -> None:
    maps = birdcage_maps((16, 16), 4, dtype=DOUBLE)
    turned = torch.rot90(maps, -1, dims=(-2, -1))
    torch.testing.assert_close(turned, torch.roll(maps, -1, dims=0))


def test_a_coil_sees_most_where_it_stands() -> None:
    """In its angle, its ring, and not at the other end."""
    maps = birdcage_maps((24, 16, 16), 8, rings=2).abs()
    for coil in range(8):
        ring, place = divmod(coil, 4)
        angle = math.pi / 2 * (place + 0.5 * ring)
        iy, ix = (round(7.5 + 7.0 * part) for part in (math.sin(angle), math.cos(angle)))
        profile = maps[:, :, iy, ix]
        assert int(profile[:, 6 + 12 * ring].argmax()) == coil
        assert profile[coil, 6 + 12 * ring] > 1.2 * profile[coil, 18 - 12 * ring]


def test_a_single_slice_with_one_ring_is_the_plane() -> None:
    flat = birdcage_maps((6, 7), 4, dtype=DOUBLE)
    deep = birdcage_maps((1, 6, 7), 4, dtype=DOUBLE)
    torch.testing.assert_close(deep[:, 0], flat)


@pytest.mark.parametrize(
    ("shape", "coils", "radius", "rings", "message"),
    [
        ((8, 8), 0, 1.5, 1, "one or more coils"),
        ((8, 8), 8, 1.5, 2, "one in 2D"),
        ((8, 8, 8), 9, 1.5, 2, "multiple of the rings"),
        ((8, 8), 8, 1.2, 1, "outside the image"),
        ((8, 8), 8, math.nan, 1, "finite"),
    ],
)
def test_numbers_out_of_range_are_refused(
    shape: tuple[int, ...], coils: int, radius: float, rings: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        birdcage_maps(shape, coils, radius=radius, rings=rings)


def test_other_shapes_and_types_are_refused() -> None:
    with pytest.raises(ShapeError, match="ny, nx"):
        birdcage_maps((8,), 4)
    with pytest.raises(DtypeError, match="complex"):
        birdcage_maps((8, 8), 4, dtype=torch.float32)
