"""LISTA-CP and LISTA-CPSS (Chen, Liu, Wang, Yin, NeurIPS 2018): coupled weights, chosen supports.

    LISTA-CP:    x ← S_θ(x + W_k (y - T x)),   initially W_k = T*/‖T‖²
    LISTA-CPSS:  the same, where the largest p % of the entries above θ are not shrunk

with x⁰ = 0, N = 16 steps, soft thresholding S_θ, and p = min(1.2 k, 13) in step k. T is a matrix
(m, n) and x the sparse coefficients of y. W_k and θ_k are those of their step: N (m n + 1)
parameters, 2 000 016 for (m, n) = (250, 500). Before training LISTA-CP is ISTA for
½‖Tx - y‖² + λ‖x‖₁ with λ = θ‖T‖².

Differences from the paper: T/‖T‖ and y/(c‖T‖) with coefficients in units of c. The matrices are
stored as differences from those of ISTA, which is the same function with the same training, so that
a configuration begins with ISTA for whatever T it has. θ = exp(·) is positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.pointwise import shrink
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.lista import Dense, OfMatrix, check_sizes
from learnedrecon.models.start import start_of
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


@dataclass(frozen=True)
class Support:
    """The selection of entries that are not shrunk: the largest min(p k, p_max) % in step k.

    Attributes:
        percent: Percentage p of the entries that every step adds, in [0, 100].
        most: Largest percentage p_max, in [0, 100].

    Raises:
        ConfigError: A percentage is out of range.
    """

    percent: float = 1.2
    most: float = 13.0

    def __post_init__(self) -> None:
        for name in ("percent", "most"):
            if not 0 <= getattr(self, name) <= 100:
                raise ConfigError(
                    describe(
                        expected=f"'{name}' of Support to be a percentage, from 0 to 100",
                        found=f"{name} = {getattr(self, name)!r}",
                        fix=f"correct '{name}'",
                    )
                )

    def share(self, step: int) -> float:
        """The share of the entries that may be selected.

        Args:
            step: Number k of the step, from 1.
        """
        return min(self.percent * step, self.most) / 100


PAPER = Support()
NOTHING = Support(0.0, 0.0)


def shrink_unselected(v: Tensor, threshold: Tensor, share: float) -> Tensor:
    """Soft thresholding of all entries but the largest, those above the threshold.

    Args:
        v: Coefficients, (batch, channel, *domain.shape).
        threshold: θ ≥ 0.
        share: Share of the coefficients of a channel that are kept as they are, rounded down.
    """
    size = v.abs().flatten(2)
    number = int(share * size.shape[-1])
    if number == 0:
        return shrink(v, threshold)
    least = size.topk(number, dim=-1).values[..., -1:]
    kept = ((size >= least) & (size > threshold)).view_as(v)
    return torch.where(kept, v, shrink(v, threshold))


class CoupledStep(Step[Image]):
    """The step x ← S_θ(x + W (y - T x)) of LISTA-CP, W = T* + V.

    Args:
        network: Matrix V.
        threshold: Initial θ.
        share: Share of the entries that are not shrunk.
    """

    def __init__(self, network: nn.Module, threshold: float, share: float) -> None:
        super().__init__()
        self.network = network
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))
        self.share = share

    def forward(self, state: Image, problem: Problem) -> Image:
        x = state.image
        residual = problem.data - problem.forward(x)
        moved = x + problem.adjoint(residual) + self.network(residual).view_as(x)
        return Image(shrink_unselected(moved, self.log_threshold.exp(), self.share))


class LISTACP(LearnedScheme):
    """LISTA-CP: LISTA with coupled weights, initially ISTA.

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
        chain = coupled(iterations, (rows, columns), threshold, NOTHING)
        check = OfMatrix(rows, columns)
        super().__init__(chain, as_like(like), start_of("zero"), image_scale, check)

    @staticmethod
    def check(spec: Record) -> None:
        check_sizes(spec)


class LISTACPSS(LearnedScheme):
    """LISTA-CPSS: LISTA with coupled weights and support selection, initially ISTA with selection.

    Args:
        iterations: Number N of steps.
        rows: Number m of data.
        columns: Number n of coefficients.
        threshold: Initial θ in units of c.
        support: Selection of entries that are not shrunk.
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
        support: Support = PAPER,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        chain = coupled(iterations, (rows, columns), threshold, support)
        check = OfMatrix(rows, columns)
        super().__init__(chain, as_like(like), start_of("zero"), image_scale, check)

    @staticmethod
    def check(spec: Record) -> None:
        check_sizes(spec)


def coupled(
    iterations: int, size: tuple[int, int], threshold: float, support: Support
) -> Chain[Image]:
    """The steps of LISTA-CP with support selection.

    Args:
        iterations: Number N of steps.
        size: Numbers (m, n) of data and coefficients.
        threshold: Initial θ.
        support: Selection of entries that are not shrunk.
    """
    shares = [support.share(k) for k in range(1, iterations + 1)]
    return Chain([CoupledStep(Dense(*size), threshold, share) for share in shares])
