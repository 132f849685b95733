"""Initial images of schemes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import torch
from pydantic import PlainSerializer, PlainValidator

from learnedrecon.compiling import real_of
from learnedrecon.errors import ConfigError, describe
from learnedrecon.networks.filters import RampFilter, Window
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.problem import Problem
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse, pseudo_inverse
from learnedrecon.specs import from_plain, to_plain

if TYPE_CHECKING:
    from torch import Tensor

StartName: TypeAlias = Literal["auto", "zero", "adjoint", "fbp"]
_NAMES = ("auto", "zero", "adjoint", "fbp")


@dataclass(frozen=True)
class FilteredBackprojection:
    """u⁰ = FBP(y), or another pseudo-inverse, for operators that have one; see ``pseudo_inverse``.

    Attributes:
        window: "ram-lak" or "hann".
        bandwidth: Cut-off frequency as a fraction of the Nyquist frequency, in (0, 1].

    Raises:
        ConfigError: The window is unknown, or the bandwidth is out of range.
    """

    window: Window = "ram-lak"
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        RampFilter(window=self.window, bandwidth=self.bandwidth)

    def __call__(self, problem: Problem) -> Tensor:
        return pseudo_inverse(
            problem.operator, problem.data, window=self.window, bandwidth=self.bandwidth
        )


@dataclass(frozen=True)
class ZeroImage:
    """The initial image u⁰ = 0."""

    def __call__(self, problem: Problem) -> Tensor:
        data, domain = problem.data, problem.operator.domain
        least = torch.complex64 if domain.is_complex else torch.float32
        parts = data.dtype if domain.is_complex else real_of(data.dtype)
        dtype = torch.promote_types(parts, least)
        return data.new_zeros(*data.shape[:2], *domain.shape, dtype=dtype)


@dataclass(frozen=True)
class AdjointImage:
    """u⁰ = T*y for a linear operator, and 0 for a nonlinear one.

    Within :class:`Iterative` T has norm 1 (see :class:`ImageScale`), so that T*y is one step of
    gradient descent from zero with the largest stable step size. Where the gradient of the data
    term vanishes at 0, as in phase retrieval, no iteration would leave it: there u⁰ is the
    pseudo-inverse if the operator has one.
    """

    def __call__(self, problem: Problem) -> Tensor:
        if isinstance(problem.operator, LinearOperator):
            return problem.back
        zero = ZeroImage()(problem)
        with torch.no_grad():
            stays = not bool(problem.gradient(zero).any())
        if stays and has_pseudo_inverse(problem.operator):
            return FilteredBackprojection()(problem)
        return zero


@dataclass(frozen=True)
class AutomaticStart:
    """Filtered backprojection where the operator has one, otherwise T*y.

    Attributes:
        fbp: Filtered backprojection to use.
    """

    fbp: FilteredBackprojection = FilteredBackprojection()

    def __call__(self, problem: Problem) -> Tensor:
        if has_pseudo_inverse(problem.operator):
            return self.fbp(problem)
        return AdjointImage()(problem)


def start_of(start: Start, fbp: FilteredBackprojection | None = None) -> Callable[[Problem], Any]:
    """The function that computes the initial image u⁰.

    Args:
        start: "auto" for filtered backprojection where there is one and T*y elsewhere, "zero",
            "adjoint", "fbp", a :class:`FilteredBackprojection`, or a function from the problem to
            an image or to a state.
        fbp: Filtered backprojection of "auto" and "fbp"; Ram-Lak unless given.
    """
    if not isinstance(start, str):
        return start
    direct = FilteredBackprojection() if fbp is None else fbp
    starts: dict[str, Callable[[Problem], Any]] = {
        "auto": AutomaticStart(direct),
        "zero": ZeroImage(),
        "adjoint": AdjointImage(),
        "fbp": direct,
    }
    return starts[start]


def _parsed(value: Any) -> Any:  # noqa: ANN401 - what a constructor or a file gives
    if isinstance(value, dict):
        return from_plain(FilteredBackprojection, value, "start")
    if callable(value) or (isinstance(value, str) and value in _NAMES):
        return value
    raise ConfigError(
        describe(
            expected=f"a start, one of {', '.join(_NAMES)}, a window and a bandwidth, or a "
            "function from a problem to an image",
            found=f"{value!r:.80}",
            fix="choose one of these",
        )
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, str):
        return value
    if isinstance(value, FilteredBackprojection):
        return to_plain(value)
    raise ConfigError(
        describe(
            expected="a start that a file can hold, one of " + ", ".join(_NAMES),
            found=f"{value!r:.80}",
            fix="register a model that makes this start itself, or keep it out of files",
        )
    )


Start: TypeAlias = Annotated[
    StartName | FilteredBackprojection | Callable[[Problem], Any],
    PlainValidator(_parsed),
    PlainSerializer(_plain),
]
"""An argument ``start``; see :func:`start_of`."""
