"""Total variation weights from the noise level: Morozov's principle, and α ∝ σ²."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.errors import ConfigError, describe
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.solvers.arguments import checked_limits, require_operator
from learnedrecon.solvers.noise_level import estimate_noise, one_per_sample
from learnedrecon.solvers.result import TVResult
from learnedrecon.solvers.tv import tv_reconstruction
from learnedrecon.solvers.tv_certificate import wide

_FIRST_FACTOR = 4.0
_WIDEST = 1e9
_INSIDE = 0.1


@dataclass(frozen=True, eq=False)
class DiscrepancyResult:
    """The result of :func:`tv_by_discrepancy`.

    Attributes:
        result: Images and convergence of the last solve.
        weight: Weight α of each sample, (batch,), float64.
        sigma: Noise level σ that was assumed, (batch,), float64.
        ratio: ‖Tu - y‖/(τσ√m) of each sample, (batch,), float64; the target is 1.
        converged: True where the ratio is 1 to the tolerance, (batch,), bool.
        status: Outcome in one sentence.
    """

    result: TVResult
    weight: Tensor
    sigma: Tensor
    ratio: Tensor
    converged: Tensor
    status: str


def scaled_tv_weight(
    weight: float, reference_sigma: float, sigma: Tensor | float
) -> Tensor | float:
    """A total variation weight for another noise level, by α ∝ σ².

    For a prior density exp(-βTV(u)) of images, the weight of the posterior mode is α = βσ², where β
    depends on the images only.

    Args:
        weight: Weight α > 0 for the noise level ``reference_sigma``.
        reference_sigma: Noise level σ > 0 that belongs to ``weight``.
        sigma: New noise level σ > 0, a number or one per sample, (batch,), such as from
            :func:`estimate_noise`.

    Raises:
        ConfigError: A value is not positive.
    """
    for name, value in (("weight", weight), ("reference_sigma", reference_sigma), ("sigma", sigma)):
        number = torch.as_tensor(value)
        if not bool((number.isfinite() & (number > 0)).all()):
            raise ConfigError(
                describe(
                    expected=f"{name} > 0", found=f"{name} = {value!r:.80}", fix="choose one > 0"
                )
            )
    return weight * (sigma / reference_sigma) ** 2


@uncompiled
@torch.no_grad()
def tv_by_discrepancy(
    operator: LinearOperator,
    data: Tensor,
    sigma: Tensor | float | None = None,
    *,
    factor: float = 1.0,
    nonnegative: bool | None = None,
    tolerance: float = 0.01,
    max_solves: int = 30,
) -> DiscrepancyResult:
    """Total variation with the weight α at which ‖Tu - y‖ = τσ√m, chosen from the data.

    Morozov's discrepancy principle (Soviet Math. Dokl. 7, 1966), with m the number of entries of y
    that are not exactly zero. ‖Tu_α - y‖ does not decrease with α, so α is bracketed by factors of
    4 from σ‖T‖ on, and found by linear interpolation of the logarithms. Each α takes one call of
    :func:`learnedrecon.solvers.tv.tv_reconstruction`, which starts from the previous image.

    Args:
        operator: T.
        data: y, (batch, ..., *codomain.shape).
        sigma: Noise level σ = √E|n|² of an entry of the data, a number or one per sample, (batch,);
            that of :func:`estimate_noise` if None.
        factor: τ, above 1 to allow for errors of T.
        nonnegative: Constraint u ≥ 0, as in :func:`learnedrecon.solvers.tv.tv_reconstruction`.
        tolerance: Relative distance of ‖Tu - y‖ from τσ√m that is accepted, in (0, 1).
        max_solves: Largest number of values of α that are tried.

    Returns:
        Images and their α. A ratio that stays below 1 means that the noise is larger than the
        distance of the data from every constant image; one that stays above 1, that no image
        explains the data so well: T or σ is wrong.

    Raises:
        GeometryError: The operator is not linear, or the arguments are interchanged.
        ShapeError, DataError, ConfigError: As for ``tv_reconstruction`` and :func:`estimate_noise`,
            or σ or τ is not positive.
    """
    operator = require_operator(operator, data, "tv_by_discrepancy", LinearOperator)  # type: ignore[type-abstract]
    checked_limits(tolerance, max_solves)
    data = operator.codomain.check(data, "data")
    noise = _checked_noise(estimate_noise(data) if sigma is None else sigma, factor, data)
    measured = (data != 0).flatten(1).sum(1)
    target = factor * noise * measured.clamp(min=1).double().sqrt()
    lead = data.shape[: data.ndim - operator.codomain.ndim]
    norms = torch.as_tensor(operator.norm(), dtype=torch.float64, device=data.device)
    search = _Search(noise * norms.detach().expand(lead).reshape(len(data), -1).amax(1))
    image: Tensor | None = None
    for _ in range(max_solves):
        result = tv_reconstruction(
            operator, data, search.weight(), nonnegative=nonnegative, initial=image
        )
        image = result.image
        residual = wide(operator(image) - data).flatten(1).abs().square().sum(1).sqrt()
        ratio = residual / target
        if not search.goes_on(ratio.log(), math.log1p(tolerance)):
            break
    converged = ratio.log().abs() <= math.log1p(tolerance)
    status = (
        f"{int(converged.sum())} of {len(ratio)} samples fit the data to their noise, with"
        f" ‖Tu - y‖/(τσ√m) from {float(ratio.min()):.3g} to {float(ratio.max()):.3g}."
        f" {result.status}"
    )
    return DiscrepancyResult(result, search.tried, noise, ratio, converged, status)


class _Search:
    """A bracket of log α for every sample.

    Attributes:
        tried: the last α, (batch,).
    """

    def __init__(self, first: Tensor) -> None:
        self.centre = first.log()
        self.at = self.centre.clone()
        self.tried = first
        self.low = torch.stack([torch.full_like(self.at, -math.inf), torch.zeros_like(self.at)])
        self.high = torch.stack([torch.full_like(self.at, math.inf), torch.zeros_like(self.at)])

    def weight(self) -> Tensor:
        self.tried = self.at.exp()
        return self.tried

    def goes_on(self, excess: Tensor, tolerance: float) -> bool:
        """Takes log(‖Tu - y‖/target) at the α tried, and moves those that are not done."""
        here = torch.stack([self.at, excess])
        self.low = torch.where(excess <= 0, here, self.low)
        self.high = torch.where(excess > 0, here, self.high)
        (low, below), (high, above) = self.low, self.high
        share = (-below / (above - below)).clamp(_INSIDE, 1 - _INSIDE)
        between = low + share * (high - low)
        step = math.log(_FIRST_FACTOR)
        new = torch.where(low.isinf(), high - step, torch.where(high.isinf(), low + step, between))
        widest = math.log(_WIDEST)
        new = new.clamp(self.centre - widest, self.centre + widest)
        going = (excess.abs() > tolerance) & (new != self.at)
        self.at = torch.where(going, new, self.at)
        return bool(going.any())


def _checked_noise(sigma: Tensor | float, factor: float, data: Tensor) -> Tensor:
    noise = one_per_sample(sigma, data)
    if not bool((noise.isfinite() & (noise > 0)).all()) or not factor > 0:
        raise ConfigError(
            describe(
                expected="sigma > 0 and factor > 0",
                found=f"sigma = {sigma!r:.80}, factor = {factor}",
                fix="give the standard deviation of the noise; there is no weight for data without",
            )
        )
    return noise
