"""The conformance kit of operators finds leading axes of samples that are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import PropertyError
from learnedrecon.operators.leading import per_sample
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.testing import check_operator

if TYPE_CHECKING:
    from learnedrecon.operators.leading import Norm


class OfSamples(LinearOperator):
    """A diagonal for every sample."""

    diagonal: Tensor

    def __init__(self, lose: str = "") -> None:
        super().__init__(Space((4,), torch.float64), Space((4,), torch.float64))
        self.lose = lose
        diagonal = torch.arange(8.0, dtype=torch.float64).reshape(2, 1, 4)
        self.register_buffer("diagonal", diagonal, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        value = self.diagonal.to(u.dtype) * u
        return value.squeeze(1) if self.lose == "T" and u.ndim == 1 else value

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        value = self.diagonal.to(v.dtype) * v
        return value.squeeze(1) if self.lose == "T*" and v.ndim == 1 else value

    def compute_norm(self) -> Norm:
        norm = per_sample(self.diagonal.abs(), 1)
        return norm.squeeze(-1) if isinstance(norm, Tensor) and self.lose == "norm" else norm

    def norm_bound(self) -> Norm:
        norm = per_sample(self.diagonal.abs(), 1)
        return norm.squeeze(-1) if isinstance(norm, Tensor) and self.lose == "bound" else norm


@pytest.mark.parametrize(
    ("lose", "text"),
    [
        ("T", "T of one element is that of every sample"),
        ("T*", r"T\* of one element is that of every sample"),
        ("norm", r"norm\(\) has every leading axis"),
        ("bound", r"norm_bound\(\) has every leading axis"),
    ],
)
def test_finds_a_leading_axis_that_is_lost(lose: str, text: str) -> None:
    at = torch.ones(2, 1, 4, dtype=torch.float64)
    check_operator(OfSamples(), at=at)
    with pytest.raises(PropertyError, match=text):
        check_operator(OfSamples(lose), at=at)
