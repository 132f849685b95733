"""The kit finds what is wrong: every check fails on an operator that is broken on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import PropertyError
from learnedrecon.operators.algebra import Diagonal
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.testing import Report, check_operator

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

ROWS, COLUMNS = 6, 5


class Sound(LinearOperator):
    """x ↦ Ax, complex, with rows; everything below breaks one thing in it."""

    row_axis = -1
    matrix: Tensor

    def __init__(self, dtype: torch.dtype = torch.complex128, rows: int = ROWS) -> None:
        super().__init__(Space((COLUMNS,), dtype), Space((rows,), dtype))
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("matrix", torch.randn(rows, COLUMNS, dtype=dtype, generator=generator))

    def evaluate(self, u: Tensor) -> Tensor:
        return u @ self.matrix.to(u.dtype).T

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v @ self.matrix.to(v.dtype).conj()

    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        part = type(self)(self.domain.dtype, len(rows))
        part.matrix = self.matrix[list(rows)]
        return part


class WrongSign(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return -super().evaluate_adjoint(v)


class NotConjugated(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v @ self.matrix


class OnePixelOff(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        wrong = super().evaluate_adjoint(v).clone()
        wrong[..., 2] *= 1.001
        return wrong


class OneEntryOff(Sound):
    """Wrong by 1e-8 in one entry of the matrix."""

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        wrong = super().evaluate_adjoint(v).clone()
        wrong[..., 2] += 1e-8 * v[..., -1]
        return wrong


class Affine(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u) + 1e-3


class Curved(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u) + 1e-6 * u[..., :1].abs() ** 2


class AdjointCurved(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        back = super().evaluate_adjoint(v)
        return back * (1 + 1e-6 * v.abs().amax(-1, keepdim=True))


class MixesBatch(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        u = u - 1e-3 * u.mean(0, keepdim=True) if u.ndim > 1 else u
        return super().evaluate(u)


class AdjointMixesBatch(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        v = v - 1e-3 * v.mean(0, keepdim=True) if v.ndim > 1 else v
        return super().evaluate_adjoint(v)


class Mutates(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        if not u.requires_grad:
            u.mul_(2)
        return super().evaluate(u)


class AdjointMutates(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        back = super().evaluate_adjoint(v)
        if not v.requires_grad:
            v.zero_()
        return back


class SinglePrecision(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return u.to(torch.complex64) @ self.matrix.to(torch.complex64).T


class RoundsInside(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u.to(torch.complex64).to(u.dtype))


class ForgetsComplex(Sound):
    """Moves as a plain module does, which drops imaginary parts."""

    def _apply(self, fn: object, recurse: bool = True) -> ForgetsComplex:
        self.matrix = self.matrix.real.to(torch.float64)
        self.domain = Space((COLUMNS,), torch.float64)
        self.codomain = Space((ROWS,), torch.float64)
        assert fn is not recurse
        return self


class WrongNorm(Sound):
    def compute_norm(self) -> float:
        return 1.01 * super().compute_norm()


class Detached(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u.detach()) + 0 * u.sum(-1, keepdim=True)


class _WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        return u @ matrix.T

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return 1.0001 * grad @ matrix.conj(), None


class _SoundBackward(_WrongBackward):
    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad @ matrix.conj(), None


class WrongGradient(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        result: Tensor = _WrongBackward.apply(u, self.matrix.to(u.dtype))
        return result


class NoForwardMode(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        result: Tensor = _SoundBackward.apply(u, self.matrix.to(u.dtype))
        return result


class WrongRows(Sound):
    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        return super().restrict(tuple(row or 1 for row in rows))


class SortedRows(Sound):
    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        return super().restrict(tuple(sorted(rows)))


class WrongLinearisation(Sound):
    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), 2 * self


BROKEN_LINEAR: dict[type[Sound], str] = {
    WrongSign: "adjoint: random pairs",
    NotConjugated: "adjoint: random pairs",
    OnePixelOff: "adjoint: random pairs",
    OneEntryOff: "adjoint",
    Affine: "linear over the reals",
    Curved: "linear over the reals",
    AdjointCurved: r"T\* is linear over the reals",
    MixesBatch: "a batch is a stack of singles",
    AdjointMixesBatch: r"T\* of a batch is a stack of singles",
    Mutates: "T leaves its argument alone",
    AdjointMutates: r"T\* leaves its argument alone",
    SinglePrecision: "codomain's shape and type",
    RoundsInside: "linear over the reals",
    ForgetsComplex: "keeps complex complex",
    WrongNorm: "largest singular value",
    Detached: r"autograd backwards is T\*",
    WrongGradient: r"autograd backwards is T\*",
    NoForwardMode: "forward-mode autograd",
    WrongRows: "subsets of rows make the whole T",
    SortedRows: "keeps the order",
    WrongLinearisation: "linearise gives T'",
}


def test_the_sound_operator_passes() -> None:
    for dtype in (torch.complex128, torch.complex64, torch.float64, torch.float32):
        report = check_operator(Sound(dtype))
        assert [finding.note for finding in report.skipped] in (
            [],
            ["this machine has no other device"],
        )


@pytest.mark.parametrize("kind", BROKEN_LINEAR, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_finds_a_broken_linear_operator(kind: type[Sound], seed: int) -> None:
    with pytest.raises(PropertyError, match=BROKEN_LINEAR[kind]) as caught:
        check_operator(kind(), seed=seed)
    for part in ("Expected", "Found", "What to do:"):
        assert part in str(caught.value)


def test_an_error_names_property_number_and_tolerance() -> None:
    with pytest.raises(PropertyError) as caught:
        check_operator(OnePixelOff(), tolerance=2e-9)
    text = str(caught.value)
    for part in (
        "OnePixelOff",
        "'T* is adjoint: random pairs'",
        "within 2e-09",
        "deviation of 0.0",
    ):
        assert part in text


def test_entry_by_entry_is_sharper_than_random_pairs() -> None:
    """One wrong pixel of a million changes a random pairing by nothing."""

    class Blind(Diagonal):
        def evaluate_adjoint(self, v: Tensor) -> Tensor:
            wrong = super().evaluate_adjoint(v).clone()
            wrong[..., 777] *= 1.001
            return wrong

    space = Space((900,), torch.float32)
    with pytest.raises(PropertyError, match="entry by entry"):
        check_operator(Blind(space, torch.ones(900)))


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


BROKEN_CURVED: dict[type[Square], str] = {
    WrongDerivative: "central differences",
    DetachedDerivative: "depends on u as autograd says",
    WrongValue: r"linearise gives T\(u\)",
    ShearedAdjoint: "is adjoint",
}


def test_the_sound_nonlinear_operator_passes() -> None:
    report = check_operator(Square(), at=torch.linspace(0.5, 2, 4, dtype=torch.float64))
    assert report.measured("order of the central differences, below 2 by") < 0.01
    check_operator(Square(torch.float32))


@pytest.mark.parametrize("kind", BROKEN_CURVED, ids=lambda kind: kind.__name__)
def test_finds_a_broken_nonlinear_operator(kind: type[Square]) -> None:
    with pytest.raises(PropertyError, match=BROKEN_CURVED[kind]):
        check_operator(kind())


def test_finds_a_kink_where_it_stands_on_it() -> None:
    at = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    with pytest.raises(PropertyError):
        check_operator(Kinked(), at=at)


def test_the_report_is_a_table_of_every_property() -> None:
    report = check_operator(Diagonal(Space((3,), torch.float64), torch.ones(3).double()))
    assert isinstance(report, Report)
    lines = str(report).splitlines()
    assert lines[0] == report.subject == "Diagonal"
    assert len(lines) == len(report.findings) + 1
    for line, finding in zip(lines[1:], report.findings, strict=True):
        assert finding.name in line
        assert ("not checked: " in line) == (finding.measured is None)
    assert {finding.note for finding in report.skipped} >= {"no row axis"}
    with pytest.raises(KeyError):
        report.measured("subsets of rows make the whole T")
    with pytest.raises(KeyError):
        report.measured("beauty")


def test_a_given_tolerance_holds() -> None:
    loose = check_operator(OneEntryOff(), tolerance=1e-6)
    assert 0 < loose.measured("T* is the transposed matrix, entry by entry") < 1e-6


def test_the_same_seed_measures_the_same() -> None:
    assert check_operator(Sound(), seed=3) == check_operator(Sound(), seed=3)
