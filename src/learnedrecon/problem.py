"""The only door from a step to one batch of y = T(u) + noise."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self, TypeVar

import torch
from torch import Tensor, nn

from learnedrecon.errors import GeometryError, ShapeError, describe
from learnedrecon.functionals.base import Fidelity, Regulariser
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.operators.base import Operator, moved
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from learnedrecon.operators.rows import Rows


class Problem(ABC):
    """One batch of y = T(u) + noise, as a step sees it.

    An interface: a cache, a counter or a scaled problem can stand in for :class:`InverseProblem`.
    Tensors inside may require gradients.

    Attributes:
        operator: T, for initial values and classical methods; a step never touches it.
        data: y, (batch, channel, *codomain.shape).
        regulariser: a fixed R, or None.
        draws: what was drawn at random for this batch before the scheme runs.
    """

    operator: Operator
    data: Tensor
    regulariser: Regulariser | None
    draws: tuple[int, ...]

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """T(u)."""

    @abstractmethod
    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        """[∂T(at)]* v; a linear T needs no ``at``."""

    @abstractmethod
    def gradient(self, u: Tensor) -> Tensor:
        """∇_u D(T(u); y) = [∂T(u)]* ∂_v D(T(u); y)."""

    @abstractmethod
    def subset(self, rows: Rows) -> Problem:
        """The same problem with the rows ``rows`` of T and of y only."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """The same problem on another device."""


@dataclass(frozen=True, eq=False)
class InverseProblem(Problem):
    """The standard problem: an operator, data, and a data term.

    Attributes:
        operator: T.
        data: y, (batch, channel, *T.codomain.shape).
        fidelity: D.
        regulariser: a fixed R, or None.
        draws: random integers of this batch, drawn by the data side.

    Raises:
        GeometryError: T is not an operator.
        DtypeError: the data are not a tensor of floats of the codomain's kind.
        ShapeError: the data do not end in the codomain's axes, or have no batch axis.
    """

    operator: Operator
    data: Tensor
    fidelity: Fidelity = field(default_factory=LeastSquares)
    regulariser: Regulariser | None = None
    draws: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.operator, Operator):
            raise GeometryError(
                describe(
                    expected="an operator T",
                    found=f"{self.operator!r:.80} of type {type(self.operator).__name__}",
                    fix="write InverseProblem(T, y), for example with T = RayTransform(geometry)",
                )
            )
        codomain = self.operator.codomain
        codomain.check(self.data, "data")
        if self.data.ndim < codomain.ndim + 2:
            raise ShapeError(
                describe(
                    expected=f"data (batch, channel, {', '.join(map(str, codomain.shape))})",
                    found=f"shape {tuple(self.data.shape)}",
                    fix="add the leading axes, for example data[None, None]",
                )
            )

    def forward(self, u: Tensor) -> Tensor:
        return self.operator(u)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        if isinstance(self.operator, LinearOperator):
            return self.operator.adjoint(v)
        if at is None:
            raise GeometryError(
                describe(
                    expected="the image at which a nonlinear T is linearised",
                    found="adjoint(v) without 'at'",
                    fix="call problem.adjoint(v, at=u)",
                )
            )
        return self.operator.linearise(at)[1].adjoint(v)

    def gradient(self, u: Tensor) -> Tensor:
        value, derivative = self.operator.linearise(u)
        return derivative.adjoint(self.fidelity.gradient(value, self.data))

    def subset(self, rows: Rows) -> InverseProblem:
        operator = self.operator
        if operator.row_axis is None:
            raise GeometryError(
                describe(
                    expected="an operator with rows to choose from",
                    found=type(operator).__name__,
                    fix="use the whole problem",
                )
            )
        chosen = operator.row_indices(rows)
        part = operator.subset(chosen)
        index = torch.as_tensor(chosen, device=self.data.device)
        data = self.data.index_select(operator.row_axis, index)
        fidelity = self.fidelity.restrict(index, operator.row_axis)
        return replace(self, operator=part, data=data, fidelity=fidelity)

    def to(self, device: torch.device | str) -> Self:
        regulariser = self.regulariser
        return replace(
            self,
            operator=_moved(self.operator, device),
            data=self.data.to(device),
            fidelity=_moved(self.fidelity, device),
            regulariser=None if regulariser is None else _moved(regulariser, device),
        )


class Wrapper(Problem):
    """A problem that passes everything on to another; subclasses change what they are for.

    A :class:`Scaling` scales the problem inside and wraps it again, so a wrapper sees what the
    scheme sees.

    Args:
        inner: the problem inside.
    """

    def __init__(self, inner: Problem) -> None:
        self.inner = inner

    @abstractmethod
    def rewrap(self, inner: Problem) -> Self:
        """The same wrapper around another problem."""

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return self.inner.data

    @property
    def regulariser(self) -> Regulariser | None:  # type: ignore[override]
        return self.inner.regulariser

    @property
    def draws(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.inner.draws

    @property
    def operator(self) -> Operator:  # type: ignore[override]
        return self.inner.operator

    def forward(self, u: Tensor) -> Tensor:
        return self.inner.forward(u)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        return self.inner.adjoint(v, at)

    def gradient(self, u: Tensor) -> Tensor:
        return self.inner.gradient(u)

    def subset(self, rows: Rows) -> Self:
        return self.rewrap(self.inner.subset(rows))

    def to(self, device: torch.device | str) -> Self:
        return self.rewrap(self.inner.to(device))


@dataclass
class Cost:
    """How often T and T* were applied, in applications to one whole sample.

    An application of m of n rows to one image counts m/n; a batch or several channels count each.

    Attributes:
        forward: applications of T.
        adjoint: applications of T*, or of [∂T]*.
    """

    forward: float = 0.0
    adjoint: float = 0.0

    @property
    def total(self) -> float:
        """Applications of either."""
        return self.forward + self.adjoint


@dataclass(eq=False)
class Counted(Wrapper):
    """Counts what a scheme asks of an operator; derivatives by autograd are not counted.

    Attributes:
        inner: the problem inside.
        cost: where it is counted, shared with all subsets and copies.
        whole: entries of one sample of all data.
    """

    inner: Problem
    cost: Cost = field(default_factory=Cost)
    whole: int = 0

    def __post_init__(self) -> None:
        self.whole = self.whole or self.inner.operator.codomain.size

    def rewrap(self, inner: Problem) -> Self:
        return type(self)(inner, self.cost, self.whole)

    def forward(self, u: Tensor) -> Tensor:
        self.cost.forward += self._share(u, self.operator.domain.size)
        return self.inner.forward(u)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        self.cost.adjoint += self._share(v, self.operator.codomain.size)
        return self.inner.adjoint(v, at)

    def gradient(self, u: Tensor) -> Tensor:
        share = self._share(u, self.operator.domain.size)
        self.cost.forward += share
        self.cost.adjoint += share
        return self.inner.gradient(u)

    def _share(self, tensor: Tensor, size: int) -> float:
        return tensor.numel() / size * self.operator.codomain.size / self.whole


M = TypeVar("M", bound=nn.Module)


def _moved(module: M, device: torch.device | str) -> M:
    """A module on ``device`` beside the old one, which other problems may share and which stays.

    Gradients flow through the move, back to the tensors of the old one.
    """
    twin = copy.copy(module)
    members = twin.__dict__
    for name in ("_parameters", "_buffers"):
        tensors = members[name].items()
        members[name] = {key: None if t is None else moved(t, device) for key, t in tensors}
    children = members["_modules"].items()
    members["_modules"] = {
        key: None if child is None else _moved(child, device) for key, child in children
    }
    return twin
