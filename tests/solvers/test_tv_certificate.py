from __future__ import annotations

import pytest
import torch
from tests.helpers import normal

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.solvers.tv_certificate import OptimalityCertificate, solve_poisson

RAY = RayTransform(ParallelBeam((9, 8), AngleRange(5), FlatDetector(13)), torch.float64)
GRADIENT = FiniteDifference(RAY.domain)


@pytest.mark.parametrize("shape", [(9,), (6, 1), (7, 8), (3, 4, 5)])
def test_poisson_is_solved(shape: tuple[int, ...]) -> None:
    gradient = FiniteDifference(Space(shape, torch.float64))
    r = normal(2, *shape)
    r = r - r.flatten(1).mean(1).view(-1, *([1] * len(shape)))
    phi = solve_poisson(r, len(shape))
    torch.testing.assert_close(gradient.adjoint(gradient(phi)), r)
    torch.testing.assert_close(phi.flatten(1).mean(1), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("sign", [-1.0, 0.0, 1.0])
def test_any_pair_is_made_feasible(nonnegative: bool, size: float, sign: float) -> None:
    """|q| ≤ α, and T*p + ∇*q = 0 (or ≥ 0), whatever it is made from."""
    certificate = OptimalityCertificate(RAY, nonnegative=nonnegative)
    y, weight = normal(6, 5, 13, seed=1), torch.linspace(0.1, 3.0, 6, dtype=torch.float64)
    p = size * (normal(6, 5, 13, seed=2) + sign)
    point = certificate.feasible_dual(p, size * normal(6, 2, 9, 8, seed=3), y, weight)
    lengths = point.q.square().sum(1).sqrt().flatten(1).amax(1)
    assert (lengths <= weight * (1 + 1e-12)).all()
    r = RAY.adjoint(point.p) + GRADIENT.adjoint(point.q)
    tolerance = 1e-12 * (1 + RAY.adjoint(point.p).abs().max())
    assert r.min() >= -tolerance
    assert nonnegative or r.max() <= tolerance


@pytest.mark.parametrize("nonnegative", [True, False])
def test_weak_duality(nonnegative: bool) -> None:
    """D(p, q) ≤ P(u) for every feasible pair and every admissible image."""
    certificate = OptimalityCertificate(RAY, nonnegative=nonnegative)
    u = normal(50, 9, 8, seed=4).abs() if nonnegative else normal(50, 9, 8, seed=4)
    y = RAY(u) + 0.1 * normal(50, 5, 13, seed=5)
    weight = torch.full((50,), 0.05, dtype=torch.float64)
    p = RAY(u) - y
    point = certificate.feasible_dual(p, 0.05 * normal(50, 2, 9, 8, seed=6), y, weight)
    assert (certificate.dual(point, y) <= certificate.primal(u, y, weight)).all()


def test_a_feasible_point_of_the_best_size_stays() -> None:
    """With s = 1 optimal, that is ⟨p, y⟩ = -‖p‖², nothing is to be repaired."""
    certificate = OptimalityCertificate(RAY, nonnegative=False)
    q = 0.2 * normal(1, 2, 9, 8)
    start = certificate.feasible_dual(
        normal(1, 5, 13, seed=1), q, normal(1, 5, 13, seed=2), torch.tensor([10.0])
    )
    y = -start.p
    again = certificate.feasible_dual(start.p, start.q, y, torch.tensor([10.0]))
    torch.testing.assert_close(again.p, start.p)
    torch.testing.assert_close(
        GRADIENT.adjoint(again.q), GRADIENT.adjoint(start.q), rtol=1e-9, atol=1e-10
    )
