"""Baselines without weights against dense matrices and optimality conditions."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.errors import GeometryError
from learnedrecon.models.regularised import CGSense, SparseWavelets, ZeroFilled
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.problem import InverseProblem

C128 = torch.complex128
F64 = torch.float64


def sense(shape: tuple[int, int] = (8, 12)) -> tuple[InverseProblem, CartesianMRI]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, *shape, dtype=C128, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    mask = torch.rand(shape, generator=generator) < 0.5
    operator = CartesianMRI(Cartesian(shape, coils=3), mask, maps, C128)
    image = torch.randn(2, 1, *shape, dtype=C128, generator=generator)
    return InverseProblem(operator, operator(image)), operator


def test_the_root_of_the_sum_of_squares_needs_no_maps() -> None:
    problem, operator = sense()
    data = problem.data
    shifted = torch.fft.ifft2(torch.fft.ifftshift(data, dim=(-2, -1)), norm="ortho")
    expected = torch.fft.fftshift(shifted, dim=(-2, -1)).abs().square().sum(2).sqrt()
    found = ZeroFilled("rss")(problem).image
    torch.testing.assert_close(found.real, expected)
    assert not found.imag.any()
    torch.testing.assert_close(ZeroFilled()(problem).image, operator.adjoint(data))


def test_it_needs_coils() -> None:
    operator = CartesianMRI(Cartesian((6, 6)))
    data = torch.ones(1, 1, 6, 6, dtype=torch.complex64)
    with pytest.raises(GeometryError, match="several receive coils"):
        ZeroFilled("rss")(InverseProblem(operator, data))


def test_conjugate_gradients_solve_the_normal_equations() -> None:
    problem, operator = sense()
    norm = float(operator.norm())
    u = CGSense(0.3, tolerance=1e-12)(problem).image
    residual = operator.adjoint(operator(u) - problem.data) + 0.3 * norm**2 * u
    assert float(residual.norm() / problem.back.norm()) < 1e-10


def test_the_weight_is_relative_to_the_norm() -> None:
    matrix = torch.randn(7, 5, dtype=F64, generator=torch.Generator().manual_seed(1))
    data = torch.ones(1, 1, 7, dtype=F64)
    images = [
        CGSense(0.1, tolerance=1e-12)(InverseProblem(MatrixOperator(a * matrix), data)).image * a
        for a in (1.0, 50.0)
    ]
    torch.testing.assert_close(images[0], images[1])


@pytest.mark.parametrize("shape", [(8, 12), (7, 10)])
def test_sparse_wavelets_satisfy_their_optimality_conditions(shape: tuple[int, int]) -> None:
    """Coefficients of the gradient are -α c/|c| where c is not 0, and at most α elsewhere."""
    problem, operator = sense(shape)
    model = SparseWavelets(0.2, wavelet="db2", levels=1, tolerance=1e-10, max_iterations=5000)
    synthesis = model.synthesis(operator)
    u = model(problem).image
    alpha = 0.2 * problem.back.abs().flatten(1).amax(1)[:, None, None, None]
    if synthesis.domain.shape == shape:
        c = synthesis.adjoint(u)
        gradient = synthesis.adjoint(operator.adjoint(operator(u) - problem.data))
        inside = c.abs() > 1e-6
        expected = -alpha * c / c.abs().clamp_min(1e-30)
        torch.testing.assert_close(
            gradient[inside], expected.expand_as(c)[inside], rtol=1e-5, atol=1e-6
        )
        assert bool((gradient.abs() <= alpha * (1 + 1e-6)).all())
        assert 0 < int(inside.sum()) < c.numel()
    identity = synthesis(synthesis.adjoint(u))
    torch.testing.assert_close(identity, u)


def test_results_scale_with_the_data() -> None:
    problem, operator = sense()
    model = SparseWavelets(0.1, levels=1, wavelet="haar", tolerance=1e-8)
    larger = InverseProblem(operator, 1e-5 * problem.data)
    torch.testing.assert_close(
        model(larger).image, 1e-5 * model(problem).image, rtol=1e-5, atol=1e-11
    )
    nothing = InverseProblem(operator, 0 * problem.data)
    assert not model(nothing).image.any()
