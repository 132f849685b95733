"""The map of an equilibrium model as one from matrices to matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.solvers.fixed_point import Packing

if TYPE_CHECKING:
    from learnedrecon.problem import InverseProblem
    from learnedrecon.schemes.reconstructor import Iterative


@dataclass(frozen=True)
class Map:
    """z → Λ(z, problem) with the state as one matrix, and where it starts.

    Attributes:
        f: (batch, n) to (batch, n).
        start: z_0, (batch, n).
    """

    f: Callable[[Tensor], Tensor]
    start: Tensor


def fixed_point_of(model: Iterative) -> FixedPoint[Any]:
    """The scheme of an equilibrium model.

    Raises:
        TypeError: it is another one.
    """
    if not isinstance(model.scheme, FixedPoint):
        raise TypeError(f"expected a FixedPoint as scheme, found {type(model.scheme).__name__}")
    return model.scheme


@torch.no_grad()
def map_of(model: Iterative, problem: InverseProblem) -> Map:
    """The map that the model iterates on these data, after scaling."""
    step = fixed_point_of(model).step
    scaled, _ = model.scaled(problem)
    state = model.initial(scaled)
    packing, kind = Packing(state), type(state)

    def f(z: Tensor) -> Tensor:
        return packing.join(step(kind(*packing.split(z)), scaled))

    return Map(f, packing.join(state))


def part_of(problem: InverseProblem, first: int, end: int) -> InverseProblem:
    """Some images of a batch."""
    return replace(problem, data=problem.data[first:end])


def work_of(problem: InverseProblem) -> str:
    """The sizes of image and data, in words."""
    image, data = (
        " × ".join(map(str, space.shape))
        for space in (problem.operator.domain, problem.operator.codomain)
    )
    return f"{image} from {data}"
