"""Reconstruction without learning: filtered back-projection and total variation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.errors import GeometryError, describe
from learnedrecon.models.checks import require_below_one, require_counts, require_positive
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.networks.filters import Window  # noqa: TC001 - recorded by its annotation
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.solvers.tv import tv_reconstruction

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class FBP(Reconstructor):
    """Filtered back-projection, for operators that have one.

    Args:
        window: "ram-lak" or "hann".
        bandwidth: Cut-off as a share of the Nyquist frequency, in (0, 1].

    Raises:
        ConfigError: An unknown window, or a bandwidth out of range.
        GeometryError: On a call, an operator that has none.
    """

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
        nonnegative: Whether u ≥ 0 is imposed.
        gap: Relative primal-dual gap at which a sample is done.
        max_iterations: Number of iterations after which a sample that has not converged is
            returned, and said so.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: On a call, a nonlinear operator.
    """

    def __init__(
        self,
        weight: float,
        *,
        nonnegative: bool = True,
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
        operator = problem.operator
        if not isinstance(operator, LinearOperator):
            raise GeometryError(
                describe(
                    expected="a linear operator for total variation by PDHG",
                    found=type(operator).__name__,
                    fix="take the logarithm of transmission data and use the ray transform",
                )
            )
        result = tv_reconstruction(
            operator,
            problem.data,
            self.weight,
            nonnegative=self.nonnegative,
            gap=self.gap,
            max_iterations=self.max_iterations,
        )
        return Estimate(result.image, status=result.status)
