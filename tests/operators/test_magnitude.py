"""Measurements without phase: closed forms, what they cannot see, and the derivative at 0."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers import complex_normal as random
from torch import Tensor

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.magnitude import Magnitude, PhaseRetrieval
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space

SPACE = Space((5,), torch.complex128)


class Matrix(LinearOperator):
    """A real or complex image of 5 pixels to 7 complex numbers."""

    row_axis = -1
    matrix: Tensor

    def __init__(self, matrix: Tensor, *, real_images: bool = False) -> None:
        rows, columns = matrix.shape
        domain = Space((columns,), torch.float64 if real_images else matrix.dtype)
        super().__init__(domain, Space((rows,), matrix.dtype))
        self.register_buffer("matrix", matrix)

    def evaluate(self, u: Tensor) -> Tensor:
        return u.to(self.matrix.dtype) @ self.matrix.T

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        back = v.to(self.matrix.dtype) @ self.matrix.conj()
        return back if self.domain.is_complex else back.real


A = random(7, 5, seed=1)


@pytest.mark.parametrize("real_images", [False, True])
def test_phase_retrieval_in_closed_form(real_images: bool) -> None:
    """T'(u)h = 2 Re(conj(Au)·Ah) and T'(u)*v = 2A*(Au·v), its real part for real images."""
    operator = PhaseRetrieval(Matrix(A, real_images=real_images))
    assert operator.codomain == Space((7,), torch.float64)
    dtype = operator.domain.dtype
    u, h, v = random(3, 5, dtype=dtype), random(3, 5, dtype=dtype, seed=2), random(3, 7).real
    z, w = u.to(A.dtype) @ A.T, h.to(A.dtype) @ A.T
    value, derivative = operator.linearise(u)
    torch.testing.assert_close(value, z.abs() ** 2)
    torch.testing.assert_close(operator(u), value)
    torch.testing.assert_close(derivative(h), 2 * (z.conj() * w).real)
    pulled = 2 * (z * v) @ A.conj()
    torch.testing.assert_close(derivative.adjoint(v), pulled.real if real_images else pulled)


def test_the_expansion_of_phase_retrieval_is_exact() -> None:
    """|A(u + h)|² = T(u) + T'(u)h + |Ah|²."""
    operator = PhaseRetrieval(Matrix(A))
    u, h = random(5), random(5, seed=2)
    value, derivative = operator.linearise(u)
    torch.testing.assert_close(operator(u + h), value + derivative(h) + operator(h))


@pytest.mark.parametrize("make", [PhaseRetrieval, Magnitude])
def test_a_global_phase_is_lost(make: type[PhaseRetrieval]) -> None:
    """T(e^{iφ}u) = T(u), so that i·u is in the kernel of T'(u)."""
    operator = make(Matrix(A))
    u = random(5)
    torch.testing.assert_close(operator(u * complex(math.cos(1), math.sin(1))), operator(u))
    assert operator.linearise(u)[1](1j * u).abs().max() < 1e-13


@pytest.mark.parametrize("smoothing", [1e-3, 0.5])
def test_magnitude_in_closed_form(smoothing: float) -> None:
    operator = Magnitude(Matrix(A), smoothing)
    u, h, v = random(3, 5), random(3, 5, seed=2), random(3, 7).real
    z, w = u @ A.T, h @ A.T
    value, derivative = operator.linearise(u)
    expected = (z.abs() ** 2 + smoothing**2).sqrt()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(derivative(h), (z.conj() * w).real / expected)
    torch.testing.assert_close(derivative.adjoint(v), (z / expected * v) @ A.conj())


def test_magnitude_is_near_the_modulus() -> None:
    """It is above by at most ε, and by ε²/(2|Au|) where that is large."""
    z = torch.tensor([0.0, 1e-6, 1e-3, 1.0, 100.0], dtype=torch.complex128)
    identity = Diagonal(SPACE, torch.ones(5, dtype=torch.float64))
    excess = Magnitude(identity, 1e-3)(z) - z.abs()
    assert excess[0] == 1e-3
    assert bool((excess <= 1e-3).all())
    torch.testing.assert_close(excess[3], torch.tensor(0.5e-6).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_the_derivatives_of_a_magnitude_at_zero(dtype: torch.dtype) -> None:
    """First derivative 0, second 1/ε: nothing is undefined, though |·| has a kink there."""
    space = Space((5,), dtype)
    operator = Magnitude(Diagonal(space, torch.ones(5, dtype=dtype.to_real())), 0.25)
    u = space.zeros().requires_grad_()
    (first,) = torch.autograd.grad(operator(u).sum(), u, create_graph=True)
    assert not first.detach().any()
    (second,) = torch.autograd.grad(first.real.sum(), u)
    torch.testing.assert_close(second, torch.full_like(second, 4.0))
    assert (
        not operator.linearise(space.zeros())[1]
        .adjoint(torch.ones(5, dtype=first.real.dtype))
        .any()
    )


def test_real_data_keep_their_square_and_modulus() -> None:
    scan = RayTransform(ParallelBeam((4, 5), AngleRange(3), FlatDetector(7)), torch.float64)
    u = random(4, 5).real
    torch.testing.assert_close(PhaseRetrieval(scan)(u), scan(u) ** 2)
    torch.testing.assert_close(Magnitude(scan, 1e-9)(u), scan(u).abs(), atol=1e-9, rtol=0)


def test_precision_moves_with_the_operator() -> None:
    operator = PhaseRetrieval(Matrix(A.to(torch.complex64)))
    assert operator.codomain.dtype == torch.float32
    wide = operator.to(torch.float64)
    assert (wide.domain.dtype, wide.codomain.dtype) == (torch.complex128, torch.float64)


def test_what_is_not_linear_has_no_phase_to_lose() -> None:
    curved = TransmissionCT(Transmission(ParallelBeam((4, 5), AngleRange(3), FlatDetector(7))))
    for make in (PhaseRetrieval, Magnitude):
        with pytest.raises(GeometryError, match=r"a linear operator A.*TransmissionCT"):
            make(curved)  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [0.0, -1.0, math.nan, math.inf])
def test_smoothing_is_positive(smoothing: float) -> None:
    with pytest.raises(ConfigError, match="smoothing > 0"):
        Magnitude(Matrix(A), smoothing)
