"""Transmission tomography: photon counts behind an object, a nonlinear operator."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.errors import DataError, GeometryError, describe, require
from learnedrecon.operators.base import Operator
from learnedrecon.operators.fields import number, require_kind, store
from learnedrecon.operators.leading import require_leading
from learnedrecon.operators.linear import LinearMultiple, LinearOperator
from learnedrecon.operators.pointwise import Diagonal, rows_of
from learnedrecon.operators.ray.autograd import transforms_are_active
from learnedrecon.operators.ray.beam2d import Beam2D
from learnedrecon.operators.ray.planar import PlanarGeometry
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Transmission:
    """The configuration of :class:`TransmissionCT`.

    Attributes:
        geometry: Geometry of the ray transform P.
        mu: μ, the attenuation in 1/mm of one unit of the image; 1 for images of attenuation.
        intensity: I₀, the detector value without an object; 1 for fractions of photons.
        scatter: s, the contribution of scattered photons to every value, in the unit of I₀.

    Raises:
        GeometryError: The geometry is not one; μ or I₀ is not positive; s is negative or not
            finite.
    """

    geometry: PlanarGeometry
    mu: float = 1.0
    intensity: float = 1.0
    scatter: float = 0.0

    def __post_init__(self) -> None:
        require_kind(self.geometry, Beam2D, "Transmission(T.geometry, mu), with the geometry alone")
        for name in ("mu", "intensity", "scatter"):
            store(self, name, number)
        _require(self.mu > 0 and math.isfinite(self.mu), "mu > 0 per mm", "mu", self.mu, "1/mm")
        _require(
            self.intensity > 0 and math.isfinite(self.intensity),
            "an intensity > 0",
            "intensity",
            self.intensity,
            "the value without an object",
        )
        _require(
            self.scatter >= 0 and math.isfinite(self.scatter),
            "scatter >= 0",
            "scatter",
            self.scatter,
            "what scattered photons add, in the unit of the intensity",
        )


class TransmissionCT(Operator):
    """T(u) = I₀ exp(-μ P u) + s, the expected photon counts (Adler, Öktem 2017, section 5.2).

    [∂T(u)]* v = -μ P*((T(u) - s)·v). With I₀ = 1 and s = 0 it is the fraction of photons that pass,
    in (0, 1] for u ≥ 0. exp(-μ P u) is at least the square root of the smallest normal number
    (1e-19 in float32), so that data terms that divide by T(u) have the right gradient behind opaque
    matter. Its rows are the angles.

    Args:
        transmission: The geometry, μ, I₀ and a constant s.
        dtype: float32 or float64, as for :class:`RayTransform`.

    Raises:
        GeometryError: Not a :class:`Transmission`.

    Shapes: image (..., ny, nx) to transmission (..., angle, detector).
    """

    row_axis = -2
    spec: Transmission | None
    scatter: Tensor | None

    def __init__(self, transmission: Transmission, dtype: torch.dtype = torch.float32) -> None:
        call = "TransmissionCT(Transmission(T.geometry, mu=0.02))"
        require_kind(transmission, Transmission, call)
        self._set(transmission, RayTransform(transmission.geometry, dtype), None)

    def _set(self, transmission: Transmission, ray: RayTransform, scatter: Tensor | None) -> None:
        super().__init__(ray.domain, ray.codomain)
        self.transmission = transmission
        self.spec = _said(transmission, ray) if scatter is None else None
        self.ray = ray
        self.tensor_names = ray.tensor_names | {"scatter"}
        self.register_buffer("scatter", scatter, persistent=False)

    def _copy(self, transmission: Transmission, ray: RayTransform, scatter: Tensor | None) -> Self:
        twin = type(self).__new__(type(self))
        twin._set(transmission, ray, scatter)  # noqa: SLF001 - of this class
        return twin

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        """The operator with a scatter value per detector pixel, or with other angles.

        Args:
            tensors: "scatter" (*lead, angle, detector), s ≥ 0 in place of the constant, in which T
                is differentiable; and the tensors of :meth:`RayTransform.with_tensors`.

        Raises:
            ShapeError: The last axes of the scatter are not those of the data.
            DataError: Scatter that is negative or not finite.
            DtypeError: Not tensors of floats.
            GeometryError: Other names.
        """
        if not tensors:
            return self
        rest = {name: tensor for name, tensor in tensors.items() if name != "scatter"}
        scatter = tensors.get("scatter", self.scatter)
        if "scatter" in tensors:
            scatter = _admitted(tensors["scatter"], self)
        return self._copy(self.transmission, self.ray.with_tensors(rest), scatter)

    def tensors(self) -> dict[str, Tensor]:
        own = {} if self.scatter is None else {"scatter": self.scatter}
        return {**self.ray.tensors(), **own}

    def own_axes(self, name: str) -> int:
        return self.codomain.ndim if name == "scatter" else self.ray.own_axes(name)

    def restrict(self, rows: tuple[int, ...]) -> Self:
        part = replace(self.transmission, geometry=self.transmission.geometry.subset(rows))
        scatter = None if self.scatter is None else rows_of(self.scatter, rows, -2)
        return self._copy(part, self.ray.restrict(rows), scatter)

    def evaluate(self, u: Tensor) -> Tensor:
        return self._scattered(self._direct(u))

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        direct = self._direct(u)
        derivative = Diagonal(self.codomain, direct) @ LinearMultiple(
            self.ray, -self.transmission.mu
        )
        return self._scattered(direct), derivative

    def line_integrals(self, y: Tensor, least: float) -> Tensor:
        """Line integrals P u of data y = T(u): -log((y - s)/I₀)/μ.

        Args:
            y: Data, (..., angle, detector).
            least: Smallest fraction (y - s)/I₀ of photons; smaller ones are clipped to it.
        """
        s = self.transmission.scatter if self.scatter is None else self.scatter
        share = (y - s) / self.transmission.intensity
        return -share.clamp(min=least).log() / self.transmission.mu

    def _direct(self, u: Tensor) -> Tensor:
        """I₀ exp(-μ P u)."""
        passed = torch.exp(-self.transmission.mu * self.ray(u))
        passed = passed.clamp(min=torch.finfo(passed.dtype).tiny ** 0.5)
        intensity = self.transmission.intensity
        return passed if intensity == 1.0 else intensity * passed

    def _scattered(self, direct: Tensor) -> Tensor:
        if self.scatter is not None:
            return direct + self.scatter
        constant = self.transmission.scatter
        return direct if constant == 0.0 else direct + constant


def _said(transmission: Transmission, ray: RayTransform) -> Transmission | None:
    """The configuration with the values of tensors in the ray transform, where it can be said."""
    geometry = ray.spec
    return None if geometry is None else replace(transmission, geometry=geometry)


def _admitted(scatter: Tensor, operator: TransmissionCT) -> Tensor:
    scatter = operator.codomain.check(scatter, "scatter")
    require_leading(scatter, operator.codomain.ndim, "scatter")
    if transforms_are_active() or bool(((scatter >= 0) & scatter.isfinite()).all()):
        return scatter
    raise DataError(
        describe(
            expected="scatter that is finite and not negative",
            found=f"values from {float(scatter.min()):g} to {float(scatter.max()):g}",
            fix="clip it at 0",
        )
    )


def _require(holds: object, expected: str, name: str, value: float, fix: str) -> None:
    found, fix = f"{name} = {value}", f"give {fix}"
    require(holds, GeometryError, expected=expected, found=found, fix=fix)
