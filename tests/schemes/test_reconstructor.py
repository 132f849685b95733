"""Data and weights must be of one precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from learnedrecon.errors import DtypeError
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor


class Weighted(Reconstructor, recorded=False):
    def __init__(self, *dtypes: torch.dtype) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.ones(2, dtype=dtype), requires_grad=False) for dtype in dtypes
        )

    def forward(self, problem: Problem) -> Estimate:
        self.require_precision(problem)
        return Estimate(problem.data)


def problem(dtype: torch.dtype) -> InverseProblem:
    space = Space((3,), torch.complex64 if dtype.is_complex else torch.float32)
    return InverseProblem(Diagonal(space, torch.ones(3)), torch.ones(1, 1, 3, dtype=dtype))


F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
C64, C128, INT = torch.complex64, torch.complex128, torch.int64


@pytest.mark.parametrize(
    ("data", "weights"),
    [
        (F32, (F32,)),
        (F64, (F64,)),
        (C64, (F32,)),
        (C128, (F64, INT)),
        (F32, (C64,)),
        (F16, (F32,)),
        (BF16, (F32,)),
        (F64, (F32, F64)),
        (F64, ()),
        (F64, (INT,)),
    ],
)
def test_one_precision_is_taken(data: torch.dtype, weights: tuple[torch.dtype, ...]) -> None:
    assert Weighted(*weights)(problem(data)).image.dtype == data


@pytest.mark.parametrize(
    ("data", "weights", "words"),
    [
        (F64, (F32,), r"precision, float32\. Found float64\. .*data\.float\(\).*model\.double\(\)"),
        (F32, (F64,), r"precision, float64\. Found float32\. .*model\.to\(torch\.float32\)"),
        (C128, (F32,), r"Found float64"),
        (F64, (C64,), r"precision, float32\. Found float64"),
        (F16, (F64,), r"Found float32"),
        (F32, (BF16,), r"precision, bfloat16\. Found float32"),
        (F64, (F32, F16), r"precision, float16 or float32\. Found float64"),
    ],
)
def test_two_precisions_are_refused(
    data: torch.dtype, weights: tuple[torch.dtype, ...], words: str
) -> None:
    with pytest.raises(DtypeError, match=words):
        Weighted(*weights)(problem(data))
