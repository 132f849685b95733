"""Reconstruction without learning: filtered back-projection and total variation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from learnedrecon.errors import GeometryError, describe
from learnedrecon.models.checks import require_below_one, require_counts, require_positive
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.networks.filters import Window  # noqa: TC001 - recorded by its annotation
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.schemes.tunable import Tunable
from learnedrecon.solvers.tv import tv_reconstruction
from learnedrecon.solvers.tv_weight import estimate_noise, tv_by_discrepancy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


def natural_weight(problem: Problem) -> float:
    """A weight of total variation to begin with: 10⁻³ max |T*y|, the mean over the batch.

    The minimiser is constant once the weight is of the order of max |T*y|.

    Args:
        problem: A batch.

    Raises:
        GeometryError: The operator is not linear.
    """
    _require_linear(problem)
    size = problem.adjoint(problem.data).abs().flatten(1).amax(1).mean().item()
    return 1e-3 * size or 1.0


def sign_of(truths: Sequence[Tensor]) -> dict[str, Any]:
    """The argument ``nonnegative``: u ≥ 0 where all true images have it.

    Of images with negative values the nonnegative minimiser would miss whatever lies below 0.

    Args:
        truths: Batches of true images.
    """
    signed = any(truth.is_complex() or bool((truth < 0).any()) for truth in truths)
    return {"nonnegative": not signed}


def weight_by_discrepancy(problem: Problem) -> float | None:
    """α with ‖Tu - y‖ = σ√m, σ estimated from the data; None where they show no noise.

    The mean over the samples; see :func:`learnedrecon.solvers.tv_weight.tv_by_discrepancy`.
    """
    operator = _require_linear(problem)
    sigma = estimate_noise(problem.data)
    if not bool((sigma > 0).all()):
        return None
    found = tv_by_discrepancy(operator, problem.data, sigma, tolerance=0.05)
    return float(found.weight.mean()) if bool(found.converged.all()) else None


class FBP(Reconstructor):
    """Filtered back-projection, for operators that have one.

    Args:
        window: "ram-lak" or "hann".
        bandwidth: Cut-off as a share of the Nyquist frequency, in (0, 1].

    Raises:
        ConfigError: An unknown window, or a bandwidth out of range.
        GeometryError: On a call, an operator that has none.
    """

    tunable: ClassVar[Tunable | None] = Tunable(
        "bandwidth", lambda _: 0.8, factor=1.3, upper=1.0, fixed={"window": "hann"}
    )

    def __init__(self, window: Window = "ram-lak", bandwidth: float = 1.0) -> None:
        super().__init__()
        self.inverse = FilteredBackprojection(window, bandwidth)

    @staticmethod
    def check(spec: Record) -> None:
        FilteredBackprojection(spec.window, spec.bandwidth)

    def forward(self, problem: Problem) -> Estimate:
        return Estimate(self.inverse(problem))


class TV(Reconstructor):
    """argmin ½‖Tu - y‖² + α Σ|∇u|₂, with u ≥ 0 if asked; see :func:`solvers.tv.tv_reconstruction`.

    Args:
        weight: α, in the unit of the data squared per unit of the image; it has no default.
        nonnegative: Whether u ≥ 0 is imposed; if None, on real images only.
        gap: Relative primal-dual gap at which a sample is done.
        max_iterations: Number of iterations after which a sample that has not converged is
            returned, and said so.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: On a call, a nonlinear operator.
    """

    tunable: ClassVar[Tunable | None] = Tunable(
        "weight", natural_weight, by_truths=sign_of, by_data=weight_by_discrepancy
    )

    def __init__(
        self,
        weight: float,
        *,
        nonnegative: bool | None = None,
        gap: float = 1e-3,
        max_iterations: int = 5000,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.nonnegative = nonnegative
        self.gap = gap
        self.max_iterations = max_iterations

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "weight")
        require_below_one(spec, "gap")
        require_counts(spec, {"max_iterations": 1})

    def forward(self, problem: Problem) -> Estimate:
        operator = _require_linear(problem)
        result = tv_reconstruction(
            operator,
            problem.data,
            self.weight,
            nonnegative=self.nonnegative,
            gap=self.gap,
            max_iterations=self.max_iterations,
        )
        return Estimate(result.image, status=result.status)


def _require_linear(problem: Problem) -> LinearOperator:
    operator = problem.operator
    if not isinstance(operator, LinearOperator):
        raise GeometryError(
            describe(
                expected="a linear operator for total variation by PDHG",
                found=type(operator).__name__,
                fix="take the logarithm of transmission data and use the ray transform",
            )
        )
    return operator
