"""Images of the single coils, by the kind of operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.compiling import open_function
from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.base import Operator
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian

if TYPE_CHECKING:
    from torch import Tensor


@open_function
def zero_filled_coils(operator: Operator, data: Tensor) -> Tensor:  # noqa: ARG001 - what others look at
    """The zero-filled images of all coils, without coil maps.

    ``@zero_filled_coils.register(MyOperator)`` adds a rule for your own class.

    Args:
        operator: T.
        data: Data (..., coil, *k-space).

    Returns:
        Coil images (..., coil, *domain).

    Raises:
        GeometryError: T has no coils.
    """
    raise GeometryError(
        describe(
            expected="an operator of several receive coils, for the root of the sum of squares",
            found=type(operator).__name__,
            fix="use 'zero_filled' with combine='adjoint', which exists for every linear operator",
        )
    )


@zero_filled_coils.register(CartesianMRI)
def _(operator: CartesianMRI, data: Tensor) -> Tensor:
    scan = operator.spec
    if scan is None or scan.coils is None:
        fallback: Tensor = zero_filled_coils.dispatch(Operator)(operator, data)
        return fallback
    alone = CartesianMRI(Cartesian(scan.shape, None, scan.encoded), dtype=operator.domain.dtype)
    return alone.to(data.device).adjoint(data)
