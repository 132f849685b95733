"""Total variation with the data in parts, against the iteration with all data."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.space import Space
from learnedrecon.solvers import tv_parts
from learnedrecon.solvers.tv import tv_reconstruction

SCAN = ParallelBeam((12, 10), AngleRange(121), FlatDetector(17), 1.0)
BOTH = pytest.mark.parametrize("nonnegative", [True, False])


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tv_parts, "_LEAST_WORK", 0)


class Whole(LinearOperator):
    """T without rows, so that the iteration takes all data at once."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.operator.adjoint(v)


def noisy(number: int = 2) -> tuple[RayTransform, Tensor]:
    ray = RayTransform(SCAN, torch.float64)
    u = torch.zeros(number, 1, 12, 10, dtype=torch.float64)
    for k in range(number):
        u[k, 0, 2 : 6 + k % 4, 1:5] = 1.0 + 0.3 * k
        u[k, 0, 7:11, 4 : 7 + k % 3] = -0.4
    clean = ray(u)
    return ray, clean + 0.05 * normal(*clean.shape)


@BOTH
@pytest.mark.parametrize("weight", [0.05, 1.0, 20.0])
def test_the_solution_is_that_of_the_iteration_with_all_data(
    nonnegative: bool, weight: float
) -> None:
    ray, y = noisy()
    parts = tv_reconstruction(ray, y, weight, nonnegative=nonnegative, gap=1e-5)
    whole = tv_reconstruction(Whole(ray), y, weight, nonnegative=nonnegative, gap=1e-5)
    assert parts.converged.all()
    torch.testing.assert_close(parts.objective, whole.objective, rtol=1e-5, atol=0)


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    ray, y = noisy(3)
    y[2] *= 50
    weights = torch.tensor([0.1, 3.0, 40.0])
    together = tv_reconstruction(ray, y, weights)
    for k in range(3):
        alone = tv_reconstruction(ray, y[k : k + 1], weights[k : k + 1])
        torch.testing.assert_close(alone.image[0], together.image[k], rtol=1e-12, atol=1e-12)
        assert alone.iterations[0] == together.iterations[k]


def test_a_second_run_is_the_first_one() -> None:
    ray, y = noisy()
    once, again = tv_reconstruction(ray, y, 0.3), tv_reconstruction(ray, y, 0.3)
    assert torch.equal(once.image, again.image)


def test_units_change_nothing_else() -> None:
    ray, y = noisy()
    small = replace(SCAN, detector=FlatDetector(17, 0.1), pixel_size=0.1)
    once = tv_reconstruction(ray, y, 0.2)
    in_cm = tv_reconstruction(RayTransform(small, torch.float64), y / 10, 0.002)
    thousand = tv_reconstruction(ray, 1000 * y, 200.0)
    torch.testing.assert_close(in_cm.image, once.image, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(thousand.image, 1000 * once.image, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("unit", [1e-20, 1e20])
def test_no_unit_is_too_small_or_large(unit: float) -> None:
    ray, y = noisy()
    result = tv_reconstruction(ray, (unit * y).float(), 0.2 * unit)
    assert result.converged.all()


def test_no_signal_gives_no_image() -> None:
    ray, y = noisy()
    result = tv_reconstruction(ray, 0 * y, 0.2)
    assert result.converged.all()
    assert not result.image.any()


def test_a_fine_start_is_used() -> None:
    ray, y = noisy()
    first = tv_reconstruction(ray, y, 0.2, gap=1e-5)
    again = tv_reconstruction(ray, y, 0.2, gap=1e-4, initial=first.image)
    cold = tv_reconstruction(ray, y, 0.2, gap=1e-4)
    assert (again.iterations <= cold.iterations).all()
    assert again.converged.all()


def test_volumes() -> None:
    scan = ConeBeam((4, 5, 6), AngleRange(120, arc=6.28), FlatPanel(6, 8), 60.0, 30.0)
    ray = RayTransform3D(scan, torch.float64)
    u = torch.zeros(1, 1, 4, 5, 6, dtype=torch.float64)
    u[..., 1:3, 1:4, 2:5] = 1
    y = ray(u)
    y = y + 0.02 * y.abs().mean() * normal(*y.shape)
    parts = tv_reconstruction(ray, y, 2.0, gap=1e-3)
    whole = tv_reconstruction(Whole(ray), y, 2.0, gap=1e-3)
    assert parts.converged.all()
    torch.testing.assert_close(parts.objective, whole.objective, rtol=1e-3, atol=0)


def test_parts_are_all_views_once() -> None:
    ray, _ = noisy()
    parts = tv_parts.parts_of(ray)
    u = normal(1, *ray.domain.shape)
    again = torch.empty(1, *ray.codomain.shape, dtype=torch.float64)
    for index, part in enumerate(parts):
        again[:, index :: len(parts)] = part(u)
    torch.testing.assert_close(again, ray(u), rtol=1e-12, atol=1e-12)


def test_few_views_and_other_operators_are_not_parted() -> None:
    few = replace(SCAN, angles=AngleRange(119))
    assert tv_parts.parts_of(RayTransform(few)) == ()
    assert tv_parts.parts_of(Whole(RayTransform(SCAN))) == ()


def test_small_ones_are_not_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(tv_parts.parts_of(RayTransform(SCAN))) == 30
    monkeypatch.setattr(tv_parts, "_LEAST_WORK", 121 * 17 * 12 + 1)
    assert tv_parts.parts_of(RayTransform(SCAN)) == ()


@pytest.mark.parametrize("views", [1, 4, 40])
def test_the_bound_of_the_norm_is_valid_and_tight(views: int) -> None:
    part = RayTransform(replace(SCAN, angles=AngleRange(views)), torch.float64)
    eye = torch.eye(part.domain.size, dtype=torch.float64).view(-1, *part.domain.shape)
    norm = float(torch.linalg.matrix_norm(part(eye).flatten(1), 2))
    bound = tv_parts._norm_bound(part, torch.ones(1, *part.domain.shape, dtype=torch.float64))
    assert norm * (1 - 1e-12) <= bound <= 1.1 * norm


def test_the_bound_holds_where_pixels_are_not_seen() -> None:
    narrow = ParallelBeam((12, 10), AngleRange(8), FlatDetector(5), 1.0)
    part = RayTransform(narrow, torch.float64)
    eye = torch.eye(part.domain.size, dtype=torch.float64).view(-1, *part.domain.shape)
    norm = float(torch.linalg.matrix_norm(part(eye).flatten(1), 2))
    assert (
        tv_parts._norm_bound(part, torch.ones(1, *part.domain.shape, dtype=torch.float64)) >= norm
    )


def test_an_operator_for_each_sample_takes_all_data() -> None:
    ray, y = noisy()
    angles = torch.tensor(SCAN.angle_values, dtype=torch.float64)
    own = ray.with_tensors({"angles": torch.stack([angles, angles])[:, None]})
    result = tv_reconstruction(own, y, 0.3)
    reference = tv_reconstruction(ray, y, 0.3)
    torch.testing.assert_close(result.objective, reference.objective, rtol=2e-3, atol=0)


def test_the_space_of_parts_is_that_of_the_views() -> None:
    ray, _ = noisy()
    assert tv_parts.parts_of(ray)[0].codomain == Space((5, 17), torch.float64)


def test_the_norm_of_the_parts_is_bounded_from_both_sides() -> None:
    """By Collatz and Wielandt the bound is no less than ‖T_i‖, and a few powers come near."""
    ray = RayTransform(SCAN, torch.float64)
    parts = tuple(ray.subset(range(k, 121, 3)) for k in range(3))
    basis = torch.eye(120, dtype=torch.float64).reshape(120, 1, 12, 10)
    exact = max(float(torch.linalg.matrix_norm(part(basis).flatten(1), 2)) for part in parts)
    bound = tv_parts._largest_norm(parts, basis[:1])
    assert exact <= bound <= 1.05 * exact
