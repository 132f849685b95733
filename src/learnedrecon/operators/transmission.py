"""Transmission tomography: photons through matter, a nonlinear operator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.algebra import Diagonal
from learnedrecon.operators.base import Operator
from learnedrecon.operators.geometry import Beam, Geometry
from learnedrecon.operators.geometry_checks import number, require_kind, store
from learnedrecon.operators.linear import LinearOperator, Scaled
from learnedrecon.operators.ray_transform import RayTransform

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Transmission:
    """The configuration of :class:`TransmissionCT`.

    Attributes:
        geometry: of the ray transform P.
        mu: μ, the attenuation in 1/mm that one unit of the image stands for; 1 for images that
            hold attenuation themselves.

    Raises:
        GeometryError: not a geometry, or μ is not positive.
    """

    geometry: Geometry
    mu: float = 1.0

    def __post_init__(self) -> None:
        require_kind(self.geometry, Beam, "Transmission(T.geometry, mu), with the geometry alone")
        store(self, "mu", number)
        if not (self.mu > 0 and math.isfinite(self.mu)):
            raise GeometryError(
                describe(expected="mu > 0 per mm", found=f"mu = {self.mu}", fix="give 1/mm")
            )


class TransmissionCT(Operator):
    """T(u) = exp(-μ P u), the share of photons that passes (Adler, Öktem 2017, section 5.2).

    [∂T(u)]* v = -μ P*(T(u)·v). Values lie in (0, 1] for u ≥ 0: they do not fall below the root of
    the smallest normal number (1e-19 in float32), so that data terms that divide by T(u) have the
    right gradient behind matter that lets nothing through.

    Args:
        transmission: the geometry and μ.
        dtype: as for :class:`RayTransform`.

    Raises:
        GeometryError: not a :class:`Transmission`.

    Shapes: image (..., ny, nx) to transmission (..., angle, detector).
    """

    def __init__(self, transmission: Transmission, dtype: torch.dtype = torch.float32) -> None:
        call = "TransmissionCT(Transmission(T.geometry, mu=0.02))"
        require_kind(transmission, Transmission, call)
        ray = RayTransform(transmission.geometry, dtype)
        super().__init__(ray.domain, ray.codomain)
        self.transmission = transmission
        self.ray = ray

    def evaluate(self, u: Tensor) -> Tensor:
        passed = torch.exp(-self.transmission.mu * self.ray(u))
        return passed.clamp(min=torch.finfo(passed.dtype).tiny ** 0.5)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        value = self(u)
        return value, Diagonal(self.codomain, value) @ Scaled(self.ray, -self.transmission.mu)
