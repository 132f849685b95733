"""Bounds of convolutions against the singular values of their matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import normal
from torch import Tensor
from torch.nn import functional

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.networks.spectral import Padding, conv_norm_bound, symbol, symbol_norm_bound

MODES = {"zeros": "constant", "circular": "circular", "reflect": "reflect"}


def convolve(u: Tensor, weight: Tensor, padding: Padding) -> Tensor:
    width = weight.shape[-1] // 2
    if padding == "symmetric":
        for axis in (-1, -2):
            n = u.shape[axis]
            first, last = u.narrow(axis, 0, width), u.narrow(axis, n - width, width)
            u = torch.cat([first.flip(axis), u, last.flip(axis)], axis)
    else:
        u = functional.pad(u, (width,) * 4, mode=MODES[padding])
    return functional.conv2d(u, weight)


def true_norm(weight: Tensor, shape: tuple[int, int], padding: Padding) -> float:
    channels = weight.shape[1]
    basis = torch.eye(channels * shape[0] * shape[1], dtype=torch.float64)
    columns = convolve(basis.reshape(-1, channels, *shape), weight, padding).flatten(1)
    return float(torch.linalg.matrix_norm(columns, 2))


@pytest.mark.parametrize("shape", [(4, 5), (6, 6), (8, 7)])
@pytest.mark.parametrize("padding", ["zeros", "circular", "reflect", "symmetric"])
@pytest.mark.parametrize("width", [1, 3])
def test_never_below_the_norm_and_close_to_it(
    width: int, padding: Padding, shape: tuple[int, int]
) -> None:
    for seed in range(3):
        weight = normal(4, 3, width, width, seed=seed)
        exact = true_norm(weight, shape, padding)
        at_this_size = float(conv_norm_bound(weight, padding=padding, shape=shape))
        at_every_size = float(conv_norm_bound(weight, padding=padding))
        assert exact <= at_this_size <= at_every_size * 1.02
        assert exact <= at_every_size
        if padding == "circular":
            assert at_this_size <= 1.01 * exact
        if padding == "zeros":
            assert at_every_size <= 1.35 * exact


def extended(points: int, border: int, padding: Padding) -> Tensor:
    """The matrix that pads a line of ``points`` by ``border`` on both sides."""
    period = 2 * points - 2 if padding == "reflect" else 2 * points
    matrix = torch.zeros(points + 2 * border, points, dtype=torch.float64)
    for row in range(len(matrix)):
        index = (row - border) % period
        mirrored = (period - index) if padding == "reflect" else (period - 1 - index)
        matrix[row, index if index < points else mirrored] = 1
    return matrix


@pytest.mark.parametrize(
    ("padding", "width", "points"),
    [
        ("reflect", 3, 3),
        ("reflect", 5, 3),
        ("reflect", 7, 5),
        ("reflect", 5, 7),
        ("symmetric", 5, 2),
        ("symmetric", 7, 3),
        ("symmetric", 5, 5),
    ],
)
def test_reflections_on_both_sides_of_a_short_line(
    padding: Padding, width: int, points: int
) -> None:
    """Kernels that gradient ascent makes as bad as it can: the bound is attained, never passed."""
    share = worst_line(padding, width, points)[1]
    assert 0.9 < share <= 1


def worst_line(padding: Padding, width: int, points: int) -> tuple[Tensor, float]:
    """The kernel of a line that gradient ascent makes as bad as it can, and the part of its bound.

    The bound is passed by none on the way.
    """
    pad = extended(points, width // 2, padding)
    kernel = normal(width).requires_grad_()
    ascent = torch.optim.Adam([kernel], lr=0.03, maximize=True)
    for _ in range(200):
        rows = [kernel @ pad[row : row + width] for row in range(points)]
        exact = torch.linalg.matrix_norm(torch.stack(rows), 2)
        share = exact / conv_norm_bound(kernel[None, None], padding=padding, shape=(points,))
        assert float(share.detach()) <= 1
        ascent.zero_grad()
        share.backward()
        ascent.step()
    return kernel.detach(), float(share.detach())


@pytest.mark.parametrize(
    ("padding", "width", "points"), [("reflect", 5, 3), ("symmetric", 5, 2), ("symmetric", 7, 3)]
)
def test_reflections_count_once_for_every_axis(padding: Padding, width: int, points: int) -> None:
    """The product of the worst kernels of both axes: √2 in all would be passed, √2 each is not."""
    line, share = worst_line(padding, width, points)
    pad = extended(points, width // 2, padding)
    rows = torch.stack([line @ pad[row : row + width] for row in range(points)])
    plane = torch.kron(rows, rows)
    exact = float(torch.linalg.matrix_norm(plane, 2))
    weight = torch.outer(line, line)[None, None]
    bound = float(conv_norm_bound(weight, padding=padding, shape=(points, points)))
    assert 0.95 * share**2 * bound < exact <= bound
    if padding == "reflect":
        torch.testing.assert_close(true_norm(weight, (points, points), padding), exact)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 3, 5]), st.integers(0, 10_000))
def test_the_bound_for_every_size_holds_on_fine_grids(
    c_out: int, c_in: int, width: int, seed: int
) -> None:
    weight = normal(c_out, c_in, width, width, seed=seed)
    matrices = symbol(weight, (97, 96))
    exact = float(torch.linalg.matrix_norm(matrices, 2).max())
    bound = float(conv_norm_bound(weight))
    assert exact <= bound <= 1.25 * exact


@pytest.mark.parametrize(
    ("padding", "bound"),
    [("zeros", 3), ("circular", 4), ("reflect", 6), ("symmetric", 8)],
)
def test_the_frequencies_of_four_points_with_each_border(padding: Padding, bound: int) -> None:
    """The symbol 2 sin ω on grids of 6, 4, 6 and 8 points; an extension has the norm √2."""
    weight = torch.tensor([[[1.0, 0.0, -1.0]]], dtype=torch.float64)
    found = conv_norm_bound(weight, padding=padding, shape=(4,))
    assert float(found) == pytest.approx(bound**0.5, rel=1e-6)


def test_a_delta_is_the_identity() -> None:
    weight = torch.zeros(3, 3, 3, 3, dtype=torch.float64)
    for channel in range(3):
        weight[channel, channel, 1, 1] = 1
    bound = float(conv_norm_bound(weight, padding="circular", shape=(8, 8)))
    assert 1 <= bound <= 3 ** (1 / 256) + 1e-9


def test_kernels_wider_than_the_image_wrap_around() -> None:
    weight = normal(2, 2, 5, 5)
    folded = torch.zeros(2, 2, 3, 3, dtype=torch.float64)
    for i in range(5):
        for j in range(5):
            folded[:, :, i % 3, j % 3] += weight[:, :, i, j]
    torch.testing.assert_close(symbol(weight, (3, 3)), symbol(folded, (3, 3)))


def test_gram_iteration_is_an_upper_bound_that_tightens() -> None:
    matrices = torch.complex(normal(9, 6, 4), normal(9, 6, 4, seed=1))
    exact = float(torch.linalg.matrix_norm(matrices, 2).max())
    bounds = [float(symbol_norm_bound(matrices, k)) for k in (0, 2, 4, 8)]
    assert bounds == sorted(bounds, reverse=True)
    assert exact <= bounds[-1] * (1 + 1e-12) <= 1.01 * exact


def test_extreme_scales_neither_overflow_nor_vanish() -> None:
    weight = normal(3, 3, 3, 3).float()
    expected = conv_norm_bound(weight)
    for scale in (1e-15, 1e15):
        found = conv_norm_bound(scale * weight)
        torch.testing.assert_close(found / scale, expected, rtol=1e-4, atol=0)
    zero = torch.zeros(2, 2, 3, 3)
    assert float(conv_norm_bound(zero)) < 1e-18


def test_it_is_differentiable() -> None:
    weight = normal(2, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: conv_norm_bound(w, points=8), weight)


def test_one_and_three_dimensions() -> None:
    line, volume = normal(2, 3, 5), normal(2, 3, 3, 3, 3)
    for weight in (line, volume):
        grid = (16,) * (weight.ndim - 2)
        exact = float(torch.linalg.matrix_norm(symbol(weight, grid), 2).max())
        assert exact <= float(conv_norm_bound(weight)) <= 1.4 * exact


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="odd widths"):
        conv_norm_bound(normal(1, 1, 2, 2))
    with pytest.raises(ShapeError, match="2 axes"):
        conv_norm_bound(normal(1, 1, 3, 3), shape=(4,))
    with pytest.raises(ConfigError, match="more points"):
        conv_norm_bound(normal(1, 1, 5, 5), points=5)
    with pytest.raises(ConfigError, match="replicate"):
        conv_norm_bound(normal(1, 1, 3, 3), padding="replicate")  # type: ignore[arg-type]
