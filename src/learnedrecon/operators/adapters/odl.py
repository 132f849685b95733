"""Adapters of ODL's operators, in both directions, with unweighted inner products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from learnedrecon.errors import DtypeError, describe, load_extra
from learnedrecon.operators.adapters.checks import Theirs, device_of, probe, require_instance
from learnedrecon.operators.adapters.foreign import (
    ArrayKernel,
    ArrayPair,
    Foreign,
    to_array,
    to_tensor,
)
from learnedrecon.operators.adapters.foreign_nonlinear import ForeignNonlinear
from learnedrecon.operators.adapters.odl_spaces import Elements
from learnedrecon.operators.adapters.real_parts import over_one_field
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.operators.space import Space

    Array = NDArray[Any]


def from_odl(operator: object, dtype: torch.dtype | None = None) -> Operator:
    """An ``odl.Operator`` as an operator of this library, linear or not.

    ODL's adjoint belongs to its spaces' inner products, Σ w·a·conj(b), where w is the cell volume
    for ``uniform_discr`` or what the space was given. Ours is unweighted: here
    T* = W_X · (ODL's adjoint) · W_Y⁻¹, and likewise for the adjoint of ``derivative(u)``; values
    are ODL's own. Powers of a space, such as the range of a gradient, become a leading axis.

    It runs sample by sample on the CPU, in the precision of ODL's spaces and with a copy from and
    to the device of the argument. A nonlinear operator needs float64 spaces for a second
    derivative (see :class:`ForeignNonlinear`), so for training.

    Args:
        operator: Operator with ``adjoint`` if it is linear, with ``derivative`` if it is not.
        dtype: float32 or float64, the precision of our spaces; that of ODL's domain unless given.

    Returns:
        A ``LinearOperator`` for a linear one.

    Raises:
        MissingExtraError: ODL is not installed.
        DtypeError: The object is not an ODL operator, or has no adjoint or derivative.
        GeometryError: A space has no diagonal inner product: exponents other than 2, products of
            different spaces, functionals.
        PropertyError: ODL's adjoint is not the adjoint for its own inner products, which is a known
            defect of its ``MatrixOperator`` between weighted spaces.
    """
    odl = load_extra("odl", "odl")
    require_instance(
        operator, odl.Operator, "an odl.Operator", "build it with ODL; matrices go to from_scipy"
    )
    theirs: Theirs = operator
    source, target = Elements.of(theirs.domain, odl), Elements.of(theirs.range, odl)
    domain = source.space_in(dtype)
    codomain = target.space_in(domain.dtype)
    if not theirs.is_linear:
        _require_method(theirs, lambda: theirs.derivative(theirs.domain.zero()), "derivative")
        return ForeignNonlinear(_OdlCurve(theirs, source, target), domain, codomain)
    adjoint = _require_method(theirs, lambda: theirs.adjoint, "adjoint")
    pair = ArrayPair(
        lambda u: target.arrays(theirs(element) for element in source.elements(u)),
        lambda v: _pulled(adjoint, source, target, v),
    )
    ours = Foreign(ArrayKernel(pair, domain, codomain, source.precision), domain, codomain)
    probe(ours, f"an ODL operator ({type(theirs).__name__})")
    return ours


def to_odl(operator: Operator, *, stacked: bool = False) -> Theirs:
    """An operator as an ``odl.Operator`` between unweighted ``rn`` or ``cn`` spaces.

    ODL's inner products are complex on complex spaces, and its operators do not mix fields. One
    from real images to complex data, or back, and every nonlinear one with complex spaces, acts on
    real elements (2, *shape), real parts first.

    Args:
        operator: T; it runs on the device of its buffers, without autograd.
        stacked: True to write complex elements as two real parts also where both spaces are
            complex.

    Raises:
        MissingExtraError: ODL is not installed.
        DtypeError: The object is not an operator of this library, or it is a linear one between
            complex spaces with T(iu) ≠ iT(u) and ``stacked`` is false.
    """
    require_instance(operator, Operator, "an operator of learnedrecon", "hand over T itself")
    odl = load_extra("odl", "odl")
    operator = over_one_field(operator, "to_odl", stacked=stacked)
    return _operator_class(odl)(operator)


class _OdlCurve:
    """Value and derivative of a nonlinear operator; shared by copies."""

    def __init__(self, theirs: Theirs, source: Elements, target: Elements) -> None:
        self._theirs = theirs
        self._source = source
        self._target = target
        self.image_axes = len(source.shape)
        self.precision = source.precision

    def value(self, u: Tensor) -> Tensor:
        elements = self._source.elements(self._batch(u, self._source))
        return self._tensor([self._theirs(element) for element in elements], u, self._target)

    def push(self, u: Tensor, d: Tensor) -> Tensor:
        directions = self._source.elements(self._batch(d, self._source))
        pairs = zip(self._derivatives(u), directions, strict=True)
        return self._tensor([derivative(x) for derivative, x in pairs], u, self._target)

    def pull(self, u: Tensor, v: Tensor) -> Tensor:
        data = self._batch(v, self._target)
        pairs = zip(self._derivatives(u), data, strict=True)
        pulled = [
            _pulled(derivative.adjoint, self._source, self._target, one[None])[0]
            for derivative, one in pairs
        ]
        space = self._source.space_in(u.dtype)
        return to_tensor(np.stack(pulled), u, space).reshape(u.shape)

    def _derivatives(self, u: Tensor) -> list[Any]:
        points = self._source.elements(self._batch(u, self._source))
        return [self._theirs.derivative(point) for point in points]

    def _batch(self, x: Tensor, space: Elements) -> Array:
        return to_array(x.reshape(-1, *space.shape), self.precision)

    def _tensor(self, elements: list[Any], like: Tensor, space: Elements) -> Tensor:
        leading = like.shape[: like.ndim - self.image_axes]
        values = to_tensor(space.arrays(elements), like, space.space_in(like.dtype))
        return values.reshape(*leading, *space.shape)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


def _pulled(adjoint: Theirs, source: Elements, target: Elements, v: Array) -> Array:
    """W_X · adjoint · W_Y⁻¹ for every sample."""
    elements = target.elements(v / target.weights)
    return source.weights * source.arrays(adjoint(element) for element in elements)


def _require_method(theirs: Theirs, probe: Callable[[], Any], name: str) -> Theirs:
    try:
        return probe()
    except NotImplementedError as error:
        raise DtypeError(
            describe(
                expected=f"an ODL operator with {name}",
                found=f"{theirs!r:.80}: {error!s:.80}",
                fix=f"implement {name} in its class",
            )
        ) from error


def _unweighted(space: Space, odl: Theirs) -> Theirs:
    make = odl.cn if space.is_complex else odl.rn
    return make(space.shape, dtype=str(space.dtype).removeprefix("torch."))


def _operator_class(odl: Theirs) -> Theirs:
    """A subclass of ``odl.Operator``, which is only known now."""

    class LearnedReconOperator(odl.Operator):  # type: ignore[misc]
        """T with its adjoint or its derivative."""

        def __init__(self, ours: Operator) -> None:
            self.ours = ours
            spaces = (_unweighted(ours.domain, odl), _unweighted(ours.codomain, odl))
            super().__init__(*spaces, linear=isinstance(ours, LinearOperator))

        def _call(self, x: Theirs) -> Theirs:
            with torch.no_grad():
                values = self.ours(self._tensor(x))
            return self.range.element(to_array(values, values.dtype.to_real()))

        @property
        def adjoint(self) -> Theirs:
            if isinstance(self.ours, LinearOperator):
                return LearnedReconOperator(self.ours.H)
            return super().adjoint

        def derivative(self, point: Theirs) -> Theirs:
            if isinstance(self.ours, LinearOperator):
                return self
            with torch.no_grad():
                return LearnedReconOperator(self.ours.linearise(self._tensor(point))[1])

        def _tensor(self, element: Theirs) -> Tensor:
            array = np.array(self.domain.element(element).asarray())
            return torch.from_numpy(array).to(device_of(self.ours))

    return LearnedReconOperator
