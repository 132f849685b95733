"""The algebra of linear operators against dense matrices."""

from __future__ import annotations

import operator as op
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import DtypeError, GeometryError, ShapeError
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearMultiple, LinearOperator
from learnedrecon.operators.mri.fourier import CentredFFT
from learnedrecon.operators.norm import estimated_norm, power_iteration
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from learnedrecon.operators.rows import Rows

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))


class Matrix(LinearOperator):
    """x ↦ Ax, or its real part where the domain of the adjoint is real."""

    row_axis = -1
    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        m, n = matrix.shape
        super().__init__(Space((n,), matrix.dtype), Space((m,), matrix.dtype))
        self.register_buffer("matrix", matrix)

    def evaluate(self, u: Tensor) -> Tensor:
        return u @ self.matrix.to(u.dtype).T

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v @ self.matrix.to(v.dtype).conj()

    def restrict(self, rows: tuple[int, ...]) -> Matrix:
        return Matrix(self.matrix[list(rows)])


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    is_complex=st.booleans(),
    scalar=st.floats(-3, 3),
)
@settings(max_examples=25, deadline=None)
def test_algebra_is_that_of_matrices(
    shape: tuple[int, int, int], is_complex: bool, scalar: float
) -> None:
    k, m, n = shape
    dtype = torch.complex128 if is_complex else torch.float64
    A, B = Matrix(normal(m, n, dtype=dtype)), Matrix(normal(m, n, dtype=dtype, seed=1))
    C = Matrix(normal(k, m, dtype=dtype, seed=2))
    a, b, c = (dense_matrix(T) for T in (A, B, C))
    for operator, expected in (
        (A.H, a.T),
        (A.H.H, a),
        (scalar * A, scalar * a),
        (A * scalar, scalar * a),
        (-A, -a),
        (A + B, a + b),
        (A - B, a - b),
        (C @ A, c @ a),
        ((C @ A).H, a.T @ c.T),
        (C @ (A - scalar * B), c @ (a - scalar * b)),
    ):
        torch.testing.assert_close(dense_matrix(operator), expected)
        torch.testing.assert_close(dense_matrix(operator.H), expected.T)


def test_dense_matrix_of_a_matrix_is_that_matrix() -> None:
    A = normal(3, 4)
    torch.testing.assert_close(dense_matrix(Matrix(A)), A)
    Z = normal(2, 3, dtype=torch.complex128)
    expected = torch.cat([torch.cat([Z.real, -Z.imag], 1), torch.cat([Z.imag, Z.real], 1)])
    torch.testing.assert_close(dense_matrix(Matrix(Z)), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_norms_against_singular_values(dtype: torch.dtype) -> None:
    A, B = Matrix(normal(9, 5, dtype=dtype)), Matrix(normal(9, 5, dtype=dtype, seed=1))
    for operator in (A, A.H, -2.5 * A, A + B, A.H @ B, 0.0 * A):
        exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
        assert operator.norm() == pytest.approx(exact, rel=1e-5, abs=1e-12)


def test_norm_is_computed_once() -> None:
    class Counting(Matrix):
        calls = 0

        def evaluate(self, u: Tensor) -> Tensor:
            self.calls += 1
            return super().evaluate(u)

    A = Counting(normal(4, 3))
    first, calls = A.norm(), A.calls
    assert A.norm() == first
    assert A.calls == calls > 0
    assert A.H.norm() == first
    assert (3 * A).norm() == 3 * first
    assert A.calls == calls


def test_ray_transforms_of_one_geometry_share_their_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    norm = RayTransform(SCAN).norm()
    monkeypatch.setattr(RayTransform, "evaluate", None)
    again = RayTransform(ParallelBeam((4, 5), AngleRange(6), FlatDetector(7)), torch.float64)
    assert again.norm() == norm


@given(rows=st.lists(st.integers(0, 5), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_subset_chooses_rows_of_the_matrix(rows: list[int]) -> None:
    operator = RayTransform(SCAN, torch.float64)
    whole = dense_matrix(operator).reshape(6, 7, -1)
    for part, expected in (
        (operator.subset(rows), whole[rows]),
        ((0.5 * operator).subset(rows), 0.5 * whole[rows]),
        ((operator + operator).subset(rows), 2 * whole[rows]),
    ):
        torch.testing.assert_close(dense_matrix(part), expected.flatten(0, 1))


def test_rows_of_a_composition_are_those_of_the_outer_operator() -> None:
    A, C = Matrix(normal(3, 4)), Matrix(normal(5, 3, seed=1))
    torch.testing.assert_close(dense_matrix((C @ A).subset([4, 1])), (C.matrix @ A.matrix)[[4, 1]])


def test_a_subset_of_a_subset() -> None:
    operator = RayTransform(SCAN, torch.float64)
    u = operator.domain.random()
    assert torch.equal(operator.subset([1, 3, 5]).subset([2, 0])(u), operator(u)[[5, 1]])


@pytest.mark.parametrize("rows", [[], [-1], [6], [0, 99]])
def test_subset_refuses_rows_that_are_not_there(rows: Sequence[int]) -> None:
    with pytest.raises(GeometryError, match=r"each in 0\.\.5"):
        RayTransform(SCAN).subset(rows)


def test_operators_without_rows_say_so() -> None:
    with pytest.raises(GeometryError, match="FiniteDifference, which has none"):
        FiniteDifference(Space((3, 4))).subset([0])
    with pytest.raises(GeometryError, match="Adjoint"):
        RayTransform(SCAN).H.subset([0])


def test_spaces_of_sums_and_compositions_must_agree() -> None:
    A, B = Matrix(normal(3, 4)), Matrix(normal(4, 3))
    with pytest.raises(ShapeError, match="domains of a sum"):
        _ = A + B
    with pytest.raises(ShapeError, match="codomains of a sum"):
        _ = A + Matrix(normal(2, 4))
    with pytest.raises(ShapeError, match="between two composed"):
        _ = A @ A
    with pytest.raises(ShapeError, match="domains of a sum"):
        _ = A + Matrix(normal(3, 4, dtype=torch.complex128))


def test_wrong_arguments_are_named() -> None:
    operator = RayTransform(SCAN)
    with pytest.raises(ShapeError, match=r"an image with last axes \(4, 5\).*\(5, 4\)"):
        operator(torch.zeros(5, 4))
    with pytest.raises(ShapeError, match=r"data with last axes \(6, 7\)"):
        operator.adjoint(torch.zeros(7))
    with pytest.raises(DtypeError, match=r"torch\.int64"):
        operator(torch.zeros(4, 5, dtype=torch.int64))
    with pytest.raises(DtypeError, match="complex"):
        operator(torch.zeros(4, 5, dtype=torch.complex64))
    with pytest.raises(GeometryError, match="mask"):
        operator.with_tensors({"mask": torch.ones(1)})
    assert operator.with_tensors({}) is operator


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(half: torch.dtype) -> None:
    operator = RayTransform(SCAN)
    u = normal(4, 5).to(half)
    assert operator(u).dtype == torch.float32
    assert torch.equal(operator(u), operator(u.float()))
    assert operator.adjoint(operator(u).to(half)).dtype == torch.float32


def test_float64_keeps_complex_buffers_complex() -> None:
    Z = normal(3, 2, dtype=torch.complex64)
    operator = Matrix(Z.clone())
    wide = operator.to(torch.float64)
    assert wide.matrix.dtype == torch.complex128
    assert wide.domain.dtype == wide.codomain.dtype == torch.complex128
    assert torch.equal(wide.matrix, Z.to(torch.complex128))
    assert operator.half().matrix.dtype == torch.complex64


def test_autocast_does_not_reach_an_operator() -> None:
    operator = Matrix(normal(3, 4, dtype=torch.float32))
    u, v = normal(4, dtype=torch.float32), normal(3, dtype=torch.float32)
    outside = operator(u), operator.adjoint(v)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(operator(u), outside[0])
        assert torch.equal(operator.adjoint(v), outside[1])


@pytest.mark.parametrize("scalar", [2.0, 1j, -0.3 + 0.8j])
def test_complex_multiples(scalar: complex) -> None:
    """A complex matrix times a number, also where images are real and T* takes real parts."""
    A = normal(3, 4, dtype=torch.complex128)
    torch.testing.assert_close(dense_matrix(scalar * Matrix(A)), dense_matrix(Matrix(scalar * A)))
    torch.testing.assert_close(
        dense_matrix((scalar * Matrix(A)).H), dense_matrix(Matrix(scalar * A)).T
    )
    torch.testing.assert_close(dense_matrix(Matrix(A) / scalar), dense_matrix(Matrix(A / scalar)))
    assert (scalar * Matrix(A)).norm() == pytest.approx(abs(scalar) * Matrix(A).norm())
    operator = Lifted(Space((4,), torch.complex128)) * scalar
    torch.testing.assert_close(dense_matrix(operator.H), dense_matrix(operator).T)
    with pytest.raises(DtypeError, match="a real number, as the codomain is real"):
        LinearMultiple(Matrix(normal(3, 4)), 1j)


@pytest.mark.parametrize("scalar", [0.0, -0.5, 0.3 - 2j])
def test_the_normal_inverse_of_a_multiple(scalar: complex) -> None:
    """(|a|²F*F + λI)⁻¹, also for a complex a."""
    operator = scalar * CentredFFT(Space((3, 4), torch.complex128))
    b = normal(3, 4, dtype=torch.complex128)
    found = operator.normal_inverse(b, 0.7)
    assert found is not None
    torch.testing.assert_close(operator.adjoint(operator(found)) + 0.7 * found, b)


class Lifted(LinearOperator):
    """Conjugates too: real-linear, and not complex-linear."""

    def __init__(self, space: Space) -> None:
        super().__init__(space, space)

    def evaluate(self, u: Tensor) -> Tensor:
        return u.conj() + 2 * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v.conj() + 2 * v


def test_the_norm_of_a_normal_operator_is_a_square() -> None:
    A, B = Matrix(normal(4, 3)), Matrix(normal(4, 3, seed=1))
    assert (A.H @ A).norm() == (A @ A.H).norm() == A.norm() ** 2
    cross = float(torch.linalg.matrix_norm(dense_matrix(A).T @ dense_matrix(B), 2))
    assert (A.H @ B).norm() == pytest.approx(cross, rel=1e-5)
    assert (A.H @ B).norm() != pytest.approx(A.norm() * B.norm(), rel=1e-2)


def test_every_sample_has_a_norm_of_its_own() -> None:
    """Also by power iteration, where a sample may be mapped to 0."""
    space = Space((3,), torch.float64)
    own = normal(4, 1, 3)
    own[2] = 0
    A = Matrix(normal(5, 3, seed=1))
    operator = A @ Diagonal(space, own)
    exact = torch.stack([torch.linalg.matrix_norm(A.matrix * d, 2) for d in own])
    torch.testing.assert_close(operator.norm(), exact[:, None], rtol=1e-5, atol=0)


def test_the_norm_of_a_diagonal_is_its_largest_entry() -> None:
    values = torch.tensor([[1.0, -3.0, 2.9999], [0.5, 0.1, 2.0]], dtype=torch.float64)
    norms = Diagonal(Space((3,), torch.float64), values[:, None]).norm()
    assert torch.equal(torch.as_tensor(norms), torch.tensor([[3.0], [2.0]], dtype=torch.float64))


@pytest.mark.parametrize(
    "rows",
    [
        range(0, 6, 2),
        slice(None, None, 2),
        slice(0, 6, 2),
        np.arange(0, 6, 2),
        np.array([0, 2, 4], dtype=np.uint8),
        torch.arange(0, 6, 2),
        [np.int64(0), torch.tensor(2), 4],
    ],
    ids=repr,
)
def test_rows_may_be_arrays_tensors_and_slices(rows: Rows) -> None:
    operator = RayTransform(SCAN, torch.float64)
    part = operator.subset(rows)
    assert isinstance(part, RayTransform)
    assert part.geometry == SCAN.subset((0, 2, 4))
    y = normal(1, 1, 6, 7)
    assert torch.equal(InverseProblem(operator, y).subset(rows).data, y[:, :, [0, 2, 4]])


@pytest.mark.parametrize(
    "rows",
    [
        3,
        "01",
        None,
        [0.0, 1.0],
        np.array([0.5]),
        np.ones(6, dtype=bool),
        torch.ones(6, dtype=torch.bool),
        [[0, 1]],
        torch.tensor(3),
    ],
    ids=repr,
)
def test_what_is_not_rows_is_named(rows: Any) -> None:
    operator = RayTransform(SCAN, torch.float64)
    for subset in (operator.subset, InverseProblem(operator, normal(1, 1, 6, 7)).subset):
        with pytest.raises(GeometryError, match=r"whole numbers, or as a slice.*T\.subset\(\["):
            subset(rows)


@pytest.mark.parametrize("rows", [slice(6, None), torch.tensor([6]), np.array([-1])])
def test_rows_of_every_kind_must_be_there(rows: Rows) -> None:
    with pytest.raises(GeometryError, match=r"at least one row, each in 0\.\.5"):
        RayTransform(SCAN).subset(rows)


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_an_image_is_not_multiplied_by_an_operator(kind: Callable[[object], Any]) -> None:
    operator, u = Matrix(normal(3, 2)), kind([1.0, 2.0])
    with pytest.raises(DtypeError, match=r"T @ an operator\. .*shape \(2,\)\. .*T\(u\)"):
        operator @ u
    with pytest.raises(DtypeError, match=r"T \* a real number\. .*shape \(2,\)\. .*T\(u\)"):
        operator * u


def test_images_as_arrays_are_named() -> None:
    operator, y = RayTransform(SCAN), np.zeros((1, 1, 6, 7))
    with pytest.raises(DtypeError, match=r"an image as a torch tensor\. Found numpy\.ndarray"):
        operator(np.zeros((4, 5)))
    with pytest.raises(DtypeError, match=r"data as a torch tensor.*torch\.from_numpy"):
        operator.adjoint(y)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match=r"data as a torch tensor.*torch\.from_numpy"):
        InverseProblem(operator, y)  # type: ignore[arg-type]


def test_operators_are_divided_by_numbers() -> None:
    matrix = normal(3, 2)
    for number in (4, 4.0, np.float32(4), torch.tensor(4.0), np.array(4)):
        scaled = Matrix(matrix) / number  # type: ignore[operator]
        assert torch.equal(dense_matrix(scaled), matrix / 4)
    with pytest.raises(ZeroDivisionError):
        Matrix(matrix) / 0


@pytest.mark.parametrize("other", ["a", None, 1j, [1.0]])
def test_other_things_have_no_arithmetic_with_operators(other: Any) -> None:
    operator = Matrix(normal(3, 2))
    for combine in (op.add, op.sub, op.mul, op.truediv, op.matmul):
        with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
            combine(operator, other)


@pytest.mark.parametrize("iterations", [2, 300])
def test_a_norm_that_has_not_settled_is_not_silent(
    iterations: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scan = RayTransform(ParallelBeam((8, 8), AngleRange(5), FlatDetector(11)))
    limited = partial(power_iteration, iterations=iterations)
    monkeypatch.setattr("learnedrecon.operators.norm.power_iteration", limited)
    with caplog.at_level("WARNING", logger="learnedrecon"):
        norm = estimated_norm(scan)
    settled = limited(scan).converged
    assert settled == (iterations == 300)
    assert [f"{norm:g} is a lower bound" in text for text in caplog.messages] == [True] * (
        not settled
    )
