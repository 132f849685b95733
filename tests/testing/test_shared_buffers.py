"""A tensor that two modules of an operator share becomes two when it is moved."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.testing import check_operator


class Twice(LinearOperator):
    """u ↦ 2·w·u with one buffer w in two places."""

    weight: Tensor

    def __init__(self) -> None:
        space = Space((3,))
        super().__init__(space, space)
        self.register_buffer("weight", torch.tensor([1.0, -2.0, 3.0]))
        self.part = nn.Module()
        self.part.register_buffer("weight", self.weight)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.weight * u + self.part.get_buffer("weight") * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.evaluate(v)


def test_the_kit_takes_it() -> None:
    assert len(list(Twice().buffers())) == 1
    check_operator(Twice())
