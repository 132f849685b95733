"""Classical methods: filtered backprojection and total variation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from learnedrecon.errors import DataError, describe
from learnedrecon.models.checks import (
    linear_of,
    require_below_one,
    require_counts,
    require_positive,
)
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.networks.filters import Window  # noqa: TC001 - recorded by its annotation
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.schemes.tunable import Tunable
from learnedrecon.solvers.direct.bandwidth import fbp_by_noise
from learnedrecon.solvers.direct.extrapolation import (
    Extrapolation,
    extrapolated_parts,
    joined,
)
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse
from learnedrecon.solvers.noise_level import noise_size
from learnedrecon.solvers.tv import tv_reconstruction
from learnedrecon.solvers.tv_weight import scaled_tv_weight, tv_by_discrepancy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record
    from learnedrecon.solvers.direct.bandwidth import BandwidthResult
    from learnedrecon.solvers.direct.extrapolation import Part

_LOGARITHM = "take the logarithm of transmission data and use the ray transform"


def natural_weight(problem: Problem) -> float:
    """An initial weight of total variation: 10⁻³ max |T*y|, the mean over the batch.

    The minimiser is constant once the weight is of the order of max |T*y|.

    Args:
        problem: Batch with a linear operator.

    Raises:
        GeometryError: The operator is not linear.
    """
    linear_of(problem, " for total variation by PDHG", fix=_LOGARITHM)
    size = problem.adjoint(problem.data).abs().flatten(1).amax(1).mean().item()
    return 1e-3 * size or 1.0


def sign_of(truths: Sequence[Tensor]) -> dict[str, Any]:
    """The argument ``nonnegative`` from true images: u ≥ 0 where all of them satisfy it.

    With the constraint, images with negative values could not be reconstructed.

    Args:
        truths: Batches of true images.
    """
    signed = any(truth.is_complex() or bool((truth < 0).any()) for truth in truths)
    return {"nonnegative": not signed}


def noise_of_validation(problems: Sequence[Problem], level: float | None) -> dict[str, Any]:
    """The arguments ``reference_sigma`` and ``noise_level``: the noise of validation data.

    σ₀ is the root mean square over the samples; the result is empty where the data show no noise.

    Args:
        problems: Batches of validation data.
        level: σ/mean|y| where it is known; if None, σ is estimated.
    """
    sizes = torch.cat([noise_size(problem.data, level=level) for problem in problems])
    sigma = float(sizes.square().mean().sqrt())
    return {"reference_sigma": sigma, "noise_level": level or None} if sigma > 0 else {}


def _known_level(_: Sequence[Problem], level: float | None) -> dict[str, Any]:
    return {"noise_level": level or None}


class FBP(Reconstructor):
    """Filtered backprojection, or another pseudo-inverse, for operators that have one.

    Args:
        window: "ram-lak" or "hann".
        bandwidth: Cut-off frequency as a fraction of the Nyquist frequency, in (0, 1], or "auto":
            for each image the one with the least estimated error, from the noise of its data, see
            :func:`learnedrecon.solvers.direct.bandwidth.fbp_by_noise`.
        noise_factor: Factor κ of that function, for "auto" only.
        noise_level: σ/mean|y| of the noise, for "auto" only; if None, σ is estimated for each
            sample.
        extrapolate: Extrapolation of truncated projections: "none", "smooth", "cylinder", or
            "auto", which is "cylinder" for samples with truncation; see
            :func:`learnedrecon.solvers.direct.extrapolation.extrapolated_parts`.

    Raises:
        ConfigError: The window or the extrapolation is unknown, or the bandwidth is out of range.
        GeometryError: In a call, the operator has no pseudo-inverse.
    """

    tunable: ClassVar[Tunable | None] = Tunable(
        "noise_factor",
        lambda _: 1.0,
        by_noise=_known_level,
        automatic={"window": "hann", "bandwidth": "auto"},
    )

    def __init__(
        self,
        window: Window = "ram-lak",
        bandwidth: float | Literal["auto"] = 1.0,
        noise_factor: float = 1.0,
        noise_level: float | None = None,
        extrapolate: Extrapolation = "none",
    ) -> None:
        super().__init__()
        self.extrapolate = extrapolate
        self.window = window
        self.bandwidth = bandwidth
        self.noise_factor = noise_factor
        self.noise_level = noise_level

    @staticmethod
    def check(spec: Record) -> None:
        FilteredBackprojection(spec.window, 1.0 if spec.bandwidth == "auto" else spec.bandwidth)
        require_positive(spec, "noise_factor")
        require_positive(spec, "noise_level", optional=True)

    def forward(self, problem: Problem) -> Estimate:
        parts = extrapolated_parts(problem.operator, problem.data, self.extrapolate)
        if self.bandwidth != "auto":
            return Estimate(joined(parts, partial(self._filtered, self.bandwidth)))
        noise = noise_size(problem.data, level=self.noise_level)
        found = [self._by_noise(part, noise[part.rows]) for part in parts]
        images = [part._replace(data=f.image) for part, f in zip(parts, found, strict=True)]
        image = joined(images, lambda part: part.data)
        bandwidth = torch.cat([each.bandwidth for each in found])
        status = f"Bandwidth {_range(bandwidth)} for noise of σ = {_range(noise)}."
        return Estimate(image, status=status)

    def _filtered(self, bandwidth: float, part: Part) -> Tensor:
        return pseudo_inverse(part.operator, part.data, window=self.window, bandwidth=bandwidth)

    def _by_noise(self, part: Part, noise: Tensor) -> BandwidthResult:
        return fbp_by_noise(
            part.operator, part.data, noise, window=self.window, noise_factor=self.noise_factor
        )


class TV(Reconstructor):
    """Total variation: argmin ½‖Tu - y‖² + α Σ|∇u|₂, optionally with u ≥ 0.

    The image has to cover the whole object, also where the detector does not: what lies outside of
    it is otherwise put into it.

    α is a number, one that follows the noise of each measurement, α = ``weight`` (σ/σ₀)² (see
    :func:`learnedrecon.solvers.tv_weight.scaled_tv_weight`), or the one with ‖Tu - y‖ = σ√m (see
    :func:`learnedrecon.solvers.tv_weight.tv_by_discrepancy`).

    See :func:`learnedrecon.solvers.tv.tv_reconstruction`.

    Args:
        weight: α, in the unit of the data squared per unit of the image, without a default; or
            "discrepancy" for the α with ‖Tu - y‖ = σ√m.
        nonnegative: True for the constraint u ≥ 0; if None, it holds for real images only.
        gap: Relative primal-dual gap at which a sample has converged.
        max_iterations: Largest number of iterations; a sample that has not converged by then is
            returned with a status that reports it.
        reference_sigma: σ₀, the standard deviation of the noise for which ``weight`` was chosen;
            if None, ``weight`` is α for any noise.
        sigma: σ, the standard deviation of the noise; with neither this nor ``noise_level`` it is
            estimated for each sample (see
            :func:`learnedrecon.solvers.noise_level.estimate_noise`), and α is ``weight`` where the
            data show no noise.
        noise_level: σ/mean|y| of each sample, in place of ``sigma``.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, the operator is nonlinear.
        DataError: In a call, data show no noise for the discrepancy principle.
    """

    tunable: ClassVar[Tunable | None] = Tunable(
        "weight",
        natural_weight,
        by_truths=sign_of,
        by_noise=noise_of_validation,
        automatic={"weight": "discrepancy"},
    )

    def __init__(
        self,
        weight: float | Literal["discrepancy"],
        *,
        nonnegative: bool | None = None,
        gap: float = 1e-3,
        max_iterations: int = 5000,
        reference_sigma: float | None = None,
        sigma: float | None = None,
        noise_level: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.nonnegative = nonnegative
        self.gap = gap
        self.max_iterations = max_iterations
        self.reference_sigma = reference_sigma
        self.sigma = sigma
        self.noise_level = noise_level

    @staticmethod
    def check(spec: Record) -> None:
        if spec.weight != "discrepancy":
            require_positive(spec, "weight")
        for name in ("reference_sigma", "sigma", "noise_level"):
            require_positive(spec, name, optional=True)
        require_below_one(spec, "gap")
        require_counts(spec, {"max_iterations": 1})

    def forward(self, problem: Problem) -> Estimate:
        operator = linear_of(problem, " for total variation by PDHG", fix=_LOGARITHM)
        if self.weight == "discrepancy":
            return self._by_discrepancy(operator, problem.data)
        weight = self._weight(problem.data, self.weight)
        result = tv_reconstruction(
            operator,
            problem.data,
            weight,
            nonnegative=self.nonnegative,
            gap=self.gap,
            max_iterations=self.max_iterations,
        )
        return Estimate(result.image, status=result.status)

    def _weight(self, data: Tensor, weight: float) -> float | Tensor:
        """α of each sample."""
        if self.reference_sigma is None:
            return weight
        sigma = noise_size(data, self.sigma, self.noise_level)
        seen = torch.where(sigma > 0, sigma, self.reference_sigma)
        return scaled_tv_weight(weight, self.reference_sigma, seen)

    def _by_discrepancy(self, operator: LinearOperator, data: Tensor) -> Estimate:
        sigma = noise_size(data, self.sigma, self.noise_level)
        if not bool((sigma > 0).all()):
            begin = natural_weight(InverseProblem(operator, data))
            raise DataError(
                describe(
                    expected="data with noise in every sample, from which the discrepancy principle"
                    " takes the weight of total variation",
                    found="a sample whose neighbouring data show none",
                    fix=f"give a weight, begin with {begin:.2g}",
                )
            )
        found = tv_by_discrepancy(operator, data, sigma, nonnegative=self.nonnegative)
        status = f"Weight {_range(found.weight)} for σ = {_range(found.sigma)}. {found.status}"
        return Estimate(found.result.image, status=status)


def _range(values: Tensor) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
