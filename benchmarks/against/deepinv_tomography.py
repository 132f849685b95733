"""deepinv's `Tomography` on the CPU."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.against.stand_in import deepinv
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.ray.geometry2d import Geometry

NAME = "deepinv Tomography"


def installed() -> bool:
    """Whether it can be imported."""
    return importlib.util.find_spec("deepinv") is not None


@dataclass(frozen=True)
class Options:
    """How it computes.

    Attributes:
        parallel_computation: all angles at once, rather than one after the other.
        adjoint_via_backprop: the exact adjoint by autograd (its default), rather than a second
            interpolation that is 'nearly' adjoint and takes less time and memory.
    """

    parallel_computation: bool
    adjoint_via_backprop: bool

    def __str__(self) -> str:
        angles = "all angles at once" if self.parallel_computation else "angle by angle"
        return f"{angles}, {'exact' if self.adjoint_via_backprop else 'approximate'} adjoint"


ALL_OPTIONS = tuple(Options(p, a) for p in (False, True) for a in (False, True))


def tomography(geometry: Geometry, options: Options) -> Any:  # noqa: ANN401 - of a package without types
    """Its operator for the angles and the square image of a parallel scan.

    The detector is not a choice: pixels as wide as the image's, as many as fit on its diagonal.
    """
    physics = deepinv("physics")
    degrees = torch.tensor(geometry.angle_values, dtype=torch.float64).rad2deg().float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return physics.Tomography(
            angles=degrees,
            img_width=geometry.shape[0],
            normalize=False,
            parallel_computation=options.parallel_computation,
            adjoint_via_backprop=options.adjoint_via_backprop,
        )


class DeepinvTransform(LinearOperator):
    """Its operator as one of ours, so that our networks run on it; data are (detector, angle)."""

    def __init__(self, geometry: Geometry, options: Options) -> None:
        physics = tomography(geometry, options)
        with torch.no_grad():
            found = physics.A(torch.zeros(1, 1, *geometry.shape))
        super().__init__(
            Space(geometry.shape, torch.float32), Space(tuple(found.shape[-2:]), torch.float32)
        )
        self.physics = physics

    def compute_norm(self) -> float:
        return rough_norm(self)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.physics.A(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.physics.A_adjoint(v)


@torch.no_grad()
def rough_norm(operator: LinearOperator) -> float:
    """By five steps of the power iteration in float32: a scale for a scheme, no more."""
    u = torch.ones(1, 1, *operator.domain.shape)
    for _ in range(5):
        u = operator.adjoint(operator(u / u.norm()))
    return float(u.norm().sqrt())
