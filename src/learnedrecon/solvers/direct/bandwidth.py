"""The bandwidth of filtered backprojection from the noise of the data."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, ShapeError, describe
from learnedrecon.operators.base import Operator
from learnedrecon.solvers.arguments import require_operator
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse
from learnedrecon.solvers.noise_level import known_noise, one_per_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.networks.filters import Window

BANDWIDTHS: Final = (1.0, 0.9, 0.8, 0.72, 0.64, 0.57, 0.5, 0.44, 0.38, 0.33, 0.28, 0.24, 0.2)


@dataclass(frozen=True, eq=False)
class BandwidthResult:
    """The result of :func:`fbp_by_noise`.

    Attributes:
        image: Images, (batch, ..., *domain.shape).
        bandwidth: Bandwidth of each sample, (batch,), float64.
        sigma: Standard deviation of the noise that was assumed, (batch,), float64.
        risk: Estimated squared error of each sample, summed over its pixels, for every bandwidth
            that was tried, (bandwidths, batch), float64; it may be negative.
    """

    image: Tensor
    bandwidth: Tensor
    sigma: Tensor
    risk: Tensor


@torch.no_grad()
def fbp_by_noise(
    operator: Operator,
    data: Tensor,
    sigma: Tensor | float | None = None,
    *,
    window: Window = "hann",
    noise_factor: float = 1.0,
    bandwidths: Sequence[float] = BANDWIDTHS,
    seed: int = 0,
) -> BandwidthResult:
    """Filtered backprojection with the bandwidth of the least estimated error, sample by sample.

    With A_b the filtered back-projection of bandwidth b, A the one by Ram-Lak without a cut-off and
    white noise n of variance σ², E‖A_b y - A y‖² is the squared bias of A_b against A plus
    σ²E‖(A_b - A)n‖². The risk of b is therefore estimated without bias (Mallows, Technometrics 15,
    1973; Stein, Annals of Statistics 9, 1981) by

        ‖A_b y - A y‖² - σ²‖(A_b - A)n‖² + κσ²‖A_b n‖²,   n ~ N(0, 1),

    with κ = 1 and one draw of n for all samples. The reference is A applied to data without noise,
    including streaks of few angles; a κ above 1, chosen on validation images, compensates for this.
    An operator whose pseudo-inverse has no bandwidth returns it unchanged, with bandwidth 1.

    Args:
        operator: T, with a :func:`learnedrecon.solvers.direct.pseudo_inverse.pseudo_inverse`.
        data: y, (batch, ..., *codomain.shape).
        sigma: σ, one number or one per sample, (batch,); that of
            :func:`learnedrecon.solvers.noise_level.estimate_noise` if None, and 0 for samples in
            which it cannot be estimated.
        window: Window of the ramp filter, "hann" or "ram-lak".
        noise_factor: Factor κ > 0 of the noise.
        bandwidths: Cut-off frequencies as fractions of the Nyquist frequency, in (0, 1],
            decreasing.
        seed: Seed of n.

    Raises:
        GeometryError: The operator has no pseudo-inverse, or the arguments are interchanged.
        ShapeError: The data have no batch axis, or there is not one σ per sample.
        ConfigError: σ < 0, κ ≤ 0, or the bandwidths do not decrease.
    """
    operator = require_operator(operator, data, "fbp_by_noise", Operator)  # type: ignore[type-abstract]
    _check_bandwidths(bandwidths)
    data = operator.codomain.check(data, "data")
    if data.ndim <= operator.codomain.ndim:
        raise ShapeError(
            describe(
                expected="data (batch, ..., *codomain.shape)",
                found=f"shape {tuple(data.shape)}",
                fix="add a batch axis",
            )
        )
    noise = _checked_noise(sigma, data)
    if not noise_factor > 0:
        raise ConfigError(
            describe(expected="noise_factor > 0", found=f"{noise_factor}", fix="begin with 1")
        )
    drawn = torch.randn(data.shape[1:], generator=torch.Generator().manual_seed(seed))
    both = torch.cat([data, drawn.to(data)[None]])

    sharp = pseudo_inverse(operator, both)
    best, chosen = sharp[:-1].clone(), torch.full_like(noise, bandwidths[0])
    least = torch.full_like(noise, torch.inf)
    risks = []
    for bandwidth in bandwidths:
        images = pseudo_inverse(operator, both, window=window, bandwidth=bandwidth)
        apart = _energy(images - sharp)
        risk = apart[:-1] - noise**2 * apart[-1] + noise_factor * noise**2 * _energy(images[-1:])
        better = risk < least
        best[better], chosen[better], least[better] = images[:-1][better], bandwidth, risk[better]
        risks.append(risk)
        if torch.equal(images, sharp):
            break
    return BandwidthResult(best, chosen, noise, torch.stack(risks))


def _energy(images: Tensor) -> Tensor:
    return images.flatten(1).abs().double().square().sum(1)


def _checked_noise(sigma: Tensor | float | None, data: Tensor) -> Tensor:
    if sigma is None:
        return known_noise(data)
    noise = one_per_sample(sigma, data)
    if not bool((noise.isfinite() & (noise >= 0)).all()):
        raise ConfigError(
            describe(
                expected="sigma ≥ 0",
                found=f"sigma = {sigma!r:.80}",
                fix="give the standard deviation of the noise, or omit it",
            )
        )
    return noise


def _check_bandwidths(bandwidths: Sequence[float]) -> None:
    falling = all(a > b for a, b in itertools.pairwise(bandwidths))
    if not bandwidths or not falling or not 0 < bandwidths[-1] <= bandwidths[0] <= 1:
        raise ConfigError(
            describe(
                expected="bandwidths in (0, 1] that fall",
                found=f"{list(bandwidths)!r:.80}",
                fix="sort them from the widest to the narrowest",
            )
        )
