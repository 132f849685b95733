"""Linear operators: adjoints, multiples, sums and compositions."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple, overload

import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.operators.base import Composition, Multiple, Operator, Sum, without_autocast
from learnedrecon.operators.leading import Norm, over
from learnedrecon.operators.meta import on_meta
from learnedrecon.operators.norm import differentiable, estimated_norm
from learnedrecon.operators.versions import version_of

if TYPE_CHECKING:
    from learnedrecon.operators.rows import Rows


class _Known(NamedTuple):
    """A norm, and how often each tensor of its operator had been written into."""

    norm: Norm
    versions: tuple[int, ...]

    def holds(self, operator: LinearOperator) -> bool:
        """True if no tensor was changed in place since."""
        return self.versions == _versions(operator)


class LinearOperator(Operator):
    """A real-linear T with its exact adjoint for the unweighted inner product Re⟨a, b⟩.

    Subclasses implement :meth:`evaluate` and :meth:`evaluate_adjoint`. Those with rows also
    implement :meth:`restrict` and set :attr:`row_axis`.

    Attributes:
        divisible: True where T on some of its rows costs that part of T, as for single views.
    """

    divisible: bool = False

    @abstractmethod
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        """T*v for a ``v`` that has been checked."""

    def adjoint(self, v: Tensor) -> Tensor:
        """T*v.

        Args:
            v: Data, (..., *codomain.shape).

        Returns:
            Images, (..., *domain.shape), of the same precision.

        Raises:
            ShapeError: The last axes of ``v`` are not those of the codomain.
            DtypeError: ``v`` is not a floating tensor of the codomain's kind, or has no values and
                the operator needs them.
        """
        v = self.codomain.check(v, "data")
        with without_autocast(v):
            if v.device.type == "meta":
                return on_meta(self.evaluate_adjoint, v, type(self).__name__)
            return self.evaluate_adjoint(v)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), self

    def norm(self) -> Norm:
        """‖T‖, the largest singular value, by seeded power iteration.

        The norm is computed once, and again after a tensor was changed in place.

        Returns:
            A number; where samples have tensors of their own, one per sample, (*lead) float64,
            which does not depend on the other samples. It is differentiable in tensors that require
            gradients.
        """
        moves = torch.is_grad_enabled() and any(b.requires_grad for b in self.buffers())
        if torch.compiler.is_compiling() and self._known is not None and not moves:
            return self._known.norm
        return _current_norm(self)

    _known: _Known | None = None

    def compute_norm(self) -> Norm:
        """‖T‖ without the cache; subclasses with a closed form or a shared cache override this."""
        return estimated_norm(self)

    def norm_bound(self) -> Norm | None:
        """An upper bound of ‖T‖, of the same form as :meth:`norm`, or None where none is known.

        :meth:`norm` is an estimate from below, so step sizes use this bound, through
        :func:`learnedrecon.operators.norm.upper_norm`.
        """
        return None

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:  # noqa: ARG002 - what other classes look at
        """(T*T + λI)⁻¹ b in closed form, or None where there is none.

        Args:
            b: Right side, (..., *domain.shape).
            weight: λ > 0, a number, or (batch, 1, ...) with a 1 for every axis of the domain.

        Returns:
            Solution, (..., *domain.shape), or None: the solvers then use conjugate gradients.
        """
        return None

    def normal_multiplier(self, like: Tensor) -> Tensor | None:  # noqa: ARG002 - what other classes look at
        """The multiplier of T*T where it is one in Fourier space with periodic borders, or None.

        Args:
            like: Tensor of the precision and device of the result.

        Returns:
            Real multiplier ≥ 0 in the order of ``torch.fft.fftn``, (*domain.shape), or with the
            leading axes of T's tensors; None where T*T is no such convolution.
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

    def multiple(self, scalar: complex | Tensor) -> LinearMultiple:
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


@uncompiled
def _current_norm(operator: LinearOperator) -> Norm:
    """The norm, kept for as long as no tensor is changed in place."""
    known = operator._known  # noqa: SLF001 - of this class
    if known is None or not known.holds(operator):
        with torch.no_grad(), torch.inference_mode(mode=False):
            known = _Known(operator.compute_norm(), _versions(operator))
        operator._known = known  # noqa: SLF001 - of this class
    if torch.is_grad_enabled() and any(buffer.requires_grad for buffer in operator.buffers()):
        return differentiable(operator, known.norm)
    return known.norm


def _versions(operator: LinearOperator) -> tuple[int, ...]:
    """The versions of the tensors; tensors of inference mode have none."""
    return tuple(map(version_of, operator.buffers()))


class Adjoint(LinearOperator):
    """The adjoint operator T*: Y → X; ``T.H.H`` acts as T.

    Args:
        operator: T.
    """

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

    def tensors(self) -> dict[str, Tensor]:
        return self.operator.tensors()

    def own_axes(self, name: str) -> int:
        return self.operator.own_axes(name)

    def norm(self) -> Norm:
        return self.operator.norm()

    def norm_bound(self) -> Norm | None:
        return self.operator.norm_bound()


class LinearMultiple(LinearOperator, Multiple):  # type: ignore[misc]
    """a·T for a real number a, or for a complex one where the codomain is complex.

    Args:
        operator: T.
        scalar: a, as in :class:`Multiple`.

    Raises:
        DtypeError: A complex number and a real codomain.
    """

    operator: LinearOperator

    def __init__(self, operator: LinearOperator, scalar: complex | Tensor) -> None:
        Multiple.__init__(self, operator, scalar)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        """a·T*v for a real number a, T*(āv) for a complex one, as T is only real-linear."""
        if isinstance(self.scalar, complex):
            return self.operator.evaluate_adjoint(self.scalar.conjugate() * v)
        image = self.operator.evaluate_adjoint(v)
        return over(self.scalar, image, self.domain.ndim) * image

    @property
    def _size(self) -> Norm:
        scalar = self.scalar
        return scalar.abs() if isinstance(scalar, Tensor) else abs(scalar)

    def norm(self) -> Norm:
        return self._size * self.operator.norm()

    def norm_bound(self) -> Norm | None:
        bound = self.operator.norm_bound()
        return None if bound is None else self._size * bound

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:
        if not isinstance(self.scalar, Tensor) and self.scalar == 0:
            return b / weight
        square = over(self._size**2, b, self.domain.ndim)
        solved = self.operator.normal_inverse(b, weight / square)
        return None if solved is None else solved / square

    def normal_multiplier(self, like: Tensor) -> Tensor | None:
        found = self.operator.normal_multiplier(like)
        return None if found is None else over(self._size**2, found, self.domain.ndim) * found


class LinearSum(LinearOperator, Sum):  # type: ignore[misc]
    """S + T on a common domain and codomain.

    Args:
        left: S.
        right: T.
    """

    left: LinearOperator
    right: LinearOperator

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        Sum.__init__(self, left, right)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.left.evaluate_adjoint(v) + self.right.evaluate_adjoint(v)

    def norm_bound(self) -> Norm | None:
        """‖S‖ + ‖T‖."""
        left, right = self.left.norm_bound(), self.right.norm_bound()
        return None if left is None or right is None else left + right


class LinearComposition(LinearOperator, Composition):  # type: ignore[misc]
    """The product S T: first T, then S.

    Its rows are those of S, or of T where S is pointwise.

    Args:
        outer: S.
        inner: T.
    """

    outer: LinearOperator
    inner: LinearOperator

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        Composition.__init__(self, outer, inner)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.inner.evaluate_adjoint(self.outer.evaluate_adjoint(v))

    def norm_bound(self) -> Norm | None:
        """‖S‖‖T‖."""
        outer, inner = self.outer.norm_bound(), self.inner.norm_bound()
        return None if outer is None or inner is None else outer * inner

    def compute_norm(self) -> Norm:
        """‖T‖² where the product is T*T or TT*, otherwise an estimate by power iteration."""
        outer, inner = self.outer, self.inner
        if isinstance(outer, Adjoint) and outer.operator is inner:
            return inner.norm() ** 2
        if isinstance(inner, Adjoint) and inner.operator is outer:
            return outer.norm() ** 2
        return super().compute_norm()
