"""The proximal map of isotropic total variation, with a certified error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn

import torch
from torch import Tensor

from learnedrecon.errors import DifferentiationError, describe
from learnedrecon.functionals.base import per_sample, spread
from learnedrecon.functionals.pointwise import lengths
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from learnedrecon.compiling import Context
    from learnedrecon.functionals.base import StepSize

_CHECK_EVERY = 10


class TVProxResult(NamedTuple):
    """The result of :func:`total_variation_prox`.

    Attributes:
        image: Proximal map of every sample, (batch, ..., *space), in the precision of the argument.
        error: Certified bound of ‖image - prox‖/‖argument‖, (batch,), float64.
        iterations: Number of iterations of each sample, (batch,), int64.
        converged: True where the error is within the tolerance, (batch,), bool.
    """

    image: Tensor
    error: Tensor
    iterations: Tensor
    converged: Tensor


def total_variation_prox(
    x: Tensor,
    step: StepSize,
    *,
    axes: int = 2,
    tolerance: float = 1e-4,
    max_iterations: int = 10000,
) -> TVProxResult:
    """argmin_u t Σ|∇u|₂ + ½‖u - x‖², from the dual problem min ½‖x - ∇*q‖² over |q| ≤ t.

    Accelerated projected gradients on q with the step 1/(4·axes) ≤ 1/‖∇‖² (Beck, Teboulle, IEEE
    Trans. Image Process. 18(11), 2009, algorithm FGP; there without noise bounds), restarted where
    the momentum points uphill (O'Donoghue, Candès 2015). With u = x - ∇*q the duality gap is
    t·TV(u) - Re⟨q, ∇u⟩, and ‖u - prox‖² ≤ 2·gap as the primal problem is strongly convex. It runs
    in float64, because the gap is a small difference; a sample that has converged does not change
    any more.

    Args:
        x: Images (batch, ..., *space), floats, real or complex.
        step: t > 0, one number or one per sample, (batch,).
        axes: Number of space axes.
        tolerance: Value of √(2·gap)/‖x‖ at which a sample has converged, checked every 10
            iterations; at worst about 1/tolerance iterations are needed.
        max_iterations: Largest number of iterations, rounded up to a multiple of 10.

    Returns:
        Images with their certified errors.

    Raises:
        DifferentiationError: A gradient of the image is asked for.
    """
    with torch.no_grad():
        result = _solve(x, step, axes, tolerance, max_iterations)
    if torch.is_grad_enabled() and x.requires_grad:
        result = result._replace(image=_NoDerivative.apply(x, result.image))
    return result


def _solve(
    x: Tensor, step: StepSize, axes: int, tolerance: float, max_iterations: int
) -> TVProxResult:
    wide = x.to(torch.promote_types(x.dtype, torch.float64))
    loop = _Dual(wide, spread(step, wide), axes)
    size = per_sample(wide.abs().square()).sqrt()
    error = torch.full_like(size, torch.inf)
    iterations = torch.zeros_like(size, dtype=torch.int64)
    going = torch.ones_like(size, dtype=torch.bool)
    while len(size) and int(iterations.max()) < max_iterations:
        loop.run(_CHECK_EVERY, going)
        iterations += _CHECK_EVERY * going
        distance = (2 * loop.gap()).sqrt()
        error = torch.where(distance == 0, 0, distance / size)
        going = ~(error <= tolerance)
        if not bool(going.any()):
            break
    return TVProxResult(loop.image().to(x.dtype), error, iterations, error <= tolerance)


class _Dual:
    """Accelerated projected gradients on q, one momentum for every sample."""

    def __init__(self, x: Tensor, t: Tensor | float, axes: int) -> None:
        self.x, self.axis = x, -axes - 1
        self.t = t.unsqueeze(-1) if isinstance(t, Tensor) and t.ndim else t
        self.rate = 1 / (4 * axes)
        self.difference = FiniteDifference(Space(tuple(x.shape[-axes:]), x.dtype))
        self.q = torch.zeros_like(self.difference.evaluate(x))
        self.ahead = self.q
        self.momentum = torch.ones(len(x), dtype=torch.float64, device=x.device)

    def run(self, steps: int, going: Tensor) -> None:
        """Takes ``steps`` steps with the samples that are ``going``."""
        ones = [1] * (self.q.ndim - 1)
        for _ in range(steps):
            slope = self.difference.evaluate(self.x - self.difference.evaluate_adjoint(self.ahead))
            new = self._projected(self.ahead + self.rate * slope)
            move = new - self.q
            uphill = per_sample(((self.ahead - new).conj() * move).real) > 0
            momentum = torch.where(uphill, 1.0, self.momentum)
            following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
            share = torch.where(uphill, 0.0, (momentum - 1) / following).view(-1, *ones)
            mask = going.view(-1, *ones)
            self.momentum = following
            self.ahead = torch.where(mask, new + share * move, self.ahead)
            self.q = torch.where(mask, new, self.q)

    def _projected(self, q: Tensor) -> Tensor:
        return q / (lengths(q, self.axis) / self.t).clamp(min=1)

    def image(self) -> Tensor:
        return self.x - self.difference.evaluate_adjoint(self.q)

    def gap(self) -> Tensor:
        """t·TV(u) - Re⟨q, ∇u⟩ of every sample, a sum of terms that are not negative."""
        slopes = self.difference.evaluate(self.image())
        inner = (self.q.conj() * slopes).real.sum(self.axis, keepdim=True)
        return per_sample((self.t * lengths(slopes, self.axis) - inner).clamp(min=0))


class _NoDerivative(torch.autograd.Function):
    """(x, image) ↦ image, which has no derivative and says so."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, image: Tensor) -> Tensor:  # noqa: ARG004 - by torch's protocol
        return image.clone()

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> NoReturn:  # noqa: ARG004 - by torch's protocol
        raise DifferentiationError(
            describe(
                expected="a proximal map with a derivative",
                found="that of total variation, which is found by iteration",
                fix="call it under torch.no_grad(), or differentiate a fixed number of explicit "
                "iterations",
            )
        )
