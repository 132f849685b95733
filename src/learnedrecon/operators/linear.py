"""Linear operators and what can be built from them: adjoints, multiples, sums, compositions."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from learnedrecon.errors import DtypeError, GeometryError, ShapeError, describe
from learnedrecon.operators.base import Operator, without_autocast
from learnedrecon.operators.norm import estimated_norm
from learnedrecon.operators.rows import row_indices

if TYPE_CHECKING:
    from learnedrecon.operators.rows import Rows
    from learnedrecon.operators.space import Space


class LinearOperator(Operator):
    """A real-linear T with its exact adjoint for the unweighted inner product Re⟨a, b⟩.

    Subclasses write :meth:`evaluate` and :meth:`evaluate_adjoint`, and those with rows to choose
    from write :meth:`restrict` and set :attr:`row_axis`.

    Attributes:
        row_axis: the axis of the codomain along which ``subset`` counts (negative), or None.
    """

    row_axis: int | None = None

    @abstractmethod
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        """T*v for a ``v`` that has been checked."""

    def adjoint(self, v: Tensor) -> Tensor:
        """T*v.

        Args:
            v: (..., *codomain.shape).

        Returns:
            (..., *domain.shape), of the same precision.

        Raises:
            ShapeError: the last axes of ``v`` are not those of the codomain.
            DtypeError: ``v`` is not a floating tensor of the codomain's kind.
        """
        v = self.codomain.admit(v, "data")
        with without_autocast(v):
            return self.evaluate_adjoint(v)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), self

    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        """The operator of the given rows, for :meth:`subset`; ``rows`` have been checked."""
        raise GeometryError(
            describe(
                expected="an operator with a row axis",
                found=f"{type(self).__name__}, which has none, and {len(rows)} rows",
                fix="use the whole operator",
            )
        )

    def subset(self, rows: Rows) -> LinearOperator:
        """The rows ``rows`` of T, counted along :attr:`row_axis` of the codomain.

        Args:
            rows: whole numbers in any order (a sequence, an array or a tensor), or a slice.

        Raises:
            GeometryError: no rows, a row out of range, or an operator without rows.
        """
        return self.restrict(self.row_indices(rows))

    def row_indices(self, rows: Rows) -> tuple[int, ...]:
        """The indices that ``rows`` stand for in :meth:`subset`.

        Raises:
            GeometryError: as for :meth:`subset`.
        """
        if self.row_axis is None:
            raise GeometryError(
                describe(
                    expected="an operator with a row axis",
                    found=f"{type(self).__name__}, which has none",
                    fix="use the whole operator",
                )
            )
        return row_indices(rows, self.codomain.shape[self.row_axis])

    def norm(self) -> float:
        """‖T‖, the largest singular value, by seeded power iteration; computed once."""
        if self._norm is None:
            self._norm = self.compute_norm()
        return self._norm

    _norm: float | None = None

    def compute_norm(self) -> float:
        """‖T‖ without the cache; subclasses with a closed form or a shared cache replace this."""
        return estimated_norm(self)

    def norm_bound(self) -> float | None:
        """A number that ‖T‖ certainly does not exceed, or None where none is known.

        :meth:`norm` is an estimate from below. Step sizes use this one, by
        :func:`learnedrecon.operators.norm.upper_norm`.
        """
        return None

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:  # noqa: ARG002
        """(T*T + λI)⁻¹ b in closed form, differentiable, or None where none is known.

        :func:`learnedrecon.solvers.normal.solve_normal` uses it, and conjugate gradients otherwise.

        Args:
            b: (..., *domain.shape).
            weight: λ > 0, a number or a tensor that broadcasts with ``b``.
        """
        return None

    @property
    def H(self) -> Adjoint:  # the name of the field, as in SciPy and MRpro
        """T* as an operator."""
        return Adjoint(self)

    def __matmul__(self, other: LinearOperator) -> Composition:
        """(S @ T)u = S(Tu)."""
        if not isinstance(other, LinearOperator):
            _refuse_elements(other, "@")
            return NotImplemented
        return Composition(self, other)

    def __add__(self, other: LinearOperator) -> Sum:
        """(S + T)u = Su + Tu."""
        return Sum(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __mul__(self, scalar: float) -> Scaled:
        """(aT)u = a·Tu for a real scalar."""
        if not _is_scalar(scalar):
            _refuse_elements(scalar, "*")
            return NotImplemented
        return Scaled(self, scalar)

    def __truediv__(self, scalar: float) -> Scaled:
        """(T/a)u = Tu/a for a real scalar that is not zero."""
        return Scaled(self, 1 / float(scalar)) if _is_scalar(scalar) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> Scaled:
        return self * -1.0

    def __sub__(self, other: LinearOperator) -> Sum:
        return self + (-other) if isinstance(other, LinearOperator) else NotImplemented


class Adjoint(LinearOperator):
    """T*: Y → X; ``T.H.H`` acts as T."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.codomain, operator.domain)
        self.operator = operator

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator.evaluate_adjoint(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.operator.evaluate(v)

    def compute_norm(self) -> float:
        return self.operator.norm()

    def norm_bound(self) -> float | None:
        return self.operator.norm_bound()


class Scaled(LinearOperator):
    """a·T for a real number a."""

    def __init__(self, operator: LinearOperator, scalar: float) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        self.scalar = float(scalar)
        self.row_axis = operator.row_axis

    def evaluate(self, u: Tensor) -> Tensor:
        return self.scalar * self.operator.evaluate(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.scalar * self.operator.evaluate_adjoint(v)

    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        return Scaled(self.operator.subset(rows), self.scalar)

    def with_tensors(self, tensors: dict[str, Tensor]) -> Scaled:
        return Scaled(self.operator.with_tensors(tensors), self.scalar)

    def compute_norm(self) -> float:
        return abs(self.scalar) * self.operator.norm()

    def norm_bound(self) -> float | None:
        bound = self.operator.norm_bound()
        return None if bound is None else abs(self.scalar) * bound

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:
        """(a²T*T + λI)⁻¹ = a⁻²(T*T + λa⁻²I)⁻¹, and λ⁻¹ for a = 0."""
        square = self.scalar**2
        if square == 0:
            return b / weight
        inverse = self.operator.normal_inverse(b, weight / square)
        return None if inverse is None else inverse / square


class Sum(LinearOperator):
    """S + T on a common domain and codomain."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        _require_same(left.domain, right.domain, "domains of a sum")
        _require_same(left.codomain, right.codomain, "codomains of a sum")
        super().__init__(left.domain, left.codomain)
        self.left = left
        self.right = right
        self.row_axis = left.row_axis if left.row_axis == right.row_axis else None

    def evaluate(self, u: Tensor) -> Tensor:
        return self.left.evaluate(u) + self.right.evaluate(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.left.evaluate_adjoint(v) + self.right.evaluate_adjoint(v)

    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        return Sum(self.left.subset(rows), self.right.subset(rows))

    def norm_bound(self) -> float | None:
        """‖S‖ + ‖T‖."""
        left, right = self.left.norm_bound(), self.right.norm_bound()
        return None if left is None or right is None else left + right


class Composition(LinearOperator):
    """S T: first T, then S; rows are those of S."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        _require_same(outer.domain, inner.codomain, "spaces between two composed operators")
        super().__init__(inner.domain, outer.codomain)
        self.outer = outer
        self.inner = inner
        self.row_axis = outer.row_axis

    def evaluate(self, u: Tensor) -> Tensor:
        return self.outer.evaluate(self.inner.evaluate(u))

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.inner.evaluate_adjoint(self.outer.evaluate_adjoint(v))

    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        return Composition(self.outer.subset(rows), self.inner)

    def norm_bound(self) -> float | None:
        """‖S‖‖T‖."""
        outer, inner = self.outer.norm_bound(), self.inner.norm_bound()
        return None if outer is None or inner is None else outer * inner


def _is_scalar(value: object) -> bool:
    """A real number, also as a tensor or an array without axes."""
    if isinstance(value, Tensor):
        return value.ndim == 0 and not value.is_complex()
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and np.isrealobj(value)
    return isinstance(value, Real)


def _refuse_elements(value: object, sign: str) -> None:
    """Says how an operator is applied, where it was multiplied by an image instead."""
    if isinstance(value, Tensor | np.ndarray):
        raise DtypeError(
            describe(
                expected=f"T {sign} {'a linear operator' if sign == '@' else 'a real number'}",
                found=f"a {type(value).__name__} of shape {tuple(value.shape)}",
                fix="use T(u) to apply the operator to a tensor",
            )
        )


def _require_same(left: Space, right: Space, what: str) -> None:
    if left.shape != right.shape or left.is_complex != right.is_complex:
        raise ShapeError(
            describe(
                expected=f"equal {what}",
                found=f"{left} and {right}",
                fix="compose or add operators whose spaces agree",
            )
        )
