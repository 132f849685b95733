"""Reconstruction without learning: filtered back-projection and total variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnedrecon.errors import GeometryError, describe
from learnedrecon.models.checks import (
    require_below_one,
    require_counts,
    require_positive,
    require_spec,
)
from learnedrecon.models.initial import FilteredBackprojection
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.solvers.tv import tv_reconstruction

if TYPE_CHECKING:
    from learnedrecon.problem import Problem


class FBP(Reconstructor):
    """Filtered back-projection.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """

    def __init__(self, spec: FilteredBackprojection | None = None) -> None:
        super().__init__()
        given = FilteredBackprojection() if spec is None else spec
        self.spec = require_spec(given, FilteredBackprojection)

    def forward(self, problem: Problem) -> Estimate:
        return Estimate(self.spec(problem))


@dataclass(frozen=True)
class TotalVariationSpec:
    """The configuration of :class:`TV`.

    Attributes:
        weight: α, in the unit of the data squared per unit of the image.
        nonnegative: whether u ≥ 0 is imposed.
        gap: the relative primal-dual gap at which a sample is done.
        max_iterations: after which a sample that has not converged is returned, and said so.

    Raises:
        ConfigError: a field is out of range.
    """

    weight: float
    nonnegative: bool = True
    gap: float = 1e-3
    max_iterations: int = 5000

    def __post_init__(self) -> None:
        require_positive(self, "weight")
        require_below_one(self, "gap")
        require_counts(self, {"max_iterations": 1})


class TV(Reconstructor):
    """argmin ½‖Tu - y‖² + α Σ|∇u|₂, with u ≥ 0 if asked; see :func:`solvers.tv.tv_reconstruction`.

    Args:
        spec: the configuration; it has no default, because the weight has none.

    Raises:
        ConfigError: another kind of spec.
    """

    def __init__(self, spec: TotalVariationSpec) -> None:
        super().__init__()
        self.spec = require_spec(spec, TotalVariationSpec)

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
            self.spec.weight,
            nonnegative=self.spec.nonnegative,
            gap=self.spec.gap,
            max_iterations=self.spec.max_iterations,
        )
        return Estimate(result.image, status=result.status)
