"""Linear operators and what can be built from them: adjoints, multiples, sums, compositions."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, overload

from learnedrecon.operators.arithmetic import plain_scalar, require_same, split_tensors
from learnedrecon.operators.base import Composition, Operator, Sum, without_autocast
from learnedrecon.operators.norm import estimated_norm

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.rows import Rows


class LinearOperator(Operator):
    """A real-linear T with its exact adjoint for the unweighted inner product Re⟨a, b⟩.

    Subclasses write :meth:`evaluate` and :meth:`evaluate_adjoint`, and those with rows to choose
    from write :meth:`restrict` and set :attr:`row_axis`.
    """

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
        v = self.codomain.check(v, "data")
        with without_autocast(v):
            return self.evaluate_adjoint(v)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), self

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
        """(T*T + λI)⁻¹ b in closed form, or None where there is none.

        Args:
            b: (..., *domain.shape).
            weight: λ > 0, a number, or (batch, 1, ...) with 1 for every axis of the domain.

        Returns:
            (..., *domain.shape), or None: the solvers then use conjugate gradients.
        """
        return None

    @property
    def H(self) -> Adjoint:  # the name of the field, as in SciPy and MRpro
        """T* as an operator."""
        return Adjoint(self)

    def _after(self, other: Operator) -> Operator:
        return (
            LinearComposition(self, other)
            if isinstance(other, LinearOperator)
            else Composition(self, other)
        )

    def _plus(self, other: Operator) -> Operator:
        return LinearSum(self, other) if isinstance(other, LinearOperator) else Sum(self, other)

    def _times(self, scalar: complex) -> LinearMultiple:
        return LinearMultiple(self, scalar)

    if TYPE_CHECKING:  # rows, multiples, sums and compositions of linear operators are linear

        def restrict(self, rows: tuple[int, ...]) -> LinearOperator: ...

        def at_rows(self, rows: tuple[int, ...], axis: int) -> LinearOperator: ...

        def subset(self, rows: Rows) -> LinearOperator: ...

        @overload
        def __matmul__(self, other: LinearOperator) -> LinearOperator: ...

        @overload
        def __matmul__(self, other: Operator) -> Operator: ...

        def __matmul__(self, other: Operator) -> Operator: ...

        @overload
        def __add__(self, other: LinearOperator) -> LinearOperator: ...

        @overload
        def __add__(self, other: Operator) -> Operator: ...

        def __add__(self, other: Operator) -> Operator: ...

        @overload
        def __sub__(self, other: LinearOperator) -> LinearOperator: ...

        @overload
        def __sub__(self, other: Operator) -> Operator: ...

        def __sub__(self, other: Operator) -> Operator: ...

        def __mul__(self, scalar: complex) -> LinearOperator: ...

        def __rmul__(self, scalar: complex) -> LinearOperator: ...

        def __truediv__(self, scalar: complex) -> LinearOperator: ...

        def __neg__(self) -> LinearOperator: ...


class Adjoint(LinearOperator):
    """T*: Y → X; ``T.H.H`` acts as T."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.codomain, operator.domain)
        self.operator = operator
        self.pointwise = operator.pointwise
        self.tensor_names = operator.tensor_names

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator.evaluate_adjoint(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.operator.evaluate(v)

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Adjoint:
        return Adjoint(self.operator.at_rows(rows, axis))

    def with_tensors(self, tensors: dict[str, Tensor]) -> Adjoint:
        return Adjoint(self.operator.with_tensors(tensors))

    def compute_norm(self) -> float:
        return self.operator.norm()

    def norm_bound(self) -> float | None:
        return self.operator.norm_bound()


class LinearMultiple(LinearOperator):
    """a·T for a real number a, or for a complex one where the codomain is complex.

    Raises:
        DtypeError: a complex number and a real codomain.
    """

    def __init__(self, operator: LinearOperator, scalar: complex) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        self.scalar = plain_scalar(scalar, operator.codomain)
        self.folded_axes = operator.folded_axes
        self.row_axis = operator.row_axis
        self.pointwise = operator.pointwise
        self.tensor_names = operator.tensor_names

    def evaluate(self, u: Tensor) -> Tensor:
        return self.scalar * self.operator.evaluate(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        """a·T*v, or T*(āv): T is real-linear, so that a complex number does not pass through."""
        if isinstance(self.scalar, complex):
            return self.operator.evaluate_adjoint(self.scalar.conjugate() * v)
        return self.scalar * self.operator.evaluate_adjoint(v)

    def restrict(self, rows: tuple[int, ...]) -> LinearMultiple:
        return LinearMultiple(self.operator.subset(rows), self.scalar)

    def at_rows(self, rows: tuple[int, ...], axis: int) -> LinearMultiple:
        return LinearMultiple(self.operator.at_rows(rows, axis), self.scalar)

    def with_tensors(self, tensors: dict[str, Tensor]) -> LinearMultiple:
        return LinearMultiple(self.operator.with_tensors(tensors), self.scalar)

    def compute_norm(self) -> float:
        return abs(self.scalar) * self.operator.norm()

    def norm_bound(self) -> float | None:
        bound = self.operator.norm_bound()
        return None if bound is None else abs(self.scalar) * bound

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:
        if self.scalar == 0:
            return b / weight
        square = abs(self.scalar) ** 2
        solved = self.operator.normal_inverse(b, weight / square)
        return None if solved is None else solved / square


class LinearSum(LinearOperator):
    """S + T on a common domain and codomain."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        require_same(left.domain, right.domain, "domains of a sum")
        require_same(left.codomain, right.codomain, "codomains of a sum")
        super().__init__(left.domain, left.codomain)
        self.left = left
        self.right = right
        self.row_axis = left.row_axis if left.row_axis == right.row_axis else None
        self.pointwise = left.pointwise and right.pointwise
        self.tensor_names = left.tensor_names | right.tensor_names
        self.folded_axes = left.folded_axes

    def evaluate(self, u: Tensor) -> Tensor:
        return self.left.evaluate(u) + self.right.evaluate(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.left.evaluate_adjoint(v) + self.right.evaluate_adjoint(v)

    def restrict(self, rows: tuple[int, ...]) -> LinearSum:
        return LinearSum(self.left.subset(rows), self.right.subset(rows))

    def at_rows(self, rows: tuple[int, ...], axis: int) -> LinearSum:
        return LinearSum(self.left.at_rows(rows, axis), self.right.at_rows(rows, axis))

    def with_tensors(self, tensors: dict[str, Tensor]) -> LinearSum:
        left, right = split_tensors(tensors, self.left, self.right)
        return LinearSum(self.left.with_tensors(left), self.right.with_tensors(right))

    def norm_bound(self) -> float | None:
        """‖S‖ + ‖T‖."""
        left, right = self.left.norm_bound(), self.right.norm_bound()
        return None if left is None or right is None else left + right


class LinearComposition(LinearOperator):
    """S T: first T, then S; rows are those of S, or of T where S is pointwise."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        require_same(outer.domain, inner.codomain, "spaces between two composed operators")
        super().__init__(inner.domain, outer.codomain)
        self.outer = outer
        self.inner = inner
        self.row_axis = inner.row_axis if outer.pointwise else outer.row_axis
        self.pointwise = outer.pointwise and inner.pointwise
        self.tensor_names = outer.tensor_names | inner.tensor_names
        self.folded_axes = inner.folded_axes if outer.pointwise else outer.folded_axes

    def evaluate(self, u: Tensor) -> Tensor:
        return self.outer.evaluate(self.inner.evaluate(u))

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.inner.evaluate_adjoint(self.outer.evaluate_adjoint(v))

    def restrict(self, rows: tuple[int, ...]) -> LinearComposition:
        if self.outer.pointwise and self.row_axis is not None:
            return LinearComposition(
                self.outer.at_rows(rows, self.row_axis), self.inner.subset(rows)
            )
        return LinearComposition(self.outer.subset(rows), self.inner)

    def at_rows(self, rows: tuple[int, ...], axis: int) -> LinearComposition:
        return LinearComposition(self.outer.at_rows(rows, axis), self.inner.at_rows(rows, axis))

    def norm_bound(self) -> float | None:
        """‖S‖‖T‖."""
        outer, inner = self.outer.norm_bound(), self.inner.norm_bound()
        return None if outer is None or inner is None else outer * inner

    def with_tensors(self, tensors: dict[str, Tensor]) -> LinearComposition:
        outer, inner = split_tensors(tensors, self.outer, self.inner)
        return LinearComposition(self.outer.with_tensors(outer), self.inner.with_tensors(inner))

    def compute_norm(self) -> float:
        """‖T*T‖ = ‖TT*‖ = ‖T‖², else by power iteration."""
        outer, inner = self.outer, self.inner
        if isinstance(outer, Adjoint) and outer.operator is inner:
            return inner.norm() ** 2
        if isinstance(inner, Adjoint) and inner.operator is outer:
            return outer.norm() ** 2
        return super().compute_norm()
