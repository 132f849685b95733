"""FISTA: accelerated proximal gradients with adaptive restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.functionals.base import per_sample, positive, spread
from learnedrecon.solvers.arguments import Systems, checked_limits, checked_samples
from learnedrecon.solvers.result import SolverResult, describe_end

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Regulariser

Restart: TypeAlias = Literal["gradient", "function", "never"]

_GROWTH = 2.0
_MOST_GROWTHS = 60


@uncompiled
@torch.no_grad()
def fista(
    smooth: Regulariser,
    simple: Regulariser | None,
    start: Tensor,
    *,
    lipschitz: float | Literal["backtracking"] | None = None,
    restart: Restart = "gradient",
    tolerance: float = 1e-4,
    max_iterations: int = 5000,
) -> SolverResult:
    """The minimiser of f(u) + g(u), f convex and differentiable, g convex with a proximal map.

    FISTA (Beck, Teboulle, SIAM J. Imaging Sci. 2(1), 2009) with the adaptive restart of O'Donoghue
    and Candès (Found. Comput. Math. 15, 2015): the momentum is dropped where it points uphill, by
    the gradient mapping (their section 3.2) or by the values of f + g. ``f`` is for example
    ``FunctionalOf(Misfit(LeastSquares(), y), T)``. Every sample has its own momentum and, when
    backtracking, its own step, and stops when it has converged.

    Args:
        smooth: f.
        simple: g, or None for 0.
        start: Initial u, (batch, ...).
        lipschitz: L, a Lipschitz constant of ∇f, which gives the step 1/L; or "backtracking", which
            doubles an estimate until f lies below its quadratic model. If None, the bound of f
            itself, or backtracking where f has none.
        restart: "gradient", "function" or "never".
        tolerance: Relative residual at which a sample has converged, in (0, 1).
        max_iterations: Largest number of iterations.

    Returns:
        u, and residuals: the gradient mapping L‖z - prox_{g/L}(z - ∇f(z)/L)‖ at the extrapolated
        point z, which is ‖∇f‖ for g = 0, relative to the largest ‖∇f‖ so far. The first row is
        infinite, as the start has no residual yet.

    Raises:
        ConfigError: An argument is out of range, or g has no proximal map.
        ShapeError, DtypeError: The start has no batch axis, or is not floats.
        DataError: The start is not finite, or f is not finite there.
    """
    checked_limits(tolerance, max_iterations)
    if restart not in get_args(Restart):
        raise ConfigError(
            describe(
                expected=f"a restart among {get_args(Restart)}",
                found=repr(restart),
                fix="choose one of these",
            )
        )
    loop = _Loop(smooth, simple, checked_samples(start), lipschitz, restart)
    history = [loop.residual]
    going = torch.ones_like(loop.residual, dtype=torch.bool)
    iterations = torch.zeros_like(going, dtype=torch.int64)
    while len(history) <= max_iterations and bool(going.any()):
        loop.step(going)
        history.append(loop.residual)
        iterations += going
        going = ~(loop.residual <= tolerance)
    converged = loop.residual <= tolerance
    return SolverResult(
        solution=loop.u,
        residuals=torch.stack(history),
        iterations=iterations,
        converged=converged,
        status=describe_end(converged, loop.residual, iterations, tolerance, "relative residual"),
    )


class _Proposal(NamedTuple):
    """The next image, from z, and how far it is from there."""

    image: Tensor
    move: Tensor


class _Loop:
    """The iteration; numbers are float64, one for every sample."""

    def __init__(
        self,
        smooth: Regulariser,
        simple: Regulariser | None,
        start: Tensor,
        lipschitz: float | Literal["backtracking"] | None,
        restart: Restart,
    ) -> None:
        self.smooth, self.simple, self.restart = smooth, simple, restart
        self.u = self.ahead = start
        _require_inside(smooth, start)
        constant = smooth.lipschitz() if lipschitz is None else lipschitz
        self.searches = constant is None or constant == "backtracking"
        self.momentum = torch.ones(len(start), dtype=torch.float64, device=start.device)
        self.largest = torch.zeros_like(self.momentum)
        self.residual = torch.full_like(self.momentum, torch.inf)
        if constant is None or isinstance(constant, str):
            self.constant = self._first_constant(start)
        else:
            self.constant = torch.full_like(self.momentum, positive(constant, "lipschitz"))
        self.value = self._objective(start) if restart == "function" else self.momentum

    def step(self, going: Tensor) -> None:
        """One step of the samples that are ``going``."""
        gradient = self.smooth.gradient(self.ahead)
        new = self._searched(gradient, going) if self.searches else self._proposed(gradient)
        mask = _over(going, self.u)
        self.largest = torch.maximum(self.largest, _norm(gradient))
        residual = Systems.ratio(self.constant * _norm(new.move), self.largest)
        self.residual = torch.where(going, residual, self.residual)
        progress = new.image - self.u
        uphill = self._is_uphill(new, progress)
        momentum = torch.where(uphill, 1.0, self.momentum)
        self.momentum = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        share = torch.where(uphill, 0.0, (momentum - 1) / self.momentum)
        self.ahead = torch.where(mask, new.image + spread(share, progress) * progress, self.ahead)
        self.u = torch.where(mask, new.image, self.u)

    def _is_uphill(self, new: _Proposal, progress: Tensor) -> Tensor:
        if self.restart == "never":
            return torch.zeros_like(self.momentum, dtype=torch.bool)
        if self.restart == "gradient":
            return _inner(new.move, progress) < 0  # move = image - z
        value = self._objective(new.image)
        uphill = value > self.value
        self.value = value
        return uphill

    def _objective(self, u: Tensor) -> Tensor:
        value = self.smooth(u) if self.simple is None else self.smooth(u) + self.simple(u)
        return value.double()

    def _proposed(self, gradient: Tensor) -> _Proposal:
        rate = 1 / self.constant
        image = self.ahead - spread(rate, gradient) * gradient
        if self.simple is not None:
            image = self.simple.prox(image, rate)
        return _Proposal(image, image - self.ahead)

    def _searched(self, gradient: Tensor, going: Tensor) -> _Proposal:
        """Doubles L of every sample until f(u) ≤ f(z) + Re⟨∇f(z), u - z⟩ + L/2 ‖u - z‖²."""
        value = self.smooth(self.ahead).double()
        slack = 32 * torch.finfo(gradient.dtype).eps * value.abs()
        for _ in range(_MOST_GROWTHS):
            new = self._proposed(gradient)
            bound = value + _inner(gradient, new.move)
            bound = bound + self.constant / 2 * _norm(new.move).square()
            fails = going & ~(self.smooth(new.image).double() <= bound + slack)
            if not bool(fails.any()):
                break
            self.constant = torch.where(fails, _GROWTH * self.constant, self.constant)
        return new

    def _first_constant(self, start: Tensor) -> Tensor:
        """Half of ‖∇f(u) - ∇f(u₀)‖/‖u - u₀‖ for a step of the length f/‖∇f‖, a lower bound of L."""
        gradient = self.smooth.gradient(start)
        size = _norm(gradient)
        rate = self.smooth(start).double().abs() / size.square()
        usable = rate.isfinite() & (rate > 0)
        self.constant = torch.where(usable, 1 / rate, 1.0)
        new = self._proposed(gradient)
        change = _norm(self.smooth.gradient(new.image) - gradient)
        found = 0.5 * change / _norm(new.move)
        return torch.where(found.isfinite() & (found > 0), found, self.constant)


def _require_inside(smooth: Regulariser, start: Tensor) -> None:
    outside = ~smooth.contains(start)
    if bool(outside.any()):
        raise DataError(
            describe(
                expected="a start in the domain of f, where it has a gradient",
                found=f"{int(outside.sum())} of {len(start)} samples where it is not",
                fix="start inside of the domain, for Kullback-Leibler where T(u) > 0; or use pdhg,"
                " which takes any start",
            )
        )


def _norm(x: Tensor) -> Tensor:
    return Systems(x, x.ndim - 1).norm(x)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return per_sample((a.conj() * b).real.double())


def _over(numbers: Tensor, like: Tensor) -> Tensor:
    return numbers.view(-1, *[1] * (like.ndim - 1))
