"""The data term of the energies that a scheme descends."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.energy import data_term


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_data_term_is_half_the_squared_residual_of_every_sample(dtype: torch.dtype) -> None:
    matrix = normal(6, 4, dtype=dtype)
    u, y = normal(3, 2, 4, seed=1, dtype=dtype), normal(3, 2, 6, seed=2, dtype=dtype)
    found = data_term(u, InverseProblem(Dense(matrix), y))
    residual = torch.einsum("ij,bcj->bci", matrix, u) - y
    torch.testing.assert_close(found, 0.5 * residual.abs().square().sum((1, 2)))
