"""Fixed point solvers against direct solutions, and sample by sample."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import FixedPointSolver, Packing, Picard

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = 12
SOLVERS: tuple[FixedPointSolver, ...] = (
    Picard(1e-10, 2000),
    Picard(1e-10, 4000, damping=0.5),
    Anderson(1e-10, 200),
    Anderson(1e-10, 300, window=2, damping=0.7),
    Anderson(1e-10, 300, window=8, regularisation=0.0),
)


def matrix(radius: float, seed: int = 0) -> Tensor:
    """Symmetric, with eigenvalues from -``radius`` to ``radius``."""
    q, _ = torch.linalg.qr(normal(SIZE, SIZE, seed=seed))
    return q @ torch.diag(torch.linspace(-radius, radius, SIZE, dtype=torch.float64)) @ q.T


class Affine:
    """z ↦ A_b z + c_b, its own for each sample; counts its evaluations."""

    def __init__(self, radii: Sequence[float]) -> None:
        self.matrices = torch.stack([matrix(radius, k) for k, radius in enumerate(radii)])
        self.offsets = normal(len(radii), SIZE, seed=9)
        self.calls = 0

    def __call__(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.calls += 1
        (z,) = state
        return ((self.matrices @ z[:, :, None]).squeeze(2) + self.offsets,)

    def solution(self) -> Tensor:
        identity = torch.eye(SIZE, dtype=torch.float64)
        return torch.linalg.solve(identity - self.matrices, self.offsets)


@pytest.mark.parametrize(
    "solver", [Picard(1e-2, 1000), Picard(1e-2, 1000, 0.5), Anderson(1e-2, 1000), Anderson(0.1, 90)]
)
def test_maps_without_a_fixed_point_do_not_converge(solver: FixedPointSolver) -> None:
    """z ↦ z + b, and a shear that grows quadratically: steps become small beside the iterates."""
    offset = normal(1, SIZE, seed=3)

    def shear(z: Tensor) -> Tensor:
        return z + torch.cat([z[:, 1:], torch.ones(1, 1, dtype=z.dtype)], 1)

    for f in (lambda state: (state[0] + offset,), lambda state: (shear(state[0]),)):
        result = solver.solve(f, (torch.zeros(1, SIZE, dtype=torch.float64),))
        assert not bool(result.converged.any()), result.status
        assert "Not converged" in result.status


def test_a_far_fixed_point_is_not_announced_on_the_way() -> None:
    """z ↦ γz + b with γ = 1 - 1e-5 has moved 1 % of the way after 1000 steps of equal length."""
    start = (torch.zeros(1, 1, dtype=torch.float64),)
    result = Picard(1e-2, 1000).solve(lambda state: (state[0] * (1 - 1e-5) + 1,), start)
    assert not bool(result.converged)
    assert float(result.state[0]) < 0.011 * 1e5
    there = Picard(1e-2, 10).solve(
        lambda state: (state[0] * (1 - 1e-5) + 1,), (torch.full((1, 1), 0.9999e5),)
    )
    assert bool(there.converged)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_affine_maps_are_solved(solver: FixedPointSolver) -> None:
    f = Affine([0.0, 0.5, 0.95])
    result = solver.solve(f, (torch.zeros(3, SIZE, dtype=torch.float64),))
    assert bool(result.converged.all())
    assert "Converged" in result.status
    torch.testing.assert_close(result.state[0], f.solution(), rtol=1e-7, atol=1e-8)
    assert f.calls == len(result.history) == int(result.iterations.max())
    assert bool((result.residual <= 1e-10).all())


def test_anderson_is_gmres_on_affine_maps() -> None:
    """With a full window it ends within n + 2 evaluations, where Picard needs hundreds."""
    f = Affine([0.99])
    start = (torch.zeros(1, SIZE, dtype=torch.float64),)
    fast = Anderson(1e-9, 100, window=SIZE, regularisation=0.0, growth=1e9).solve(f, start)
    slow = Picard(1e-9, 10_000).solve(f, start)
    assert int(fast.iterations) <= SIZE + 2
    assert int(slow.iterations) > 500


def test_damping_enters_as_in_the_formula() -> None:
    """Two evaluations by hand: z_1 = z_0 + βg_0, then one difference."""
    f = Affine([0.8])
    beta = 0.6
    z0 = normal(1, SIZE, seed=3)
    solver = Anderson(0.0, 3, window=1, damping=beta, regularisation=0.0, growth=1e9)
    z = [z0]
    g = [f((z0,))[0] - z0]
    z.append(z0 + beta * g[0])
    g.append(f((z[1],))[0] - z[1])
    dz, dg = z[1] - z[0], g[1] - g[0]
    gamma = (g[1] * dg).sum() / (dg * dg).sum()
    z.append(z[1] + beta * g[1] - gamma * (dz + beta * dg))
    seen = list(itertools.islice(solver.iterate(lambda x: f((x,))[0], z0), 3))
    for found, expected in zip(seen, z, strict=True):
        torch.testing.assert_close(found.state, expected)


@pytest.mark.parametrize("solver", [Picard(1e-8, 60), Anderson(1e-8, 60)], ids=repr)
def test_samples_do_not_see_each_other(solver: FixedPointSolver) -> None:
    """The third sample diverges; the first is at its fixed point from the start."""
    f = Affine([0.3, 0.8, 1.5])
    start = torch.zeros(3, SIZE, dtype=torch.float64)
    start[0] = f.solution()[0]
    together = solver.solve(f, (start,))
    for k in range(3):
        alone = Affine([0.3, 0.8, 1.5])
        alone.matrices, alone.offsets = f.matrices[k : k + 1], f.offsets[k : k + 1]
        single = solver.solve(alone, (start[k : k + 1],))
        torch.testing.assert_close(together.state[0][k], single.state[0][0], rtol=1e-9, atol=0)
        assert int(together.iterations[k]) == int(single.iterations[0])
    assert int(together.iterations[0]) == 1
    torch.testing.assert_close(together.state[0][0], start[0], rtol=0, atol=0)


def test_anderson_does_not_let_rounding_couple_samples() -> None:
    size = 400
    basis = torch.linalg.qr(normal(size, size))[0]
    slow = ((basis * torch.linspace(0, 0.97, size)) @ basis.T).float()
    offsets = normal(8, size, seed=1).float()

    def solved(rows: range) -> Tensor:
        def f(state: tuple[Tensor, ...]) -> list[Tensor]:  # row by row, as batches round otherwise
            pairs = zip(state[0], rows, strict=True)
            return [torch.stack([slow @ z + offsets[k] for z, k in pairs])]

        (found,) = Anderson(0.0, 12).solve(f, (torch.zeros(len(rows), size),)).state
        return found

    together = solved(range(8))
    alone = torch.cat([solved(range(k, k + 1)) for k in range(8)])
    assert float((together - alone).abs().max()) < 5e-6  # 6e-5 with inner products in float32


def test_the_best_iterate_is_returned_and_failure_is_said() -> None:
    f = Affine([1.5])
    start = (normal(1, SIZE, seed=4),)
    result = Picard(1e-8, 30).solve(f, start)
    assert not bool(result.converged.any())
    assert "Not converged: 1 of 1" in result.status
    assert float(result.residual) == float(result.history.min())
    value = f(result.state)[0]
    again = (value - result.state[0]).norm() / value.norm()
    torch.testing.assert_close(float(result.residual), float(again))


def test_the_safeguard_keeps_near_the_best_iterate() -> None:
    """A map with a kink sends plain Anderson off; residuals of jumps back never exceed the best."""

    def kinked(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (z,) = state
        return (torch.where(z.abs() < 0.1, 0.9 * z, -0.95 * z + 3 * torch.sign(z) * 0.1),)

    start = (normal(4, SIZE, seed=5),)
    guarded = Anderson(1e-12, 80, growth=1.5).solve(kinked, start)
    limit = 1.5 * guarded.history.cummin(0).values
    exceeding = guarded.history > limit
    assert not bool((exceeding[1:] & exceeding[:-1]).any())


def test_not_a_number_is_never_converged() -> None:
    result = Anderson(1e-3, 5).solve(lambda z: (z[0] * torch.nan,), (normal(2, 3),))
    assert not bool(result.converged.any())
    late = Anderson(1e-12, 9).solve(
        lambda z: (torch.where(z[0].abs() < 1.0, torch.nan, 0.5 * z[0]),), (10 + normal(1, 3),)
    )
    assert not bool(late.converged.any())
    assert bool(late.state[0].isfinite().all())


def test_several_tensors_and_complex_ones() -> None:
    a, b = normal(2, 3, 4), torch.complex(normal(2, 5, seed=1), normal(2, 5, seed=2))

    def f(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, z = state
        return 0.5 * x + a, 0.3j * z + b

    result = Anderson(1e-12, 50).solve(f, (torch.zeros_like(a), torch.zeros_like(b)))
    torch.testing.assert_close(result.state[0], 2 * a)
    torch.testing.assert_close(result.state[1], b / (1 - 0.3j))
    assert result.state[1].dtype == torch.complex128


def test_packing_goes_back() -> None:
    tensors = (normal(2, 3, 4).float(), torch.complex(normal(2, 2), normal(2, 2)))
    packing = Packing(tensors)
    for found, expected in zip(packing.split(packing.join(tensors)), tensors, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    with pytest.raises(ShapeError, match="one batch axis"):
        Packing((normal(2, 3), normal(3, 3)))


def test_states_are_the_values_after_each_evaluation() -> None:
    f = Affine([0.5])
    start = (torch.zeros(1, SIZE, dtype=torch.float64),)
    z = start[0]
    for (state,) in Picard(0.0, 4).states(f, start):
        z = f((z,))[0]
        torch.testing.assert_close(state, z)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Picard(damping=0.0), "0 < damping <= 1"),
        (lambda: Anderson(window=0), "window >= 1"),
        (lambda: Anderson(growth=1.0), "growth > 1"),
        (lambda: Anderson(regularisation=-1.0), "regularisation >= 0"),
        (lambda: Picard(tolerance=-1.0), "tolerance >= 0"),
        (lambda: Picard(max_iterations=0), "max_iterations >= 1"),
    ],
)
def test_fields_out_of_range(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]
