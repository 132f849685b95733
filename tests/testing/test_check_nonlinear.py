"""The kit finds what is wrong with an operator that is not linear."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import PropertyError
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.testing import check_operator


class Square(Operator):
    """u ↦ u² + u³/3, soundly differentiated."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__(Space((4,), dtype), Space((4,), dtype))

    def evaluate(self, u: Tensor) -> Tensor:
        return u**2 + u**3 / 3

    def slope(self, u: Tensor) -> Tensor:
        return 2 * u + u**2

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), Diagonal(self.domain, self.slope(u))


class WrongDerivative(Square):
    def slope(self, u: Tensor) -> Tensor:
        return 2 * u + 1.0001 * u**2


class DetachedDerivative(Square):
    def slope(self, u: Tensor) -> Tensor:
        return super().slope(u).detach()


class WrongValue(Square):
    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return 2 * self(u), super().linearise(u)[1]


class Kinked(Square):
    """The derivative is right but T is only once differentiable: the order gives it away."""

    def evaluate(self, u: Tensor) -> Tensor:
        return u.abs() ** 1.5 * u.sign()

    def slope(self, u: Tensor) -> Tensor:
        return 1.5 * u.abs() ** 0.5


class ShearedAdjoint(Square):
    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        class Sheared(Diagonal):
            def evaluate_adjoint(self, v: Tensor) -> Tensor:
                return super().evaluate_adjoint(v.roll(1, -1))

        return self(u), Sheared(self.domain, self.slope(u))


class SlopeMixesBatch(Square):
    def slope(self, u: Tensor) -> Tensor:
        return super().slope(u - 1e-3 * u.mean(0, keepdim=True) if u.ndim > 1 else u)


class WrongWhereLarge(Square):
    """A threshold that an image of usual size does not reach."""

    def slope(self, u: Tensor) -> Tensor:
        return super().slope(u) * (1 + 1e-3 * (u.abs() > 6))


class WithRows(Square):
    row_axis = -1

    def __init__(self, dtype: torch.dtype = torch.float64, rows: int = 4) -> None:
        super().__init__(dtype)
        self.codomain = Space((rows,), dtype)
        self.rows = list(range(rows))

    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u)[..., self.rows]

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), Chosen(self.rows, self.domain) @ Diagonal(self.domain, self.slope(u))

    def restrict(self, rows: tuple[int, ...]) -> WithRows:
        part = type(self)(self.domain.dtype, len(rows))
        part.rows = [self.rows[row] for row in rows]
        return part


class Chosen(LinearOperator):
    def __init__(self, rows: list[int], space: Space) -> None:
        super().__init__(space, Space((len(rows),), space.dtype))
        self.rows = rows

    def evaluate(self, u: Tensor) -> Tensor:
        return u[..., self.rows]

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        index = torch.tensor(self.rows, device=v.device)
        return v.new_zeros(*v.shape[:-1], *self.domain.shape).index_add(-1, index, v)


class WrongCurvedRows(WithRows):
    def restrict(self, rows: tuple[int, ...]) -> WithRows:
        return super().restrict(tuple(row or 1 for row in rows))


class PartOfAnotherSlope(WithRows):
    def slope(self, u: Tensor) -> Tensor:
        return super().slope(u) * (1 if len(self.rows) == 4 else 1.001)


BROKEN_CURVED: dict[type[Square], str] = {
    WrongDerivative: "central differences",
    DetachedDerivative: "depends on u as autograd says",
    WrongValue: r"linearise gives T\(u\)",
    ShearedAdjoint: "is adjoint",
    SlopeMixesBatch: r"T'\(u\) of a batch of u is a stack of singles",
    WrongWhereLarge: r"T'\(10·u\) against central differences",
    WrongCurvedRows: "subsets of rows make the whole T",
    PartOfAnotherSlope: r"subsets of rows make the whole T'\(u\)\*",
}


def test_the_sound_nonlinear_operator_passes() -> None:
    report = check_operator(Square(), at=torch.linspace(0.5, 2, 4, dtype=torch.float64))
    assert report.measured("order of the central differences, below 2 by") < 0.01
    check_operator(Square(torch.float32))
    assert check_operator(WithRows()).measured("a subset of a subset") == 0


@pytest.mark.parametrize("kind", BROKEN_CURVED, ids=lambda kind: kind.__name__)
def test_finds_a_broken_nonlinear_operator(kind: type[Square]) -> None:
    with pytest.raises(PropertyError, match=BROKEN_CURVED[kind]):
        check_operator(kind())


def test_finds_a_kink_where_it_stands_on_it() -> None:
    at = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    with pytest.raises(PropertyError):
        check_operator(Kinked(), at=at)
