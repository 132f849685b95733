"""Gridding: density-compensated adjoint reconstruction of non-Cartesian k-space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.compiling import open_function, real_of
from learnedrecon.errors import DifferentiationError, describe
from learnedrecon.operators.linear import LinearMultiple
from learnedrecon.operators.mri.non_cartesian import NonCartesianMRI
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.operators.space import Space
from learnedrecon.solvers.arguments import require_operator
from learnedrecon.solvers.direct.density import density_weights
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse, pseudo_inverse

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.networks.filters import Window
    from learnedrecon.operators.base import Operator


def gridding(operator: Operator, data: Tensor, *, weights: Tensor | None = None) -> Tensor:
    """T*Wy/Σ_c|S_c|², the pseudo-inverse of a non-Cartesian transform up to quadrature errors.

    The quadrature is inaccurate where the trajectory leaves gaps: images lack the frequencies that
    are not sampled (the corners of k-space for radial trajectories) and show streaks from too few
    spokes. In such cases the default weights, none of which is much larger than a Cartesian cell,
    give smoother images than :func:`learnedrecon.solvers.direct.density.ramp_weights`, which
    preserve sharp edges and also the streaks. Pixels that no coil sees are 0. Multiples a·T and
    T(c·) of the transform are inverted in the same way. The result is differentiable in the data
    and the maps any number of times, and with given weights also in the trajectory (Jackson et al.,
    IEEE Trans. Med. Imaging 10(3), 1991).

    Args:
        operator: T.
        data: y, (..., *codomain.shape).
        weights: Density weights (..., interleave, sample), as in
            :mod:`learnedrecon.solvers.direct.density`; those of
            :func:`learnedrecon.solvers.direct.density.density_weights` unless given.

    Returns:
        Image (..., *domain.shape).

    Raises:
        GeometryError: The operator is not a non-Cartesian transform or a multiple of one.
        ShapeError: Data or weights have another shape.
        DifferentiationError: Gradients are asked for in the trajectory with the default weights,
            which have none.
    """
    return _gridded(operator, data, weights)


@open_function
def _gridded(operator: Operator, data: Tensor, weights: Tensor | None) -> Tensor:
    operator = require_operator(operator, data, "gridding", NonCartesianMRI)
    data = operator.codomain.check(data, "data")
    plane = Space(operator.codomain.shape[-2:], torch.float64)
    weights = _weights(operator) if weights is None else plane.check(weights, "weights")
    weights = weights.to(data.device, real_of(data.dtype))
    if operator.scan.coils is None:
        return operator.adjoint(weights * data)
    image = operator.adjoint(weights.unsqueeze(-3) * data)
    return _divided(image, operator)


@_gridded.register(LinearMultiple)
def _of_multiple(operator: LinearMultiple, data: Tensor, weights: Tensor | None) -> Tensor:
    return _gridded(operator.operator, operator.divided(data), weights)


@_gridded.register(ScaledArgument)
def _of_scaled_argument(operator: ScaledArgument, data: Tensor, weights: Tensor | None) -> Tensor:
    return _gridded(operator.operator, data, weights) / operator.scale


@pseudo_inverse.register(NonCartesianMRI)
def _of_non_cartesian(
    operator: NonCartesianMRI,
    data: Tensor,
    *,
    window: Window = "ram-lak",  # noqa: ARG001 - of filtered backprojection
    bandwidth: float = 1.0,  # noqa: ARG001 - of filtered backprojection
) -> Tensor:
    return gridding(operator, data)


@has_pseudo_inverse.register(NonCartesianMRI)
def _non_cartesian_has(operator: NonCartesianMRI) -> bool:
    return not operator.trajectory.requires_grad


def _weights(operator: NonCartesianMRI) -> Tensor:
    if torch.is_grad_enabled() and operator.trajectory.requires_grad:
        raise DifferentiationError(
            describe(
                expected="a trajectory without gradients for gridding with its own weights",
                found="a trajectory that requires them",
                fix="hold the weights fixed: gridding(T, y, weights=density_weights(T))",
            )
        )
    return density_weights(operator)


def _divided(image: Tensor, operator: NonCartesianMRI) -> Tensor:
    """By Σ_c|S_c|², and 0 where that is."""
    assert operator.maps is not None
    power = (operator.maps.abs() ** 2).sum(-operator.domain.ndim - 1).to(real_of(image.dtype))
    seen = power > 0
    return torch.where(seen, image / torch.where(seen, power, 1.0), 0.0)
