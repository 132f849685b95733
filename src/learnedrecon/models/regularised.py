"""Baselines without weights for linear operators: T*y, Tikhonov by CG, sparse wavelets by FISTA.

For parallel MRI these are the zero-filled image, CG-SENSE (Pruessmann et al. 2001) and SENSE with
an ℓ1 norm of wavelet coefficients (Lustig, Donoho, Pauly 2007); total variation is
:class:`learnedrecon.models.classical.TV`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from learnedrecon.compiling import real_of, uncompiled
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.functionals.norms import L1
from learnedrecon.models.checks import (
    linear_of,
    require_at_most,
    require_below_one,
    require_counts,
    require_positive,
)
from learnedrecon.operators.imaging.shapes import Pad, Padding
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.schemes.tunable import Tunable
from learnedrecon.solvers.cg_sense import cg_sense
from learnedrecon.solvers.coils.coil_data import zero_filled_coils
from learnedrecon.solvers.coils.coil_maps import rss
from learnedrecon.solvers.fista import fista

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_LINEARISE = "linearise the data first, or use a method for nonlinear operators"


class ZeroFilled(Reconstructor):
    """The zero-filled image: T*y, or the root of the sum of squares of the coil images.

    Args:
        combine: "adjoint" for T*y, of several coils the combination by the coil maps; "rss" for
            the root of the sum of squares, which has no phase (Roemer et al. 1990).

    Raises:
        GeometryError: In a call, T is nonlinear, or has no coils for "rss".
    """

    def __init__(self, combine: Literal["adjoint", "rss"] = "adjoint") -> None:
        super().__init__()
        self.combine = combine

    def forward(self, problem: Problem) -> Estimate:
        operator = linear_of(problem, fix=_LINEARISE)
        if self.combine == "adjoint":
            return Estimate(operator.adjoint(problem.data))
        coils = zero_filled_coils(operator, problem.data)
        total = rss(coils, coil_axis=-operator.domain.ndim - 1)
        return Estimate(total.to(coils.dtype))


class CGSense(Reconstructor):
    """Tikhonov regularisation by conjugate gradients, (T*T + λ‖T‖²I)⁻¹T*y; CG-SENSE in MRI.

    Args:
        weight: λ, relative to ‖T‖².
        tolerance: Relative residual at which the iteration stops, in (0, 1).
        max_iterations: Largest number of iterations.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T is nonlinear.
    """

    tunable: ClassVar[Tunable | None] = Tunable("weight", lambda _: 1e-2, factor=4.0)

    def __init__(
        self, weight: float = 1e-2, *, tolerance: float = 1e-4, max_iterations: int = 200
    ) -> None:
        super().__init__()
        self.weight = weight
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "weight")
        require_below_one(spec, "tolerance")
        require_counts(spec, {"max_iterations": 1})

    @uncompiled
    def forward(self, problem: Problem) -> Estimate:
        operator = linear_of(problem, fix=_LINEARISE)
        found = cg_sense(
            operator,
            problem.data,
            self.weight * _squares(operator, problem.data),
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        return Estimate(found.solution, status=found.status)


class SparseWavelets(Reconstructor):
    """Sparse wavelet coefficients, argmin_c ½‖TW*c - y‖² + α‖c‖₁ by FISTA, u = W*c.

    W is a periodic orthogonal wavelet transform of the image, after zeros around it where a size
    is not a multiple of 2^levels. α is ``weight`` times the largest |T*y| of each sample, so that
    the result scales with the data. All coefficients are in the norm.

    Args:
        weight: α relative to max |T*y|, in (0, 1): from 1 on the image is zero, nearly.
        wavelet: Name of an orthogonal wavelet in PyWavelets.
        levels: Number of decomposition levels.
        tolerance: Relative residual at which a sample has converged, in (0, 1).
        max_iterations: Largest number of iterations.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: The wavelet is not orthogonal; in a call, T is nonlinear.
    """

    tunable: ClassVar[Tunable | None] = Tunable("weight", lambda _: 3e-3, factor=4.0, upper=0.9)

    def __init__(
        self,
        weight: float = 3e-3,
        *,
        wavelet: str = "db4",
        levels: int = 3,
        tolerance: float = 1e-3,
        max_iterations: int = 200,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.wavelet = wavelet
        self.levels = levels
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "weight")
        require_below_one(spec, "weight", "tolerance")
        require_counts(spec, {"levels": 1, "max_iterations": 1})
        require_at_most(spec, {"levels": 20})
        WaveletBasis((2**spec.levels,), spec.wavelet, spec.levels)

    @uncompiled
    def forward(self, problem: Problem) -> Estimate:
        operator = linear_of(problem, fix=_LINEARISE)
        synthesis = self.synthesis(operator)
        misfit = FunctionalOf(Misfit(LeastSquares(), problem.data), operator @ synthesis)
        back = operator.adjoint(problem.data)
        largest = back.abs().flatten(1).amax(1)
        alpha = self.weight * torch.where(largest > 0, largest, 1.0)
        found = fista(
            misfit,
            FunctionalMultiple(L1(), alpha),
            0.0 * synthesis.adjoint(back),
            lipschitz=_bound(operator) ** 2,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        return Estimate(synthesis(found.solution), status=found.status)

    def synthesis(self, operator: LinearOperator) -> LinearOperator:
        """W*, from coefficients to images of an operator's domain.

        Args:
            operator: T.
        """
        domain, factor = operator.domain, 2**self.levels
        margins = tuple((0, -size % factor) for size in domain.shape)
        sizes = tuple(size + after for size, (_, after) in zip(domain.shape, margins, strict=True))
        basis = Wavelet(WaveletBasis(sizes, self.wavelet, self.levels), domain.dtype)
        if sizes == domain.shape:
            return basis.H
        return Pad(Padding(domain.shape, margins), domain.dtype).H @ basis.H


def _squares(operator: LinearOperator, data: Tensor) -> Tensor:
    """‖T‖² of every sample, (batch,)."""
    norm = torch.as_tensor(operator.norm(), dtype=torch.float64, device=data.device).flatten()
    square = torch.where(norm > 0, norm, 1.0).square().expand(len(data))
    return square.to(real_of(data.dtype))


def _bound(operator: LinearOperator) -> float:
    """An upper bound of ‖T‖ for all samples: a proven one, or the estimate and a hundredth."""
    bound = operator.norm_bound()
    found = 1.01 * torch.as_tensor(operator.norm()) if bound is None else torch.as_tensor(bound)
    return float(found.max()) or 1.0
