"""ODL's primal-dual method for total variation, with ASTRA's CPU projectors."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.against.stand_in import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.ray.geometry2d import ParallelBeam

NAME = "ODL, ASTRA CPU"
SHARE = 0.6
"""κ²‖∇‖²/‖T‖²."""


class OdlTotalVariation:
    """½‖Tu - y‖² + α Σ|∇u|₂ over u ≥ 0, solved by `odl.solvers.pdhg` for the pair (T, κ∇).

    T is ODL's ray transform of a parallel scan with unit pixels, and y = T of the image with noise.
    κ and the ratio of the step sizes are those of `learnedrecon.solvers.tv`, with which it needs
    fewer iterations than with ODL's own ones.

    Args:
        geometry: Scan.
        image: True image, (ny, nx).
        noise: Standard deviation of the noise over the mean of |y|.
        alpha: α.
    """

    def __init__(
        self, geometry: ParallelBeam, image: NDArray[np.float32], noise: float, alpha: float
    ) -> None:
        self._odl = load("odl")
        ny, nx = geometry.shape
        space = self._odl.uniform_discr(
            [-ny / 2, -nx / 2], [ny / 2, nx / 2], (ny, nx), dtype="float32"
        )
        number, pixels = geometry.data_shape
        width = pixels * geometry.detector.pitch / 2
        scan = self._odl.applications.tomo.Parallel2dGeometry(
            self._odl.uniform_partition(0, np.pi, number),
            self._odl.uniform_partition(-width, width, pixels),
        )
        ray = self._odl.applications.tomo.RayTransform(space, scan, impl="astra_cpu")
        gradient = self._odl.Gradient(space)
        clean = ray(space.element(image))
        draws = np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)
        level = noise * float(np.abs(clean.asarray()).mean())
        y = ray.range.element(clean.asarray() + level * draws)
        functionals = self._odl.functionals
        norm = self._odl.power_method_opnorm(ray, maxiter=20)
        kappa = math.sqrt(SHARE) * norm / math.sqrt(8)
        data_term = 0.5 * functionals.L2NormSquared(ray.range).translated(y)
        length = alpha / kappa * functionals.GroupL1Norm(gradient.range)
        self.operator = self._odl.BroadcastOperator(ray, kappa * gradient)
        self.primal = functionals.IndicatorNonnegativity(space)
        self.dual = functionals.SeparableSum(data_term, length)
        size = float(np.linalg.norm(ray.adjoint(y).asarray())) / (norm**2 * math.sqrt(nx * ny))
        root_mean_square = float(np.sqrt(np.mean(y.asarray() ** 2)))
        ratio = 0.1 * size / min(alpha / kappa, root_mean_square)
        whole = 1.01 * norm * math.sqrt(1 + SHARE)
        self.steps = ratio / whole, 1 / (ratio * whole)
        self.image = space.zero()
        self._state = {"x_relax": space.zero(), "y": self.operator.range.zero()}

    def value(self) -> float:
        """P of the present image without the constraint, which the iterates fulfil."""
        return float(self.dual(self.operator(self.image)))

    def run(self, number: int) -> float:
        """Iterates from the present image; the seconds that it took."""
        tau, sigma = self.steps
        begun = time.perf_counter()
        self._odl.solvers.pdhg(
            self.image, self.primal, self.dual, self.operator, number, tau, sigma, **self._state
        )
        return time.perf_counter() - begun
