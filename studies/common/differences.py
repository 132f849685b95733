"""Central differences of a loss at a converged fixed point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

if TYPE_CHECKING:
    from studies.gradients import Setting

STEPS = tuple(10.0**-k for k in range(3, 9))
DIRECTIONS = 3
TOLERANCE = 1e-13


@torch.no_grad()
def finite_differences(setting: Setting, gradient: Tensor) -> dict[str, Any]:
    """How well the implicit gradient agrees with (L(θ + hd) - L(θ - hd)) / 2h.

    Args:
        setting: of the gradient.
        gradient: of all parameters, one after the other.

    Returns:
        For every random direction d, with ‖d‖ = ‖θ‖: the derivative, the error for every h, and the
        best one; ``agreement`` is the worst of these. Errors are relative to the root mean square
        of the derivative over all d, ‖∇L‖‖θ‖/√n, as a single d may be almost orthogonal to ∇L.
    """
    weights = parameters_to_vector(setting.parameters).clone()
    typical = float(gradient.norm() * weights.norm()) / math.sqrt(len(weights))
    generator = torch.Generator().manual_seed(0)
    directions: list[dict[str, Any]] = []
    for _ in range(DIRECTIONS):
        d = torch.randn(len(weights), generator=generator, dtype=weights.dtype)
        d *= weights.norm() / d.norm()
        derivative = float(gradient @ d)
        sweep = [
            {"step": h, "error": abs(_slope(setting, weights, h * d) / h - derivative) / typical}
            for h in STEPS
        ]
        best = min(one["error"] for one in sweep)
        directions.append({"derivative": derivative, "sweep": sweep, "best": best})
    vector_to_parameters(weights, setting.parameters)
    return {
        "tolerance": TOLERANCE,
        "typical_derivative": typical,
        "directions": directions,
        "agreement": max(one["best"] for one in directions),
    }


def _slope(setting: Setting, weights: Tensor, move: Tensor) -> float:
    """Half the difference of the losses at both ends."""
    return (_loss(setting, weights + move) - _loss(setting, weights - move)) / 2


def _loss(setting: Setting, weights: Tensor) -> float:
    """At the fixed point that belongs to other weights."""
    vector_to_parameters(weights, setting.parameters)
    return float(setting.loss(setting.fixed_point(TOLERANCE)))
