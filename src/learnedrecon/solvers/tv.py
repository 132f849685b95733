"""Total variation reconstruction with a certified optimality gap."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from learnedrecon.compiling import real_of, uncompiled
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.leading import largest
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.solvers.arguments import require_finite, require_operator, require_weights
from learnedrecon.solvers.images import ImagesOperator, SharedOperator, images_of
from learnedrecon.solvers.result import TVResult, describe_end
from learnedrecon.solvers.tv_certificate import OptimalityCertificate, wide
from learnedrecon.solvers.tv_parts import PartsLoop, parts_of

_CHECK_EVERY = 25
_RELAXATION = 1.8
_GRADIENT_SHARE = 0.6
_STEP_RATIO = 0.1
_NORM_MARGIN = 1.01


@uncompiled
@torch.no_grad()
def tv_reconstruction(
    operator: LinearOperator,
    data: Tensor,
    weight: Tensor | float,
    *,
    nonnegative: bool | None = None,
    gap: float = 1e-3,
    max_iterations: int = 5000,
    initial: Tensor | None = None,
) -> TVResult:
    """The minimiser of P(u) = ½‖Tu - y‖² + α Σ_i |(∇u)_i|₂, over u ≥ 0 or over all u.

    ∇ are forward differences per pixel (:class:`FiniteDifference`), lengths are isotropic, and for
    complex images over real and imaginary part together; α has the unit of ‖y‖² over the unit of u,
    and :mod:`learnedrecon.solvers.tv_weight` chooses it. Every image of the batch is a separate
    problem that stops when it has converged; its result does not depend on the others.

    Certificate: every 25 iterations, or 10 passes, P(u) and a dual value D ≤ min P are computed in
    float64 (see :mod:`learnedrecon.solvers.tv_certificate`). An image has converged when
    P(u) - D ≤ gap·P(u); then P(u) ≤ min P/(1 - gap), and ‖T(u - u*)‖² ≤ 2·gap·P(u) for every
    minimiser u*. D is the largest dual value so far. The returned image is one at which P was
    evaluated.

    The method is the primal-dual one of Chambolle and Pock (2011), over-relaxed by 1.8 (Condat
    2013), for the pair (T, κ∇) with κ²‖∇‖² = 0.6‖T‖². Its steps, τσ‖(T, κ∇)‖² ≤ 1, have the ratio
    √(τ/σ) = 0.1·‖T*y‖/(‖T‖²√n)/min(α/κ, rms y), the expected size of u over that of the dual
    variables, so units of y, u and T do not matter. y and α are divided by the power of two next to
    max|y|, which does not change any digit and keeps squares within the range of float32.

    Large ray transforms of 120 views and more, of the same geometry for all samples, are taken in
    30 parts by the stochastic method of :mod:`learnedrecon.solvers.tv_parts`, which needs several
    times fewer applications of T. The order of the parts is seeded. ``iterations`` then counts
    passes through the data.

    Args:
        operator: T, linear, of real or complex images, possibly with tensors for each sample.
        data: y, (batch, ..., *codomain.shape), in single or double precision, which is the
            precision of the iteration.
        weight: α > 0, one number or one per sample, (batch,).
        nonnegative: True for the constraint u ≥ 0; if None, it holds for real images only.
        gap: Relative gap at which an image has converged, in (0, 1). On images of 128² the
            iteration in float32 stagnates near 3e-5; use float64 data for less.
        max_iterations: Largest number of iterations, rounded up to a multiple of 25, or of passes
            through the data, rounded up to a multiple of 10.
        initial: Initial images, (batch, ..., *domain.shape); zero if None.

    Returns:
        Images with objective, gap and status; ``converged`` is False where ``max_iterations`` were
        not sufficient.

    Raises:
        GeometryError: The operator is not linear, or the arguments are interchanged.
        ShapeError: There is no batch axis, or shapes do not fit together.
        DataError: Data or initial images are not finite, or the operator is zero.
        ConfigError: α, the gap or the number of iterations is out of range, or u ≥ 0 is demanded
            of complex images.
    """
    constrained = _constrained(operator, nonnegative)
    y, alpha = _checked(operator, data, weight, gap, max_iterations)
    lead = data.shape[: data.ndim - operator.codomain.ndim]
    scale = _power_of_two(y)
    limits = torch.finfo(alpha.dtype)
    y, alpha = y / _over(scale, y), (alpha / scale).clamp(limits.tiny, limits.max)
    u = _start(operator, y, initial, lead)
    u /= _over(scale, u)
    loop = _loop(operator, lead, _Start(y, alpha, u, constrained))
    certificate = OptimalityCertificate(
        loop.operator, nonnegative=constrained, shared=isinstance(loop.operator, SharedOperator)
    )
    ends = _Ends(u, scale)
    active = torch.arange(len(y), device=y.device)
    iterations = 0
    while len(active) and iterations < max_iterations:
        image, p, q = loop.run()
        iterations += loop.check_every
        primal = certificate.primal(image, loop.y, loop.alpha)
        point = certificate.feasible_dual(p, q, loop.y, loop.alpha)
        ends.record(active, image, primal, certificate.dual(point, wide(loop.y)), iterations)
        going = ~(ends.gap()[active] <= gap)
        if not bool(going.all()):
            active = active[going]
            loop.keep(going)
    return ends.result(lead, gap)


class _Ends:
    """The last image of every problem, its P, and its best D, all for data over ``scale``."""

    def __init__(self, u: Tensor, scale: Tensor) -> None:
        number = len(u)
        self.scale = scale
        self.image = u.clone()
        self.primal = torch.full((number,), math.inf, dtype=torch.float64, device=u.device)
        self.dual = -self.primal
        self.iterations = torch.zeros(number, dtype=torch.int64, device=u.device)

    def record(
        self, which: Tensor, image: Tensor, primal: Tensor, dual: Tensor, iterations: int
    ) -> None:
        self.image[which] = image
        self.primal[which] = primal
        self.dual[which] = torch.maximum(self.dual[which], dual)
        self.iterations[which] = iterations

    def gap(self) -> Tensor:
        """(P - D)/P, NaN where P or D is."""
        difference = (self.primal - self.dual).clamp(min=0)
        return torch.where(difference == 0, 0, difference / self.primal)

    def result(self, lead: tuple[int, ...], target: float) -> TVResult:
        batch = lead[0]
        gap = self.gap().view(batch, -1).amax(1) if batch else self.gap()
        converged = gap <= target
        iterations = self.iterations.view(batch, -1).amax(1) if batch else self.iterations
        image = self.image * _over(self.scale, self.image)
        objective = self.primal * self.scale.double().square()
        return TVResult(
            image=image.view(*lead, *image.shape[1:]),
            objective=objective.view(batch, -1).sum(1) if batch else objective,
            gap=gap,
            iterations=iterations,
            converged=converged,
            status=describe_end(converged, gap, iterations, target),
        )


class _Steps(NamedTuple):
    """κ, τ and σ of every image."""

    kappa: Tensor
    tau: Tensor
    sigma: Tensor


class _Start(NamedTuple):
    """Data, α and initial images of all problems, and whether u ≥ 0 is demanded."""

    y: Tensor
    alpha: Tensor
    u: Tensor
    nonnegative: bool


def _loop(operator: LinearOperator, lead: tuple[int, ...], start: _Start) -> _Loop | PartsLoop:
    """The iteration in parts where that is faster, the one with all data elsewhere."""
    images = images_of(operator, lead)
    parts = parts_of(operator) if isinstance(images, SharedOperator) else ()
    return PartsLoop(images, parts, *start) if parts else _Loop(images, *start)


class _Loop:
    """The iteration on the images that are still running."""

    check_every = _CHECK_EVERY

    def __init__(
        self,
        operator: ImagesOperator,
        y: Tensor,
        alpha: Tensor,
        u: Tensor,
        nonnegative: bool,  # noqa: FBT001 - a condition
    ) -> None:
        self.operator = operator
        self.nonnegative = nonnegative
        self.difference = FiniteDifference(operator.domain)
        self.y, self.alpha = y, alpha
        self.steps = _step_sizes(operator, self.difference, y, alpha)
        self.u = u
        self.p = torch.zeros_like(y)
        self.q = self.difference(torch.zeros_like(u))

    def run(self) -> tuple[Tensor, Tensor, Tensor]:
        """Iterates, and returns u, p and q (of T and ∇) before the last relaxation."""
        x, p, q = self.u, self.p, self.q
        for _ in range(self.check_every):
            x, p, q = self._step()
            self.u = torch.lerp(self.u, x, _RELAXATION)
            self.p = torch.lerp(self.p, p, _RELAXATION)
            self.q = torch.lerp(self.q, q, _RELAXATION)
        return x, p, _over(self.steps.kappa, q) * q

    def _step(self) -> tuple[Tensor, Tensor, Tensor]:
        kappa, axes = self.steps.kappa, self.operator.domain.ndim
        tau, sigma = _over(self.steps.tau, self.u), _over(self.steps.sigma, self.y)
        slope = _over(kappa, self.u) * self.difference.adjoint(self.q)
        force = self.operator.adjoint(self.p) + slope
        x = self.u - tau * force
        if self.nonnegative:
            x.clamp_(min=0)
        ahead = torch.lerp(self.u, x, 2.0)
        p = (self.p + sigma * (self.operator(ahead) - self.y)).div_(1 + sigma)
        q = self.difference(ahead).mul_(_over(kappa * self.steps.sigma, self.q)).add_(self.q)
        length = q.abs().square().sum(-axes - 1, keepdim=True).sqrt_()
        q.div_(length.mul_(_over(kappa / self.alpha, q)).clamp_(min=1))
        return x, p, q

    def keep(self, going: Tensor) -> None:
        """Restricts the iteration to these images."""
        self.operator.keep(going)
        self.y, self.alpha = self.y[going], self.alpha[going]
        self.u, self.p, self.q = self.u[going], self.p[going], self.q[going]
        self.steps = _Steps(*[numbers[going] for numbers in self.steps])


def _step_sizes(
    operator: ImagesOperator, difference: FiniteDifference, y: Tensor, alpha: Tensor
) -> _Steps:
    norm = operator.norms(y) * _NORM_MARGIN
    kappa = math.sqrt(_GRADIENT_SHARE) * norm / max(largest(difference.norm()), 1.0)
    back = wide(operator.adjoint(y)).flatten(1).norm(dim=1)
    size = back / (norm**2 * math.sqrt(operator.domain.size))
    dual = torch.minimum(alpha / kappa, wide(y).abs().flatten(1).square().mean(1).sqrt())
    ratio = torch.where(size > 0, _STEP_RATIO * size / dual, 1)
    both = norm * math.sqrt(1 + _GRADIENT_SHARE)
    steps = (kappa, ratio / both, 1 / (ratio * both))
    return _Steps(*[numbers.to(alpha.dtype) for numbers in steps])


def _checked(
    operator: LinearOperator, data: Tensor, weight: Tensor | float, gap: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Data with one leading axis, and α for each of them in the same order."""
    require_operator(operator, data, "tv_reconstruction", LinearOperator)  # type: ignore[type-abstract]
    data = operator.codomain.check(data, "data")
    axes = operator.codomain.ndim
    if data.ndim <= axes:
        raise ShapeError(
            describe(
                expected=f"data (batch, ..., {', '.join(map(str, operator.codomain.shape))})",
                found=f"shape {tuple(data.shape)}",
                fix="add the batch axis, for example data[None]",
            )
        )
    if not 0 < gap < 1 or iterations < 1:
        raise ConfigError(
            describe(
                expected="a gap in (0, 1) and at least 1 iteration",
                found=f"gap = {gap}, max_iterations = {iterations}",
                fix="choose for example gap=1e-3, max_iterations=5000",
            )
        )
    require_finite(data, "data")
    if largest(operator.norm()) == 0:
        raise DataError(
            describe(
                expected="an operator that is not zero",
                found="a norm of 0",
                fix="check the geometry: possibly no ray meets the image",
            )
        )
    y = data.reshape(-1, *operator.codomain.shape)
    return y, _weights(weight, data, len(y))


def _constrained(operator: LinearOperator, nonnegative: bool | None) -> bool:  # noqa: FBT001 - a condition
    """True if u ≥ 0 is demanded."""
    is_complex = isinstance(operator, LinearOperator) and operator.domain.is_complex
    if nonnegative and is_complex:
        raise ConfigError(
            describe(
                expected="real images for u ≥ 0",
                found="an operator on complex images",
                fix="set nonnegative=False, or compose with RealToComplex for real images",
            )
        )
    return not is_complex if nonnegative is None else nonnegative


def _weights(weight: Tensor | float, data: Tensor, images: int) -> Tensor:
    batch = len(data)
    alpha = torch.as_tensor(weight, dtype=real_of(data.dtype), device=data.device)
    if alpha.shape not in {(), (batch,)}:
        raise ShapeError(
            describe(
                expected=f"one weight, or one per sample, ({batch},)",
                found=f"shape {tuple(alpha.shape)}",
                fix="give a number or a tensor with the batch axis only",
            )
        )
    require_weights(alpha, weight, allow_zero=False)
    return alpha.expand(batch).repeat_interleave(images // max(batch, 1))


def _power_of_two(y: Tensor) -> Tensor:
    """Of every image, the largest power of two that is at most max|y|, or 1 if y is zero."""
    largest = y.flatten(1).abs().amax(1)
    scale = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent - 1)
    return torch.where(largest > 0, scale, 1)


def _start(
    operator: LinearOperator, y: Tensor, initial: Tensor | None, lead: tuple[int, ...]
) -> Tensor:
    shape, real = operator.domain.shape, real_of(y.dtype)
    dtype = real.to_complex() if operator.domain.is_complex else real
    if initial is None:
        return y.new_zeros(len(y), *shape, dtype=dtype)
    initial = operator.domain.check(initial, "the start")
    if initial.shape != (*lead, *shape):
        raise ShapeError(
            describe(
                expected=f"a start of shape {(*lead, *shape)}",
                found=str(tuple(initial.shape)),
                fix="give one image for each sample of the data",
            )
        )
    require_finite(initial, "the start")
    return initial.to(y.device, dtype).reshape(len(y), *shape).clone()


def _over(numbers: Tensor, like: Tensor) -> Tensor:
    """(image,) to (image, 1, ..., 1)."""
    return numbers.view(-1, *([1] * (like.ndim - 1)))
