"""CG-SENSE on coils written out as matrices."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import Dense, normal
from torch import Tensor

from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.stack import Stack
from learnedrecon.solvers.cg_sense import cg_sense
from learnedrecon.solvers.lsqr import lsqr
from learnedrecon.solvers.normal import solve_normal
from learnedrecon.testing import dense_matrix

COMPLEX = torch.complex128


def sense(coils: int = 4, pixels: int = 12, every: int = 3) -> tuple[Tensor, Tensor]:
    """Maps (coils, pixels) with Σ|S|² = 1, and the matrix of every third frequency of each coil."""
    maps = normal(coils, pixels, dtype=COMPLEX)
    maps = maps / maps.norm(dim=0)
    fourier = torch.fft.fft(torch.eye(pixels, dtype=COMPLEX), norm="ortho")[::every]
    return maps, torch.cat([fourier * each for each in maps])


def test_undersampled_coils_are_unfolded() -> None:
    """Four coils, a third of the frequencies, no noise: the image itself."""
    _, matrix = sense()
    u = normal(2, 1, 12, seed=1, dtype=COMPLEX)
    result = cg_sense(Dense(matrix), Dense(matrix)(u), tolerance=1e-10)
    assert result.converged.all(), result.status
    torch.testing.assert_close(result.solution, u)


@pytest.mark.parametrize("weight", [0.01, 1.0])
def test_it_minimises_tikhonovs_functional(weight: float) -> None:
    _, matrix = sense(every=6)
    y = normal(2, 1, len(matrix), seed=2, dtype=COMPLEX)
    result = cg_sense(Dense(matrix), y, weight, tolerance=1e-12)
    by_lsqr = lsqr(Dense(matrix), y, damping=weight**0.5, tolerance=1e-12)
    torch.testing.assert_close(result.solution, by_lsqr.solution)
    gradient = Dense(matrix).adjoint(Dense(matrix)(result.solution) - y) + weight * result.solution
    assert gradient.norm() < 1e-10 * y.norm()


def test_it_is_differentiable_in_data_weight_and_maps() -> None:
    """Against a dense solve, maps and all."""
    maps, _ = sense()
    maps.requires_grad_()
    fourier = torch.fft.fft(torch.eye(12, dtype=COMPLEX), norm="ortho")[::3]
    weight = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    y = normal(1, 1, 16, seed=3, dtype=COMPLEX).requires_grad_()
    target = normal(12, seed=4, dtype=COMPLEX)
    leaves = (maps, weight, y)

    def matrix() -> Tensor:
        return torch.cat([fourier * each for each in maps])

    ours = cg_sense(Dense(matrix()), y, weight, tolerance=1e-13).solution
    M = matrix()
    dense = torch.linalg.solve(
        M.mH @ M + weight * torch.eye(12, dtype=COMPLEX), (M.mH @ y[0, 0])[:, None]
    )[None, None, :, 0]
    gradients = [
        torch.autograd.grad((solution - target).abs().square().sum(), leaves)
        for solution in (ours, dense)
    ]
    for a, b in zip(*gradients, strict=True):
        assert (a - b).norm() <= 1e-10 * b.norm()


def test_the_operator_of_cartesian_mri() -> None:
    """Four coils and every other line, against the matrix of T; one coil in closed form."""
    maps = normal(4, 6, 8, dtype=COMPLEX)
    maps = maps / maps.abs().square().sum(0).sqrt()
    lines = (torch.arange(8) % 2 == 0).double().expand(6, 8)
    operator = CartesianMRI(Cartesian((6, 8), 4), lines, maps, COMPLEX)
    y = operator(normal(2, 1, 6, 8, seed=1, dtype=COMPLEX)) + 0.1
    result = cg_sense(operator, y, 0.05, tolerance=1e-12)
    assert result.converged.all(), result.status
    matrix = dense_matrix(operator)
    right = torch.view_as_real(operator.adjoint(y)).movedim(-1, 2).flatten(1)
    x = torch.linalg.solve(matrix.T @ matrix + 0.05 * torch.eye(96).double(), right.T).T
    expected = torch.view_as_complex(x.unflatten(1, (2, 6, 8)).movedim(1, -1).contiguous())
    torch.testing.assert_close(result.solution[:, 0], expected)
    single = CartesianMRI(Cartesian((6, 8)), lines, dtype=COMPLEX)
    closed = cg_sense(single, y[:, :, 0], 0.05)
    assert closed.status == "Solved in closed form."
    iterated = solve_normal(Stack([single]), single.adjoint(y[:, :, 0]), 0.05, tolerance=1e-13)
    assert iterated.status.startswith("Converged")
    torch.testing.assert_close(closed.solution, iterated.solution)
