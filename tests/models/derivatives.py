"""Derivatives of a method in its weights and in the data, by finite differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tests.helpers import Dense, normal

from learnedrecon.problem import InverseProblem
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.schemes.reconstructor import Reconstructor


def assert_derivatives(model: Reconstructor) -> None:
    """For a method that is built for images and data with one axis, and a matrix of 5 by 4."""
    torch.manual_seed(1)
    model.double()
    perturb(model, seed=0)
    names = dict(model.named_parameters())
    operator = Dense(normal(5, 4, seed=2))

    def image(y: Tensor, *weights: Tensor) -> Tensor:
        given = dict(zip(names, weights, strict=True))
        at = (InverseProblem(operator, y),)
        found: Tensor = torch.func.functional_call(model, given, at).image
        return found

    weights = [p.detach().clone().requires_grad_() for p in names.values()]
    y = normal(1, 1, 5, seed=3).requires_grad_()
    slopes = torch.autograd.grad(image(y, *weights).sum(), (y, *weights))
    assert all(bool(slope.any()) for slope in slopes)
    assert torch.autograd.gradcheck(image, (y, *weights))
