"""Weights against cells that are known, and what they are for: T*WT near the identity."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import DataError, GeometryError
from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.mri.trajectories import Kooshball, Radial, Spiral, Stacked, Trajectory
from learnedrecon.solvers.direct.density import density_weights, pipe_menon, ramp_weights
from learnedrecon.solvers.direct.voronoi import voronoi_weights


def grid(shape: tuple[int, ...]) -> Tensor:
    axes = [2 * math.pi * (torch.arange(n, dtype=torch.float64) - n // 2) / n for n in shape]
    whole = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return whole.reshape(-1, shape[-1], len(shape))


def points(trajectory: Trajectory) -> Tensor:
    return torch.from_numpy(trajectory.points())


@pytest.mark.parametrize("shape", [(6, 5), (8, 8), (3, 4, 5)])
def test_a_cartesian_sample_has_the_weight_one(shape: tuple[int, ...]) -> None:
    found = pipe_menon(grid(shape), shape)
    torch.testing.assert_close(found.weights, torch.ones_like(found.weights), atol=1e-5, rtol=0)
    assert found.defect < 1e-5
    cells = voronoi_weights(grid(shape), shape, "torus")
    torch.testing.assert_close(cells, torch.ones_like(cells))


def test_twice_as_many_samples_count_half() -> None:
    """Along one axis, and where every sample is measured twice."""
    fine = grid((6, 10))
    for weights in (pipe_menon(fine, (6, 5)).weights, voronoi_weights(fine, (6, 5), "torus")):
        torch.testing.assert_close(weights, torch.full_like(weights, 0.5), atol=1e-4, rtol=0)
    twice = torch.cat([grid((6, 5))] * 2)
    for weights in (pipe_menon(twice, (6, 5)).weights, voronoi_weights(twice, (6, 5), "torus")):
        torch.testing.assert_close(weights, torch.full_like(weights, 0.5), atol=1e-4, rtol=0)


def test_pipe_menon_solves_its_equation() -> None:
    """Σ_j c(k_i - k_j) w_j = 1 with the product of Fejér kernels, summed here one by one."""
    shape, k = (6, 5), points(Spiral(3, 12, 1.0)).reshape(-1, 2)
    found = pipe_menon(k.reshape(3, 12, 2), shape, iterations=300)
    gaps = k[:, None] - k
    kernel = torch.ones(gaps.shape[:2], dtype=torch.float64)
    for axis, n in enumerate(shape):
        half = gaps[..., axis] / 2
        ratio = torch.where(half == 0, 1.0, torch.sin(n * half) / (n * torch.sin(half)))
        kernel = kernel * ratio**2
    seen = kernel @ found.weights.flatten()
    held = (found.weights.flatten() * (seen - 1) ** 2).sum() / found.weights.sum()
    assert float(held.sqrt()) == pytest.approx(found.defect, abs=1e-4)
    assert found.defect < 0.02
    assert bool((found.weights > 0).all())


def test_more_iterations_leave_less() -> None:
    k = points(Radial(20, 64))
    defects = [pipe_menon(k, (32, 32), count).defect for count in (1, 5, 30)]
    assert defects[0] > 5 * defects[1] > 10 * defects[2]
    assert pipe_menon(k, (32, 32), 5).iterations == 5


def test_batches_of_trajectories_are_weighted_one_by_one() -> None:
    both = torch.stack([points(Radial(5, 16)), points(Radial(5, 16, start=0.3))])[:, None]
    weights = pipe_menon(both, (8, 8)).weights
    assert weights.shape == (2, 1, 5, 16)
    for index in range(2):
        alone = pipe_menon(both[index, 0], (8, 8)).weights
        torch.testing.assert_close(weights[index, 0], alone, rtol=1e-6, atol=1e-8)


DISC = math.pi / 4
BALL = math.pi / 6


def test_ramp_weights_sum_to_the_region() -> None:
    """The area of the disc, or volume of the ball, in cells; stacks fill the cylinder."""
    for ordering in ("uniform", "golden"):
        radial = Radial(11, 400, ordering)
        assert float(ramp_weights(radial, (20, 30)).sum()) == pytest.approx(DISC * 600, rel=1e-4)
    ball = ramp_weights(Kooshball(13, 400), (10, 12, 14))
    assert float(ball.sum()) == pytest.approx(BALL * 10 * 12 * 14, rel=1e-4)
    stack = ramp_weights(Stacked(Radial(11, 400), 6), (12, 20, 30))
    assert stack.shape == (66, 400)
    assert float(stack.sum()) == pytest.approx(DISC * 600 * 12, rel=1e-4)


@pytest.mark.parametrize("samples", [32, 33])
def test_ramp_weights_integrate_a_gaussian(samples: int) -> None:
    """∫ exp(-|k|²/2s²) dk = 2π s², and (2π s²)^(3/2) for the ball."""
    spread, shape = 0.5, (16, 16)
    plane = Radial(9, samples)
    values = torch.exp(-(points(plane) ** 2).sum(-1) / (2 * spread**2))
    per_cell = math.prod(n / (2 * math.pi) for n in shape)
    total = float((ramp_weights(plane, shape) * values).sum()) / per_cell
    assert total == pytest.approx(2 * math.pi * spread**2, rel=1e-3)
    ball = Kooshball(9, samples)
    values = torch.exp(-(points(ball) ** 2).sum(-1) / (2 * spread**2))
    total = float((ramp_weights(ball, (16, 16, 16)) * values).sum()) / (16 / (2 * math.pi)) ** 3
    assert total == pytest.approx((2 * math.pi * spread**2) ** 1.5, rel=1e-6)


def test_voronoi_agrees_with_the_ramp_away_from_centre_and_border() -> None:
    radial = Radial(24, 64, "uniform")
    cells = voronoi_weights(points(radial), (32, 32))
    inside = (abs(torch.from_numpy(radial.radii)) > 0.5) & (
        abs(torch.from_numpy(radial.radii)) < 2.8
    )
    ramp = ramp_weights(radial, (32, 32))
    torch.testing.assert_close(cells[:, inside], ramp[:, inside], rtol=0.01, atol=0)


def typical_distance(trajectory: Tensor) -> float:
    """The median, over all places, of the distance to the nearest other one."""
    flat = trajectory.flatten(0, 1)
    distances = torch.cdist(flat, flat)
    centre = trajectory.shape[1] // 2
    places = torch.ones(trajectory.shape[:2], dtype=torch.bool)
    places[1:, centre] = False
    among = distances[places.flatten()][:, places.flatten()]
    return float((among + 99 * torch.eye(len(among))).amin(dim=1).median())


def test_voronoi_cells_fill_the_ball_and_share_the_centre() -> None:
    """Up to the polygon that touches the circle, and the polyhedron that touches the sphere."""
    radial = points(Radial(40, 32, "uniform"))
    cells = voronoi_weights(radial, (16, 16))
    radius = math.pi + typical_distance(radial) / 2
    assert float(cells.sum()) == pytest.approx(256 / (4 * math.pi) * radius**2, rel=2e-3)
    torch.testing.assert_close(cells[:, 16], cells[:1, 16].expand(40))
    koosh = points(Kooshball(60, 10))
    ball = voronoi_weights(koosh, (8, 8, 8))
    radius = math.pi + typical_distance(koosh) / 2
    volume = 4 / 3 * math.pi * radius**3 * (8 / (2 * math.pi)) ** 3
    assert volume < float(ball.sum()) < 1.2 * volume


def test_weights_are_computed_once_for_a_trajectory_and_again_when_it_changes() -> None:
    spec = NonCartesian((8, 8), Radial(5, 16), 2)
    operator = NonCartesianMRI(spec)
    maps = torch.ones(2, 8, 8)
    first = density_weights(operator)
    assert density_weights(operator.with_tensors({"maps": maps})) is first
    part = density_weights(operator.restrict((0, 3)))
    assert part.shape == (2, 16)
    learned = operator.with_tensors({"trajectory": operator.trajectory.clone()})
    torch.testing.assert_close(density_weights(learned), first)
    learned.trajectory.mul_(0.5)
    assert not torch.allclose(density_weights(learned), first)


def test_bad_input_is_one_clear_error() -> None:
    with pytest.raises(GeometryError, match="at least 1 iteration"):
        pipe_menon(points(Radial(3, 8)), (4, 4), 0)
    with pytest.raises(GeometryError, match="use pipe_menon or voronoi_weights"):
        ramp_weights(Spiral(3, 8, 1.0), (4, 4))  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match="use pipe_menon or voronoi_weights"):
        ramp_weights(Stacked(Spiral(3, 8, 1.0), 2), (4, 4, 4))
    with pytest.raises(GeometryError, match="'ball' or 'torus'"):
        voronoi_weights(points(Radial(3, 8)), (4, 4), "disc")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="use more spokes"):
        voronoi_weights(points(Radial(1, 8)), (4, 4))
