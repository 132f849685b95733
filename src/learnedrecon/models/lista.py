"""LISTA, the learned iterative shrinkage-thresholding algorithm (Gregor, LeCun, ICML 2010).

    x ← S_θ(W₁ y + W₂ x),   initially W₁ = T*/‖T‖², W₂ = I - T*T/‖T‖²

with x⁰ = 0, N = 16 steps and soft thresholding S_θ. T is a matrix (m, n) and x the sparse
coefficients of y. W₁ is shared, W₂ and θ are those of their step: m n + (N - 1) n² + N parameters,
3 875 016 for (m, n) = (250, 500). Before training it is ISTA for ½‖Tx - y‖² + λ‖x‖₁, λ = θ‖T‖².

Differences from the paper: T/‖T‖ and y/(c‖T‖) with coefficients in units of c; one θ for all
coefficients, θ = exp(·) > 0; W₂ is not shared, and the first, which meets x⁰ = 0, is omitted. The
matrices are stored as differences from those of ISTA, which is the same function with the same
training, so that a configuration begins with ISTA for whatever T it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.errors import GeometryError, ShapeError, describe
from learnedrecon.functionals.pointwise import shrink
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import start_of
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class Dense(nn.Module):
    """A matrix on the flattened axes of a space, initially 0.

    Args:
        inputs: Number of its columns.
        outputs: Number of its rows.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(outputs, inputs))

    def forward(self, v: Tensor) -> Tensor:
        """(batch, channel, *space) to (batch, channel, outputs)."""
        return nn.functional.linear(v.flatten(2), self.matrix)


class Encoded(NamedTuple):
    """The state of LISTA.

    Attributes:
        image: Coefficients x, (batch, channel, *domain.shape).
        drive: W₁y, of the same shape.
    """

    image: Tensor
    drive: Tensor


class EncodingStep(Step[Encoded]):
    """The first step of LISTA, x = S_θ(W₁ y), W₁ = T* + V.

    Args:
        network: Matrix V.
        threshold: Initial θ.
    """

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network = network
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))

    def begin(self, image: Tensor, problem: Problem) -> Encoded:  # noqa: ARG002 - what other classes look at
        return Encoded(image, torch.zeros_like(image))

    def forward(self, state: Encoded, problem: Problem) -> Encoded:  # noqa: ARG002 - x⁰ = 0
        back = problem.back
        drive = back + self.network(problem.data).view_as(back)
        return Encoded(shrink(drive, self.log_threshold.exp()), drive)


class RecurrentStep(Step[Encoded]):
    """The step x ← S_θ(W₁ y + W₂ x) of LISTA, W₂ = I - T*T + V.

    Args:
        network: Matrix V.
        threshold: Initial θ.
    """

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network = network
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))

    def forward(self, state: Encoded, problem: Problem) -> Encoded:
        x, drive = state
        inhibited = x - problem.adjoint(problem.forward(x)) + self.network(x).view_as(x)
        return Encoded(shrink(drive + inhibited, self.log_threshold.exp()), drive)


@dataclass(frozen=True)
class OfMatrix:
    """A check that a problem is that of a real matrix.

    Attributes:
        rows: Number m of its rows, or None for any.
        columns: Number n of its columns, or None for any.
    """

    rows: int | None = None
    columns: int | None = None

    def __call__(self, problem: Problem) -> Problem:
        """The same problem.

        Raises:
            GeometryError: T is not linear, or complex.
            ShapeError: T has another size.
        """
        operator = problem.operator
        is_complex = operator.domain.is_complex or operator.codomain.is_complex
        if is_complex or not isinstance(operator, LinearOperator):
            raise GeometryError(
                describe(
                    expected="a linear operator on real coefficients, whose matrix LISTA learns",
                    found=f"{type(operator).__name__}, {'complex' if is_complex else 'nonlinear'}",
                    fix="use LearnedPrimalDual(like=T), which takes this operator",
                )
            )
        found = (operator.codomain.size, operator.domain.size)
        if (self.rows or found[0], self.columns or found[1]) != found:
            raise ShapeError(
                describe(
                    expected=f"a matrix ({self.rows}, {self.columns}), for which the model was "
                    "built",
                    found=f"{found[0]} data and {found[1]} coefficients",
                    fix=f"build it with rows={found[0]}, columns={found[1]}",
                )
            )
        return problem


class LISTA(LearnedScheme):
    """LISTA, the learned iterative shrinkage-thresholding algorithm, initially ISTA.

    Args:
        iterations: Number N of steps.
        rows: Number m of data.
        columns: Number n of coefficients.
        threshold: Initial θ in units of c; ISTA with λ = θ‖T‖².
        image_scale: Size c of a typical coefficient, in its unit.
        like: Operator that the method is built for; real images with two axes unless given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T is not linear, or complex.
        ShapeError: In a call, T has other sizes.
    """

    def __init__(
        self,
        iterations: int = 16,
        rows: int = 250,
        columns: int = 500,
        *,
        threshold: float = 0.1,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        first = EncodingStep(Dense(rows, columns), threshold)
        others = range(1, iterations)
        steps = [RecurrentStep(Dense(columns, columns), threshold) for _ in others]
        chain: Chain[Encoded] = Chain([first, *steps])
        check = OfMatrix(rows, columns)
        super().__init__(chain, as_like(like), start_of("zero"), image_scale, check)

    @staticmethod
    def check(spec: Record) -> None:
        check_sizes(spec)


def check_sizes(spec: Record) -> None:
    """Check of the arguments that the three schemes share.

    Args:
        spec: Record of constructor arguments.

    Raises:
        ConfigError: An argument is out of range.
    """
    require_counts(spec, {"iterations": 1, "rows": 1, "columns": 1})
    require_positive(spec, "threshold", "image_scale")
