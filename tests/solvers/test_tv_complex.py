"""Total variation of complex images, and with an operator for each sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Conjugating, normal
from torch import Tensor

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.functionals.combined import FunctionalMultiple, Misfit
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.functionals.norms import GroupL1
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.imaging.shapes import Identity, RealToComplex
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space, inner
from learnedrecon.solvers.pdhg import Term, pdhg
from learnedrecon.solvers.tv import tv_reconstruction
from learnedrecon.solvers.tv_certificate import OptimalityCertificate

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator

COMPLEX = torch.complex128
SHAPE = (10, 8)


def mri() -> CartesianMRI:
    lines = (torch.arange(8) % 2 == 0) | (torch.arange(8) == 3)
    return CartesianMRI(Cartesian(SHAPE), lines.double().expand(SHAPE), dtype=COMPLEX)


def phantom() -> Tensor:
    u = torch.zeros(2, 1, *SHAPE, dtype=COMPLEX)
    u[0, 0, 2:7, 2:6] = torch.tensor(1.0 + 0.5j)
    u[1, 0, 1:5, 3:8] = 2.0 * torch.exp(torch.tensor(2j))
    return u


@pytest.mark.parametrize("weight", [0.1, 0.7, 4.0])
def test_two_complex_pixels_in_closed_form(weight: float) -> None:
    """min ½|a - y₁|² + ½|b - y₂|² + α|a - b|: mean and difference, this shrunk by 2α."""
    y = torch.tensor([[[3.0 + 1j, 1.0 - 2j]]], dtype=COMPLEX)
    result = tv_reconstruction(
        Identity(Space((1, 2), COMPLEX)), y, weight, gap=1e-10, max_iterations=50000
    )
    assert result.converged.all(), result.status
    mean, difference = y.mean(), y[0, 0, 0] - y[0, 0, 1]
    shrunk = difference * (1 - 2 * weight / difference.abs()).clamp(min=0)
    expected = torch.stack([mean + shrunk / 2, mean - shrunk / 2]).reshape(1, 1, 2)
    torch.testing.assert_close(result.image, expected, rtol=1e-4, atol=1e-4)


def test_it_agrees_with_pdhg() -> None:
    operator, weight = mri(), 0.05
    y = (operator(phantom()) + 0.05 * normal(2, 1, *SHAPE, dtype=COMPLEX))[1:]
    found = tv_reconstruction(operator, y, weight, gap=1e-5, max_iterations=2000)
    assert found.converged.all(), found.status
    terms = [
        Term(Misfit(LeastSquares(), y), operator),
        Term(FunctionalMultiple(GroupL1(), weight), FiniteDifference(operator.domain)),
    ]
    other = pdhg(terms, None, torch.zeros_like(phantom()[1:]), tolerance=1e-5, max_iterations=2000)
    torch.testing.assert_close(found.image, other.solution, rtol=1e-3, atol=1e-2)
    values = [term.functional(term.operator(other.solution)) for term in terms]
    value = values[0] + values[1]
    torch.testing.assert_close(found.objective, value, rtol=1e-4, atol=0)
    assert (found.objective * (1 - found.gap) <= value).all()


def test_a_phase_of_the_data_is_the_phase_of_the_image() -> None:
    operator = mri()
    y = operator(phantom()) + 0.05 * normal(2, 1, *SHAPE, dtype=COMPLEX)
    turn = torch.exp(torch.tensor(0.7j, dtype=COMPLEX))
    once, turned = (tv_reconstruction(operator, data, 0.05) for data in (y, turn * y))
    torch.testing.assert_close(turned.image, turn * once.image, rtol=1e-8, atol=1e-8)


def test_real_images_of_complex_data_stay_real_and_nonnegative() -> None:
    operator = mri() @ RealToComplex(Space(SHAPE, torch.float64))
    y = operator(phantom().real) + 0.05 * normal(2, 1, *SHAPE, dtype=COMPLEX)
    result = tv_reconstruction(operator, y, 0.05)
    assert result.converged.all(), result.status
    assert result.image.dtype == torch.float64
    assert (result.image >= 0).all()


@pytest.mark.parametrize("linear", ["complex", "real"])
def test_complex_certificates_are_feasible_and_below(linear: str) -> None:
    """|q| ≤ α, T*p + ∇*q = 0 and D(p, q) ≤ P(u), for complex- and for real-linear T."""
    operator: LinearOperator = mri()
    if linear == "real":
        first, second = normal(5, 6, dtype=COMPLEX), normal(5, 6, seed=1, dtype=COMPLEX)
        operator = Conjugating(first, second)
    certificate = OptimalityCertificate(operator, nonnegative=False)
    domain, codomain, gradient = operator.domain, operator.codomain, certificate.difference
    u = normal(20, *domain.shape, seed=2, dtype=COMPLEX)
    y = operator(u) + 0.1 * normal(20, *codomain.shape, seed=3, dtype=COMPLEX)
    weight = torch.linspace(0.05, 1.0, 20, dtype=torch.float64)
    p, q = operator(u) - y, 0.3 * gradient(normal(20, *domain.shape, seed=4, dtype=COMPLEX))
    point = certificate.feasible_dual(p, q, y, weight)
    lengths = point.q.abs().square().sum(-domain.ndim - 1).sqrt().flatten(1).amax(1)
    assert (lengths <= weight * (1 + 1e-12)).all()
    rest = operator.adjoint(point.p) + gradient.adjoint(point.q)
    assert rest.abs().max() <= 1e-12 * (1 + operator.adjoint(p).abs().max())
    assert (certificate.dual(point, y) <= certificate.primal(u, y, weight)).all()
    assert (inner(point.p, point.p, codomain.ndim) > 0).any()


def test_complex_images_cannot_be_nonnegative() -> None:
    with pytest.raises(ConfigError, match="real images for u ≥ 0"):
        tv_reconstruction(mri(), mri()(phantom()), 0.1, nonnegative=True)


def test_arguments_in_the_wrong_order_are_named() -> None:
    with pytest.raises(GeometryError, match="swap the two"):
        tv_reconstruction(phantom(), mri(), 0.1)  # type: ignore[arg-type]


def test_every_sample_may_have_its_own_angles() -> None:
    """One at a time with the angles in the geometry, as a second way."""
    angles = torch.tensor([AngleRange(7).values()], dtype=torch.float64)
    angles = torch.stack([angles, angles + 0.1, angles + 0.2])
    detector = FlatDetector(17)
    scan = ParallelBeam((12, 10), AngleRange(7), detector)
    operator = RayTransform(scan, torch.float64).with_tensors({"angles": angles})
    u = torch.zeros(3, 1, 12, 10, dtype=torch.float64)
    u[0, 0, 2:6, 3:8], u[1, 0, 4:9, 1:5], u[2, 0, 1:10, 5:7] = 1.0, 3.0, 0.2
    y = operator(u) + 0.02 * normal(3, 1, 7, 17)
    weights = torch.tensor([0.3, 0.05, 0.4], dtype=torch.float64)
    together = tv_reconstruction(operator, y, weights, gap=1e-4, max_iterations=3000)
    assert together.converged.all(), together.status
    assert together.iterations.unique().numel() > 1
    for k in range(3):
        own = RayTransform(
            ParallelBeam((12, 10), tuple(angles[k, 0].tolist()), detector), torch.float64
        )
        alone = tv_reconstruction(
            own, y[k : k + 1], weights[k : k + 1], gap=1e-4, max_iterations=3000
        )
        assert float(together.objective[k]) == pytest.approx(float(alone.objective), rel=2e-4)
        torch.testing.assert_close(together.image[k], alone.image[0], rtol=0, atol=6e-2)
    assert math.isfinite(float(together.gap.max()))
