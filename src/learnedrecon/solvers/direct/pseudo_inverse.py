"""Pseudo-inverses by kind of operator: an open function, and a test for its support."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.compiling import open_function
from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.base import Composition, Multiple, Operator
from learnedrecon.operators.linear import LinearComposition, LinearMultiple
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.operators.ray.arranged import ArrangedTransform
from learnedrecon.solvers.arguments import require_operator

if TYPE_CHECKING:
    from learnedrecon.networks.filters import Window


@open_function
def pseudo_inverse(
    operator: Operator,
    data: Tensor,
    *,
    window: Window = "ram-lak",  # noqa: ARG001 - of filtered backprojection
    bandwidth: float = 1.0,  # noqa: ARG001 - of filtered backprojection
) -> Tensor:
    """An approximate pseudo-inverse T⁺y without iterations, for operators that have one.

    Ray transforms by :func:`learnedrecon.solvers.direct.fbp.fbp` and, in three dimensions,
    :func:`learnedrecon.solvers.direct.fdk.fdk`; non-Cartesian MRI by
    :func:`learnedrecon.solvers.direct.gridding.gridding`; Cartesian MRI by its adjoint, the
    zero-filled image; transmission I₀ exp(-μP) + s from the line integrals -log((y - s)/I₀)/μ with
    the fraction of photons clipped below at 1e-6; phase retrieval and magnitudes by
    :func:`learnedrecon.solvers.direct.spectral.spectral_image`; partial isometries by their
    adjoint, diagonals by division. a·T divides the data by a, T(c·) the image by c, and S∘T has
    T⁺S⁺. These rules nest.

    Your own kind of operator is added by ``@pseudo_inverse.register(MyOperator)`` above a function
    with the same arguments. If the existence depends on the operator's values, register with
    :func:`has_pseudo_inverse` too.

    Args:
        operator: T.
        data: y, (..., *codomain.shape).
        window: "ram-lak" or "hann", for filtered backprojection; other operators ignore it.
        bandwidth: Cut-off frequency as a fraction of the Nyquist frequency, in (0, 1], for filtered
            backprojection; other operators ignore it.

    Returns:
        Image (..., *domain.shape).

    Raises:
        GeometryError: The operator has no pseudo-inverse here, or the arguments are interchanged.
        DifferentiationError: Gradients are asked for in the geometry of T, which the result does
            not have.
    """
    require_operator(operator, data, "pseudo_inverse", Operator)  # type: ignore[type-abstract]
    raise GeometryError(
        describe(
            expected="a ray transform, MRI, transmission CT, or another kind of operator that is"
            " registered with pseudo_inverse",
            found=type(operator).__name__,
            fix="start from T*y, use a method that needs no filtered backprojection"
            " (LearnedPrimalDual, TV), or register your own: @pseudo_inverse.register(MyOperator)",
        )
    )


@open_function
def has_pseudo_inverse(operator: Operator) -> bool:
    """True where :func:`pseudo_inverse` supports an operator.

    The answer depends on the kind and for some kinds on the values: false for helical cone beams,
    for ray transforms with a geometry per sample or with one that requires gradients; for a
    multiple or a composition the parts decide.

    Args:
        operator: T.
    """
    return pseudo_inverse.dispatch(type(operator)) is not pseudo_inverse.dispatch(object)


@pseudo_inverse.register(ArrangedTransform)
def _of_arranged(
    operator: ArrangedTransform,
    data: Tensor,
    *,
    window: Window = "ram-lak",
    bandwidth: float = 1.0,
) -> Tensor:
    data = operator.codomain.check(data, "line integrals")
    ours = operator.data_as_ours(data)
    image = pseudo_inverse(operator.ray, ours, window=window, bandwidth=bandwidth)
    return operator.image_as_given(image)


@has_pseudo_inverse.register(ArrangedTransform)
def _arranged_has(operator: ArrangedTransform) -> bool:
    return has_pseudo_inverse(operator.ray)


@pseudo_inverse.register(Multiple)
@pseudo_inverse.register(LinearMultiple)
def _of_multiple(
    operator: Multiple | LinearMultiple,
    data: Tensor,
    *,
    window: Window = "ram-lak",
    bandwidth: float = 1.0,
) -> Tensor:
    if _vanishes(operator):
        raise GeometryError(
            describe(
                expected="a multiple a·T with a ≠ 0",
                found="a = 0, whose data do not depend on the image",
                fix="remove the factor",
            )
        )
    inner = operator.divided(data)
    return pseudo_inverse(operator.operator, inner, window=window, bandwidth=bandwidth)


@has_pseudo_inverse.register(Multiple)
@has_pseudo_inverse.register(LinearMultiple)
def _multiple_has(operator: Multiple | LinearMultiple) -> bool:
    return not _vanishes(operator) and has_pseudo_inverse(operator.operator)


def _vanishes(operator: Multiple | LinearMultiple) -> bool:
    """True if a is 0, for some sample where there is one for each.

    Compiled code does not look at the values of samples: images are infinite there.
    """
    scalar = operator.scalar
    if isinstance(scalar, Tensor):
        return not torch.compiler.is_compiling() and bool((scalar == 0).any())
    return scalar == 0


@pseudo_inverse.register(ScaledArgument)
def _of_scaled_argument(
    operator: ScaledArgument, data: Tensor, *, window: Window = "ram-lak", bandwidth: float = 1.0
) -> Tensor:
    image = pseudo_inverse(operator.operator, data, window=window, bandwidth=bandwidth)
    return image / operator.scale


@has_pseudo_inverse.register(ScaledArgument)
def _scaled_argument_has(operator: ScaledArgument) -> bool:
    return has_pseudo_inverse(operator.operator)


@pseudo_inverse.register(Composition)
@pseudo_inverse.register(LinearComposition)
def _of_composition(
    operator: Composition | LinearComposition,
    data: Tensor,
    *,
    window: Window = "ram-lak",
    bandwidth: float = 1.0,
) -> Tensor:
    between = pseudo_inverse(operator.outer, data, window=window, bandwidth=bandwidth)
    return pseudo_inverse(operator.inner, between, window=window, bandwidth=bandwidth)


@has_pseudo_inverse.register(Composition)
@has_pseudo_inverse.register(LinearComposition)
def _composition_has(operator: Composition | LinearComposition) -> bool:
    return has_pseudo_inverse(operator.outer) and has_pseudo_inverse(operator.inner)
