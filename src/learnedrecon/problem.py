"""Inverse problems y = T(u) + noise: the interface through which a step sees one batch."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self, TypeVar

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, GeometryError, ShapeError, describe
from learnedrecon.functionals.base import Fidelity, Regulariser
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.operators.base import Operator, moved
from learnedrecon.operators.linear import LinearMultiple, LinearOperator
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.rows import Rows


class Problem(ABC):
    """One batch of an inverse problem y = T(u) + noise.

    This is an interface: a cache, a counter or a scaled problem can take the place of
    :class:`InverseProblem`. Tensors inside may require gradients.

    Attributes:
        operator: T, for initial values and classical methods; steps do not use it.
        data: y, (batch, channel, *codomain.shape).
        regulariser: Fixed regulariser R, or None.
        draws: Random integers of this batch, drawn by the data side before the scheme runs.
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
        """[∂T(at)]* v; ``at`` may be omitted for a linear T."""

    @abstractmethod
    def gradient(self, u: Tensor) -> Tensor:
        """∇_u D(T(u); y) = [∂T(u)]* ∂_v D(T(u); y)."""

    @property
    def back(self) -> Tensor:
        """T*y of a linear T, (batch, channel, *domain.shape), computed once.

        A result that requires a gradient is computed at every access, as its graph serves one
        backward pass.

        Raises:
            GeometryError: T is not linear, so that [∂T(u)]*y depends on an image u.
        """
        if torch.compiler.is_compiling():
            return self.adjoint(self.data)
        kept: dict[str, Tensor] = vars(self).setdefault("_back", {})
        mode = _gradient_mode()
        if mode not in kept:
            back = self.adjoint(self.data)
            if back.requires_grad:
                return back
            kept[mode] = back
        return kept[mode]

    @abstractmethod
    def solve(self, b: Tensor, weight: Tensor | float) -> Tensor:
        """(T*T + λI)⁻¹ b of a linear T, the minimiser x of ½‖Tx‖² + λ/2 ‖x‖² - Re⟨b, x⟩.

        It is differentiable in b, λ and every tensor of T. With b = T*y + λz it is the proximal map
        of ½‖Tx - y‖²/λ at z: the data consistency of MoDL (Aggarwal, Mani, Jacob, IEEE Trans. Med.
        Imaging 38(2), 2019, eq. 8) and the first half of ADMM and of half-quadratic splitting.

        Args:
            b: Right side, (batch, channel, *domain.shape).
            weight: λ ≥ 0, one number or one per sample, (batch,).

        Returns:
            Solution, (batch, channel, *domain.shape).

        Raises:
            GeometryError: T is not linear.
            ShapeError, DtypeError, DataError, ConfigError: As for
                :func:`learnedrecon.solvers.normal.solve_normal`.
        """

    @abstractmethod
    def subset(self, rows: Rows) -> Problem:
        """The same problem restricted to the rows ``rows`` of T and of y."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """The same problem on another device."""


@dataclass(frozen=True, eq=False)
class InverseProblem(Problem):
    """The standard inverse problem: an operator, data, and a data term.

    Attributes:
        operator: Operator T.
        data: y, (batch, channel, *T.codomain.shape).
        fidelity: Data term D.
        regulariser: Fixed regulariser R, or None.
        draws: Random integers of this batch, drawn by the data side.
        solver: Tolerances of :meth:`solve` where T has no closed form.

    Raises:
        GeometryError: T is not an operator.
        DtypeError: The data are not a tensor of floats of the codomain's kind.
        DataError: The data term is not defined for these data, such as negative data for
            Kullback-Leibler.
        ShapeError: The data do not end in the codomain's axes, or have no batch axis.
    """

    operator: Operator
    data: Tensor
    fidelity: Fidelity = field(default_factory=LeastSquares)
    regulariser: Regulariser | None = None
    draws: tuple[int, ...] = ()
    solver: NormalSolver = field(default_factory=NormalSolver)

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
        self.fidelity.check_data(self.data)

    def forward(self, u: Tensor) -> Tensor:
        return self.operator(u)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        if isinstance(self.operator, LinearOperator):
            return self.operator.adjoint(v)
        if at is None:
            raise GeometryError(
                describe(
                    expected="the image at which a nonlinear T is linearised",
                    found="adjoint(v) without 'at', or problem.back",
                    fix="call problem.adjoint(v, at=u), for T*y with v = problem.data",
                )
            )
        return self.operator.linearise(at)[1].adjoint(v)

    def solve(self, b: Tensor, weight: Tensor | float) -> Tensor:
        if not isinstance(self.operator, LinearOperator):
            raise GeometryError(
                describe(
                    expected="a linear T for (T*T + λI)⁻¹b",
                    found=type(self.operator).__name__,
                    fix="linearise it, T(u + x) ≈ T(u) + T'(u)x with T(u), T'(u) = T.linearise(u), "
                    "and solve the problem of T'(u)",
                )
            )
        return self.solver(self.operator, b, weight)

    def gradient(self, u: Tensor) -> Tensor:
        value, derivative = self.operator.linearise(u)
        return derivative.adjoint(self.fidelity.gradient(value, self.data))

    def subset(self, rows: Rows) -> InverseProblem:
        operator = self.operator
        if operator.row_axis is None:
            raise GeometryError(
                describe(
                    expected="an operator with rows to choose from",
                    found=_named(operator),
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
    """A problem that delegates everything to another; subclasses override single methods.

    A :class:`Scaling` scales the inner problem and wraps it again, so that a wrapper sees the
    scaled problem of the scheme.

    Args:
        inner: Problem to which everything is delegated.
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

    def solve(self, b: Tensor, weight: Tensor | float) -> Tensor:
        return self.inner.solve(b, weight)

    def subset(self, rows: Rows) -> Self:
        return self.rewrap(self.inner.subset(rows))

    def to(self, device: torch.device | str) -> Self:
        return self.rewrap(self.inner.to(device))


def changed(problem: Problem, change: Callable[[InverseProblem], InverseProblem]) -> Problem:
    """A problem whose innermost :class:`InverseProblem` is replaced, with the same wrappers.

    Args:
        problem: InverseProblem, possibly inside wrappers.
        change: Function that returns the replacement.

    Raises:
        ConfigError: There is no InverseProblem inside.
    """
    if isinstance(problem, Wrapper):
        return problem.rewrap(changed(problem.inner, change))
    if not isinstance(problem, InverseProblem):
        raise ConfigError(
            describe(
                expected="an InverseProblem, or a Wrapper around one",
                found=type(problem).__name__,
                fix="derive your problem from Wrapper",
            )
        )
    return change(problem)


def _named(operator: Operator) -> str:
    """The class of an operator, and of the one that it scales."""
    name = type(operator).__name__
    if isinstance(operator, LinearMultiple | ScaledArgument):
        return f"{name} of {_named(operator.operator)}"
    return name


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


def _gradient_mode() -> str:
    """The gradient mode, on which it depends whether a result can be part of a graph."""
    if torch.is_inference_mode_enabled():
        return "inference"
    return "graph" if torch.is_grad_enabled() else "no graph"
