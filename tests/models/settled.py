"""Denoisers that contract, for equilibria of splitting methods where T has a null space."""

from __future__ import annotations

import math

import torch

from learnedrecon.networks.potential import Correction, PotentialLayer

SPLITTING = {"equilibrium_proximal", "equilibrium_admm", "equilibrium_primal_dual"}


@torch.no_grad()
def settle(model: torch.nn.Module) -> None:
    """Makes R contract where T has a null space: N near the identity, or P far from it."""
    far = any(isinstance(module, Correction) for module in model.modules())
    for layer in model.modules():
        if isinstance(layer, PotentialLayer) and far:
            layer.log_threshold[1:] = 3  # all but one are linear
        elif isinstance(layer, PotentialLayer):
            layer.filters.weight[0] *= 0.05  # the others are cut off everywhere
            layer.filters.bias[0], layer.filters.bias[1:] = 0.01, 2


@torch.no_grad()
def bend(model: torch.nn.Module) -> None:
    """Cuts off one filter of every layer in the unit of the images, so that N is not linear."""
    for layer in model.modules():
        if isinstance(layer, PotentialLayer):
            layer.log_threshold[0] = math.log(0.02)
