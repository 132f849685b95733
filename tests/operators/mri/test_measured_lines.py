"""Which lines are computed, and when that is worth it."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.operators.mri.measured_lines import Grid, Lines, measured_lines, varying_axes


def lines_of(mask: torch.Tensor | None, grid: Grid) -> Lines | None:
    return measured_lines(mask, grid, varying_axes(mask, grid))


def every(step: int, *shape: int) -> torch.Tensor:
    """Every so-many-th place of a mask, along all of its axes that are longer than one."""
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(slice(None, None, step) for _ in shape)] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "encoded", "axes"),
    [
        (every(4, 1, 16), (12, 16), (-1,)),  # a quarter of the lines along ky
        (every(4, 1, 16).expand(12, 16), (12, 16), (-1,)),  # written out
        (every(1, 1, 16), (12, 16), None),  # all of them
        (every(4, 12, 1), (12, 16), None),  # along kx: the strided transform eats the gain
        (every(4, 12, 1), (12, 32), (-2,)),  # but not where readout is cropped
        (every(4, 12, 16), (12, 16), None),  # points
        (None, (12, 16), None),
    ],
)
def test_lines_are_taken_where_that_is_faster(
    mask: torch.Tensor | None, encoded: tuple[int, int], axes: tuple[int, ...] | None
) -> None:
    found = lines_of(mask, Grid((12, 16), encoded, -1, None))
    assert (None if found is None else found.axes) == axes


def test_pairs_of_phase_encodings_are_lines_of_a_volume() -> None:
    grid = Grid((4, 6, 5), (4, 6, 20), -2, None)
    found = lines_of(every(2, 4, 6, 1), grid)
    assert found is not None
    assert found.axes == (-3, -2)
    expected = [z * 6 + y for z in (0, 2) for y in (0, 2, 4)]
    assert [place.tolist() for place in found.places[0]] == [expected, expected]
    assert lines_of(every(2, 4, 1, 20), grid) is None  # not neighbours


def test_lines_per_sample_and_rows() -> None:
    mask = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 0]], dtype=torch.bool).reshape(2, 1, 1, 4)
    found = lines_of(mask, Grid((3, 4), (3, 4), -1, None))
    assert found is not None
    assert [places[0].tolist() for places in found.places] == [[0, 3], [2]]
    rows = Grid((3, 4), (3, 4), -1, (3, 1, 3))
    part = lines_of(mask[..., [3, 1, 3]], rows)
    assert part is not None
    assert part.repeated
    assert [[p.tolist() for p in places] for places in part.places] == [[[3, 3], [0, 2]], [[], []]]
    unmasked = lines_of(None, rows._replace(rows=(2, 0)))
    assert unmasked is not None
    assert not unmasked.repeated
    assert [place.tolist() for place in unmasked.places[0]] == [[2, 0], [0, 1]]


def test_varying_axes() -> None:
    grid = Grid((4, 6), (4, 6), -2, None)
    assert varying_axes(None, grid) == ()
    assert varying_axes(torch.ones(4, 6, dtype=torch.bool), grid) == ()
    assert varying_axes(every(2, 1, 6), grid) == (-1,)
    assert varying_axes(every(2, 4, 1).expand(4, 6), grid) == (-2,)
    assert varying_axes(every(2, 4, 6), grid) == (-2, -1)
    assert varying_axes(every(2, 1, 6), grid._replace(rows=(0, 1))) == (-2, -1)
    per_sample = torch.stack([every(2, 1, 6).expand(4, 6), torch.ones(4, 6, dtype=torch.bool)])
    assert varying_axes(per_sample, grid) == (-1,)
