"""Linear operators given by a dense or sparse matrix."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learnedrecon.errors import DtypeError, GeometryError, ShapeError, describe
from learnedrecon.operators.autograd import apply_kernel, apply_kernel_adjoint
from learnedrecon.operators.fields import require_kind
from learnedrecon.operators.leading import Norm, require_leading
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import lanczos_norm, require_settled
from learnedrecon.operators.space import Space

_SMALL = 512


@dataclass(frozen=True)
class Matrix:
    """The configuration of a :class:`MatrixOperator` with few entries.

    Attributes:
        rows: Real entries, row by row.
        shape: Shape of the image, whose entries in C order are the columns; one axis unless given.

    Raises:
        GeometryError: Rows have unequal lengths, or there are none.
    """

    rows: tuple[tuple[float, ...], ...]
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        rows = np.asarray(self.rows, dtype=object)
        if rows.ndim != 2 or not rows.size:
            raise GeometryError(
                describe(
                    expected="rows of equal length",
                    found=f"{self.rows!r:.80}",
                    fix="write Matrix(((1, 2), (3, 4)))",
                )
            )
        plain = tuple(tuple(map(float, row)) for row in rows.tolist())
        object.__setattr__(self, "rows", plain)

    def build(self) -> MatrixOperator:
        """The operator."""
        operator = MatrixOperator(torch.tensor(self.rows), self.shape)
        operator.spec = self
        return operator


class MatrixOperator(LinearOperator):
    """T u = A u, with u flattened in C order.

    A sparse matrix is stored twice, by rows and by columns, so that T and T* are equally fast; both
    are differentiable in the image any number of times, and dense matrices also in their entries.

    Args:
        matrix: A, (m, n): a dense tensor, a sparse one (COO or CSR), an array, or a sparse array of
            SciPy; float32, float64 or complex.
        shape: Shape of the image, with n entries; one axis unless given.
        result: Shape of the data, with m entries; one axis unless given.

    Raises:
        GeometryError: Not a matrix.
        ShapeError: A shape does not have as many entries as A has columns or rows.
        DtypeError: The matrix does not consist of floats.

    Shapes: (..., *shape) to (..., *result). Rows are those of A where ``result`` is not given.
    """

    tensor_names: frozenset[str]
    spec: Matrix | None = None
    matrix: Tensor
    values: Tensor

    def __init__(
        self,
        matrix: Tensor | np.ndarray | Any,  # noqa: ANN401 - an array or a sparse matrix of scipy
        shape: tuple[int, ...] | None = None,
        result: tuple[int, ...] | None = None,
    ) -> None:
        matrix = _as_tensor(matrix)
        m, n = matrix.shape[-2:]
        domain = Space((n,) if shape is None else shape, matrix.dtype)
        codomain = Space((m,) if result is None else result, matrix.dtype)
        _require_sizes(domain, codomain, (m, n))
        self._set(domain, codomain, matrix)

    def _set(self, domain: Space, codomain: Space, matrix: Tensor) -> None:
        super().__init__(domain, codomain)
        self.is_sparse = matrix.layout != torch.strided
        self.tensor_names = frozenset() if self.is_sparse else frozenset({"matrix"})
        self.row_axis = -1 if codomain.ndim == 1 else None
        if not self.is_sparse:
            self.register_buffer("matrix", matrix, persistent=False)
            return
        for name, part in zip(_PARTS, _parts(matrix), strict=True):
            self.register_buffer(name, part, persistent=False)

    def with_tensors(self, tensors: dict[str, Tensor]) -> MatrixOperator:
        """The operator with another dense matrix, or one for every sample.

        Args:
            tensors: "matrix" (*lead, m, n); the leading axes are those of the images, or 1.

        Raises:
            GeometryError: Another name, or a sparse operator.
            ShapeError: Another size, or no channel axis.
        """
        if not tensors:
            return self
        if set(tensors) != self.tensor_names:
            super().with_tensors({k: t for k, t in tensors.items() if k not in self.tensor_names})
            return self
        matrix = tensors["matrix"]
        expected = (self.codomain.size, self.domain.size)
        if tuple(matrix.shape[-2:]) != expected:
            raise ShapeError(
                describe(
                    expected=f"a matrix with last axes {expected}",
                    found=f"shape {tuple(matrix.shape)}",
                    fix="give it the leading axes of the images and the size of the operator's",
                )
            )
        require_leading(matrix, 2, "matrix")
        twin = MatrixOperator.__new__(MatrixOperator)
        twin._set(self.domain, self.codomain, matrix)  # noqa: SLF001 - of this class
        return twin

    def own_axes(self, name: str) -> int:  # noqa: ARG002 - what other classes look at
        return 2

    def evaluate(self, u: Tensor) -> Tensor:
        x = u.flatten(-self.domain.ndim)
        y = apply_kernel(_Sparse(self), x) if self.is_sparse else self._dense(x, adjoint=False)
        return y.unflatten(-1, self.codomain.shape)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        y = v.flatten(-self.codomain.ndim)
        if self.is_sparse:
            x = apply_kernel_adjoint(_Sparse(self), y)
        else:
            x = self._dense(y, adjoint=True)
        return x.unflatten(-1, self.domain.shape)

    def restrict(self, rows: tuple[int, ...]) -> MatrixOperator:
        index = list(rows)
        codomain = Space((len(rows),), self.codomain.dtype)
        if self.is_sparse:
            matrix = _select(self.sparse("rows", self.values), index)
        else:
            matrix = self.matrix[..., index, :]
        part = MatrixOperator.__new__(MatrixOperator)
        part._set(self.domain, codomain, matrix)  # noqa: SLF001 - of this class
        return part

    def compute_norm(self) -> Norm:
        """‖A‖ from singular values where the matrix is small, otherwise by Lanczos."""
        if not self.is_sparse and (self.matrix.ndim > 2 or min(self.matrix.shape) <= _SMALL):
            return _singular(self.matrix)
        return require_settled(lanczos_norm(self), "a matrix")

    def norm_bound(self) -> Norm | None:
        """‖A‖ from singular values in float64 where the matrix is small, otherwise None."""
        if self.is_sparse or min(self.matrix.shape[-2:]) > _SMALL:
            return None
        wide = torch.promote_types(self.matrix.dtype, torch.float64)
        return _singular(self.matrix.to(wide))

    def sparse(self, which: str, like: Tensor) -> Tensor:
        """A or A* as a sparse matrix stored by rows, in the precision of ``like``."""
        names = _PARTS[:3] if which == "rows" else _PARTS[3:]
        starts, places, values = (getattr(self, name) for name in names)
        m, n = self.codomain.size, self.domain.size
        return _csr(starts, places, values.to(like.dtype), (m, n) if which == "rows" else (n, m))

    def _dense(self, x: Tensor, *, adjoint: bool) -> Tensor:
        matrix = self.matrix.to(x.dtype)
        matrix = matrix.conj() if adjoint else matrix.mT
        if matrix.ndim == 2:
            return x @ matrix
        return (x[..., None, :] @ matrix)[..., 0, :]

    def extra_repr(self) -> str:
        kind = "sparse" if self.is_sparse else "dense"
        return f"{kind}, {self.domain.shape} to {self.codomain.shape}"


def _singular(matrix: Tensor) -> Norm:
    norm = torch.linalg.matrix_norm(matrix.detach(), 2)
    return norm.double() if norm.ndim else float(norm)


_PARTS = ("row_starts", "columns", "values", "column_starts", "rows", "adjoint_values")


@dataclass(frozen=True, eq=False)
class _Sparse:
    """The pair (A, A*) of vectors (..., n) and (..., m)."""

    operator: MatrixOperator

    def forward(self, u: Tensor) -> Tensor:
        """A u."""
        return _times(self.operator.sparse("rows", u), u)

    def adjoint(self, v: Tensor) -> Tensor:
        """A* v."""
        return _times(self.operator.sparse("columns", v), v)


def _times(matrix: Tensor, x: Tensor) -> Tensor:
    columns = x.reshape(-1, x.shape[-1]).T.contiguous()
    return (matrix @ columns).T.reshape(*x.shape[:-1], matrix.shape[0])


def _csr(starts: Tensor, places: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")
        return torch.sparse_csr_tensor(starts, places, values, size, check_invariants=False)


def _parts(matrix: Tensor) -> tuple[Tensor, ...]:
    """The parts of A and of A* by rows, in the order of their names."""
    found: list[Tensor] = []
    coordinates = matrix.to_sparse_coo().coalesce()
    adjoint = coordinates.mH.coalesce() if matrix.is_complex() else coordinates.mT.coalesce()
    for each in (coordinates, adjoint):
        number = each.shape[0]
        counts = torch.bincount(each.indices()[0], minlength=number)
        starts = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
        found += [starts, each.indices()[1].contiguous(), each.values().resolve_conj()]
    return tuple(found)


def _select(matrix: Tensor, rows: list[int]) -> Tensor:
    """Some rows of a sparse matrix, in this order."""
    chosen = torch.tensor(rows, device=matrix.device)
    return matrix.to_sparse_coo().index_select(0, chosen)


def _as_tensor(matrix: Any) -> Tensor:  # noqa: ANN401 - an array or a sparse matrix of scipy
    """A dense or sparse tensor of floats.

    Raises:
        GeometryError: not a matrix.
        DtypeError: whole numbers or half precision.
    """
    if hasattr(matrix, "tocoo"):  # a sparse array of SciPy
        coordinates = matrix.tocoo()
        places = torch.from_numpy(np.stack((coordinates.row, coordinates.col)).astype(np.int64))
        values = torch.from_numpy(np.array(coordinates.data))
        matrix = torch.sparse_coo_tensor(
            places, values, coordinates.shape, check_invariants=True
        ).coalesce()
    elif isinstance(matrix, np.ndarray):
        matrix = torch.from_numpy(np.ascontiguousarray(matrix))
    require_kind(matrix, Tensor, "MatrixOperator(matrix) with a tensor, or an array of two axes")
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise GeometryError(
            describe(
                expected="a matrix of at least one row and one column",
                found=f"shape {tuple(matrix.shape)}",
                fix="give two axes; put one matrix per sample in by with_tensors",
            )
        )
    if matrix.dtype not in (torch.float32, torch.float64, torch.complex64, torch.complex128):
        raise DtypeError(
            describe(
                expected="a matrix of float32, float64, complex64 or complex128",
                found=str(matrix.dtype),
                fix="convert it, for example with .to(torch.float32)",
            )
        )
    return matrix


def _require_sizes(domain: Space, codomain: Space, sizes: tuple[int, int]) -> None:
    if (codomain.size, domain.size) != sizes:
        raise ShapeError(
            describe(
                expected=f"data of {sizes[0]} entries and images of {sizes[1]}",
                found=f"shapes {codomain.shape} and {domain.shape}",
                fix="give shapes with as many entries as the matrix has rows and columns",
            )
        )
