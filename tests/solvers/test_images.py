"""One operator for all images of a batch, and one each, with some of them finished."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.solvers.images import images_of


@pytest.mark.parametrize("lead", [(3,), (2, 3), (1, 3), (2, 1, 2)])
def test_every_image_meets_its_own_matrix(lead: tuple[int, ...]) -> None:
    matrices = normal(*lead, 5, 4)
    operator = images_of(Dense(matrices), lead)
    each = matrices.reshape(-1, 5, 4)
    going = torch.ones(len(each), dtype=torch.bool)
    for finished in (None, 1):
        if finished is not None:
            going[finished] = False
            operator.keep(going)
        u, v = normal(int(going.sum()), 4, seed=1), normal(int(going.sum()), 5, seed=2)
        forward = torch.einsum("kij,kj->ki", each[going], u)
        torch.testing.assert_close(operator.evaluate(u), forward)
        backward = torch.einsum("kij,ki->kj", each[going], v)
        torch.testing.assert_close(operator.evaluate_adjoint(v), backward)
