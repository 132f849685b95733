"""CG-SENSE on coils written out as matrices."""

from __future__ import annotations

import pytest
import torch
from tests.solvers.dense import Dense, normal
from torch import Tensor

from learnedrecon.solvers.cg_sense import cg_sense
from learnedrecon.solvers.lsqr import lsqr

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
