"""Operators given by matrices: dense, sparse, real, complex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse
import torch

from learnedrecon.errors import DtypeError, GeometryError, LearnedReconError, ShapeError
from learnedrecon.operators.matrix import Matrix, MatrixOperator
from learnedrecon.operators.norm import lanczos_norm
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import build, named_from_plain, named_to_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


KINDS: dict[str, Callable[[Tensor], Any]] = {
    "dense": lambda matrix: matrix,
    "coo": lambda matrix: matrix.to_sparse(),
    "numpy": lambda matrix: matrix.numpy(),
    "scipy csr": lambda matrix: scipy.sparse.csr_array(matrix.numpy()),
    "scipy csc": lambda matrix: scipy.sparse.csc_matrix(matrix.numpy()),
    "scipy dia": lambda matrix: scipy.sparse.dia_array(matrix.numpy()),
}


def entries(dtype: torch.dtype, m: int = 5, n: int = 6) -> Tensor:
    matrix = torch.randn(m, n, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return torch.where(matrix.abs() > 0.6, matrix, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_matrix_is_the_same_map(kind: str, dtype: torch.dtype) -> None:
    matrix = entries(dtype)
    given = KINDS[kind](matrix)
    operator = MatrixOperator(given, (2, 3))
    assert operator.domain.dtype == dtype
    assert operator.is_sparse == (kind not in ("dense", "numpy"))
    u, v = operator.domain.random(leading=(4, 2)), operator.codomain.random(leading=(4, 2))
    torch.testing.assert_close(operator(u), u.flatten(-2) @ matrix.T)
    torch.testing.assert_close(operator.adjoint(v), (v @ matrix.conj()).unflatten(-1, (2, 3)))
    part = operator.subset([4, 1])
    torch.testing.assert_close(part(u), operator(u)[..., [4, 1]])
    torch.testing.assert_close(
        part.subset([1]).adjoint(v[..., :1]),
        (v[..., :1] @ matrix.conj()[[1]]).unflatten(-1, (2, 3)),
    )


def test_duplicate_entries_add_up() -> None:
    places = torch.tensor([[0, 0, 1], [1, 1, 0]])
    values = torch.tensor([1.0, 2.0, 5.0])
    operator = MatrixOperator(
        torch.sparse_coo_tensor(places, values, (2, 2), check_invariants=True)
    )
    torch.testing.assert_close(operator(torch.tensor([1.0, 10.0])), torch.tensor([30.0, 5.0]))


def test_the_norm_of_a_sparse_matrix() -> None:
    matrix = entries(torch.float64, 40, 30)
    exact = float(torch.linalg.matrix_norm(matrix, 2))
    sparse = MatrixOperator(matrix.to_sparse())
    assert sparse.norm() == pytest.approx(exact, rel=1e-8)
    assert MatrixOperator(matrix).norm() == pytest.approx(exact, rel=1e-12)
    assert lanczos_norm(sparse).norm == pytest.approx(exact, rel=1e-8)


def test_one_matrix_per_sample() -> None:
    matrices = torch.randn(3, 1, 5, 6, dtype=torch.float64)
    operator = MatrixOperator(matrices[0, 0], (2, 3)).with_tensors({"matrix": matrices})
    u = operator.domain.random(leading=(3, 2))
    expected = torch.einsum("bcmn,bkn->bkm", matrices, u.flatten(-2))
    torch.testing.assert_close(operator(u), expected)
    each = [MatrixOperator(m).norm() for m in matrices[:, 0]]
    torch.testing.assert_close(operator.norm(), torch.tensor(each, dtype=torch.float64)[:, None])
    torch.testing.assert_close(operator.subset([3, 0])(u), expected[..., [3, 0]])


def test_gradients_in_the_entries() -> None:
    matrix = entries(torch.complex128).requires_grad_()
    operator = MatrixOperator(entries(torch.complex128))
    u = operator.domain.random(leading=(2, 1)).requires_grad_()

    def action(u: Tensor, matrix: Tensor) -> Tensor:
        return operator.with_tensors({"matrix": matrix})(u)

    assert torch.autograd.gradcheck(action, (u, matrix))
    assert torch.autograd.gradgradcheck(action, (u, matrix))


def test_transforms_of_a_sparse_matrix() -> None:
    operator = MatrixOperator(entries(torch.float64).to_sparse())
    u = operator.domain.random(leading=(4,))
    torch.testing.assert_close(torch.func.vmap(operator)(u), operator(u))
    leaf = u.clone().requires_grad_()
    assert torch.autograd.gradgradcheck(operator, leaf)


def test_plain_data_and_back() -> None:
    spec = Matrix(((1.0, 2.0, 3.0, 4.0), (0.0, 1.0, 0.0, 1.0)), (2, 2))
    assert named_from_plain(OPERATORS, named_to_plain(OPERATORS, spec)) == spec
    value = build(OPERATORS, spec)(torch.ones(1, 1, 2, 2))
    torch.testing.assert_close(value, torch.tensor([[[10.0, 2.0]]]))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: MatrixOperator(torch.ones(3)), GeometryError, "shape \\(3,\\)"),
        (lambda: MatrixOperator(torch.ones(0, 3)), GeometryError, "at least one row"),
        (lambda: MatrixOperator(torch.ones(2, 3, dtype=torch.int64)), DtypeError, "int64"),
        (lambda: MatrixOperator(torch.ones(2, 6), (2, 2)), ShapeError, "images of 6"),
        (lambda: MatrixOperator([[1.0]]), GeometryError, "a Tensor"),
        (lambda: Matrix(((1.0,), (1.0, 2.0))), GeometryError, "equal length"),
        (lambda: given_matrix(torch.ones(3, 2)), ShapeError, "\\(2, 3\\)"),
        (lambda: given_matrix(torch.ones(2, 3), sparse=True), GeometryError, "per-sample"),
    ],
)
def test_errors(make: Callable[[], Any], error: type[LearnedReconError], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def given_matrix(matrix: Tensor, *, sparse: bool = False) -> MatrixOperator:
    first: Any = scipy.sparse.csr_array(np.eye(2, 3)) if sparse else torch.ones(2, 3)
    return MatrixOperator(first).with_tensors({"matrix": matrix})
