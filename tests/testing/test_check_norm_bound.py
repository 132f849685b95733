"""The kit finds bounds of norms that are none."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.errors import PropertyError
from learnedrecon.testing import check_operator

NAME = "norm_bound() is not below the largest singular value"


class Bounded(Dense):
    """A matrix whose bound is a share of its norm."""

    share = 1.0

    def norm_bound(self) -> float:
        return self.share * float(torch.linalg.matrix_norm(self.matrix, 2))


class TooSmall(Bounded):
    share = 0.999


class NotANumber(Bounded):
    share = float("nan")


def test_a_bound_is_checked_where_there_is_one() -> None:
    assert check_operator(Bounded(normal(4, 3))).measured(NAME) == 0
    with pytest.raises(KeyError):
        check_operator(Dense(normal(4, 3))).measured(NAME)


@pytest.mark.parametrize("kind", [TooSmall, NotANumber])
def test_finds_a_bound_that_is_none(kind: type[Bounded]) -> None:
    with pytest.raises(PropertyError, match="not below"):
        check_operator(kind(normal(4, 3)))
