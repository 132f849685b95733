"""Operators whose data have a ramp filter: those with a detector along the last axis."""

from __future__ import annotations

from learnedrecon.compiling import open_function
from learnedrecon.operators.base import Composition, Multiple, Operator
from learnedrecon.operators.linear import LinearComposition, LinearMultiple
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import TransmissionCT


@open_function
def has_ramp_filter(operator: Operator) -> bool:  # noqa: ARG001 - for other kinds
    """True for ray transforms, transmission CT, and multiples and compositions of these.

    Your own ray transform is added by ``@has_ramp_filter.register(MyRayTransform)``.

    Args:
        operator: T.
    """
    return False


@has_ramp_filter.register(RayTransform)
@has_ramp_filter.register(RayTransform3D)
@has_ramp_filter.register(TransmissionCT)
def _(operator: Operator) -> bool:  # noqa: ARG001 - the same for all
    return True


@has_ramp_filter.register(Multiple)
@has_ramp_filter.register(LinearMultiple)
@has_ramp_filter.register(ScaledArgument)
def _(operator: Multiple | LinearMultiple | ScaledArgument) -> bool:
    return has_ramp_filter(operator.operator)


@has_ramp_filter.register(Composition)
@has_ramp_filter.register(LinearComposition)
def _(operator: Composition | LinearComposition) -> bool:
    keeps = operator.outer.domain.shape == operator.outer.codomain.shape
    return has_ramp_filter(operator.outer) or (keeps and has_ramp_filter(operator.inner))
