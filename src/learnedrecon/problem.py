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

    An interface: a cache, a counter or a scaled problem can stand in for :class:`Measured`. Tensors
    inside may require gradients.

    Attributes:
        data: y, (batch, channel, *codomain.shape).
        regulariser: a fixed R, or None.
        draws: what was drawn at random for this batch before the scheme runs.
    """

    data: Tensor
    regulariser: Regulariser | None
    draws: tuple[int, ...]

    @property
    @abstractmethod
    def operator(self) -> Operator:
        """T, for initial values and classical methods; a step never touches it."""

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
class Measured(Problem):
    """The standard problem: an operator, data, and a data term.

    Attributes:
        measurement: T.
        data: y, (batch, channel, *T.codomain.shape).
        fidelity: D.
        regulariser: a fixed R, or None.
        draws: random integers of this batch, drawn by the data side.

    Raises:
        GeometryError: T is not an operator.
        DtypeError: the data are not a tensor of floats of the codomain's kind.
        ShapeError: the data do not end in the codomain's axes, or have no batch axis.
    """

    measurement: Operator
    data: Tensor
    fidelity: Fidelity = field(default_factory=LeastSquares)
    regulariser: Regulariser | None = None
    draws: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.measurement, Operator):
            raise GeometryError(
                describe(
                    expected="an operator T",
                    found=f"{self.measurement!r:.80} of type {type(self.measurement).__name__}",
                    fix="write Measured(T, y), for example with T = RayTransform(geometry)",
                )
            )
        codomain = self.measurement.codomain
        codomain.admit(self.data, "data")
        if self.data.ndim < codomain.ndim + 2:
            raise ShapeError(
                describe(
                    expected=f"data (batch, channel, {', '.join(map(str, codomain.shape))})",
                    found=f"shape {tuple(self.data.shape)}",
                    fix="add the leading axes, for example data[None, None]",
                )
            )

    @property
    def operator(self) -> Operator:
        return self.measurement

    def forward(self, u: Tensor) -> Tensor:
        return self.measurement(u)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        if isinstance(self.measurement, LinearOperator):
            return self.measurement.adjoint(v)
        if at is None:
            raise GeometryError(
                describe(
                    expected="the image at which a nonlinear T is linearised",
                    found="adjoint(v) without 'at'",
                    fix="call problem.adjoint(v, at=u)",
                )
            )
        return self.measurement.linearise(at)[1].adjoint(v)

    def gradient(self, u: Tensor) -> Tensor:
        value, derivative = self.measurement.linearise(u)
        return derivative.adjoint(self.fidelity.gradient(value, self.data))

    def subset(self, rows: Rows) -> Measured:
        operator = self.measurement
        if not isinstance(operator, LinearOperator) or operator.row_axis is None:
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
        return replace(self, measurement=part, data=data, fidelity=fidelity)

    def to(self, device: torch.device | str) -> Self:
        regulariser = self.regulariser
        return replace(
            self,
            measurement=_moved(self.measurement, device),
            data=self.data.to(device),
            fidelity=_moved(self.fidelity, device),
            regulariser=None if regulariser is None else _moved(regulariser, device),
        )


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
