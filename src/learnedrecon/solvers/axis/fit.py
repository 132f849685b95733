"""The rotation axis of two-dimensional scans, by the image that explains the data best."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.operators.ray.geometry2d import FanBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.solvers.axis.estimate import AxisEstimate
from learnedrecon.solvers.cg import cg
from learnedrecon.solvers.direct.truncation import find_truncation
from learnedrecon.solvers.noise_level import estimate_noise

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry
    from learnedrecon.solvers.axis.estimate import Lines

_LOG = logging.getLogger(__name__)

_LEAST_NOISE = 0.03
_SPREAD = 2.0
_KNEE = 2.0
_MOST_ITERATIONS = 25
_MOST_STEPS = 150
_ROUGH, _EXACT = 3e-2, 1e-5
_FAR, _NEAR = 4.0, 0.005


def by_fit(lines: Lines, *, size: int) -> AxisEstimate:
    """The axis offset s for which one image explains all views best, by descent.

    J(s) = min_u ‖T_s u - y‖²/σ² + ‖C^{-½}u‖²: up to a constant the logarithm of the evidence for s
    if images are normal with the covariance C, whose spectrum falls like that of edges,
    |ξ|^{-3}. The minimum is found by conjugate gradients, and dJ/ds = 2⟨T_s u - y, (∂T_s/∂s)u⟩/σ²
    there by autograd. σ is estimated from the data, and at least 3 % of their largest value, which
    a coarse image does not explain better. The first step is one detector pixel; then the step size
    is that of Barzilai and Borwein (IMA J. Numer. Anal. 8, 1988).

    Args:
        lines: Data; the axis offset of their geometry is the initial value.
        size: Number of pixels along either side of the image.

    Returns:
        The offset, with the deviation √(2/J''). A descent that does not converge is logged.
    """
    evidence, pitch = _evidence(lines, size), lines.geometry.detector.pitch
    offset, moved, before = lines.geometry.detector.axis_offset, 0.0, 0.0
    for _ in range(_MOST_ITERATIONS):
        slope = evidence.slope(offset)
        curvature = (slope - before) / moved if moved else abs(slope) / pitch
        step = -slope / curvature if curvature > 0 else -math.copysign(pitch, slope)
        before, moved = slope, max(-_FAR * pitch, min(_FAR * pitch, step))
        offset += moved
        if abs(moved) <= _NEAR * pitch:
            break
    else:
        _LOG.warning("The search for the rotation axis still moves by %.2g mm.", abs(moved))
    near = pitch / 4
    curvature = (evidence.slope(offset + near) - evidence.slope(offset - near)) / (2 * near)
    deviation = math.sqrt(2 / curvature) if curvature > 0 else math.inf
    return AxisEstimate(offset, deviation)


def by_trial(lines: Lines, reach: float, *, size: int) -> float:
    """The best axis offset on a grid within ``reach`` mm, with steps of 1½ detector pixels.

    Args:
        lines: Data.
        reach: Largest distance from the offset of the geometry, in mm.
        size: Number of pixels along either side of the image.
    """
    evidence, start = _evidence(lines, size, _ROUGH), lines.geometry.detector.axis_offset
    step = 1.5 * lines.geometry.detector.pitch
    number = math.ceil(reach / step)
    tried = [start + k * step for k in range(-number, number + 1)]
    return min(tried, key=evidence.value)


@dataclass(eq=False)
class _Evidence:
    """J and its derivative; the last image is where the next search for one begins.

    Attributes:
        transform: T without its offset.
        data: y/σ, (slice, 1, angle, detector).
        scale: Deviation of the image over σ.
        spectrum: C^½ without the scale, as a filter.
        tolerance: Relative residual at which an image is found.
    """

    transform: RayTransform
    data: Tensor
    scale: float
    spectrum: Tensor
    tolerance: float
    whitened: Tensor | None = None

    def value(self, offset: float) -> float:
        transform = self._at(torch.tensor(offset, dtype=torch.float64))
        white = self._solved(transform)
        missed = transform(self._image(white)) - self.data
        return float(missed.square().sum() + white.square().sum())

    @torch.enable_grad()
    def slope(self, offset: float) -> float:
        at = torch.tensor(offset, dtype=torch.float64, requires_grad=True)
        transform = self._at(at)
        image = self._image(self._solved(transform))
        missed = (transform(image) - self.data).square().sum()
        return float(torch.autograd.grad(missed, at)[0])

    def _at(self, offset: Tensor) -> RayTransform:
        return self.transform.with_tensors({"axis_offset": offset})

    def _image(self, white: Tensor) -> Tensor:
        return self.scale * torch.fft.ifft2(torch.fft.fft2(white) * self.spectrum).real

    @torch.no_grad()
    def _solved(self, transform: RayTransform) -> Tensor:
        def normal(white: Tensor) -> Tensor:
            return self._image(transform.adjoint(transform(self._image(white)))) + white

        back = self._image(transform.adjoint(self.data))
        found = cg(
            normal,
            back,
            tolerance=self.tolerance,
            max_iterations=_MOST_STEPS,
            initial=self.whitened,
        )
        self.whitened = found.solution
        return found.solution


def _evidence(lines: Lines, size: int, tolerance: float = _EXACT) -> _Evidence:
    geometry = _around(lines.geometry, size, wide=bool(find_truncation(lines.values)))
    transform = RayTransform(geometry).to(torch.float64)
    data = lines.values.unsqueeze(1)
    noise = float(estimate_noise(data).mean())
    noise = max(noise, _LEAST_NOISE * float(data.abs().amax()), 1e-300)
    flat = transform(torch.ones(1, 1, size, size, dtype=torch.float64)).mean()
    density = max(abs(float(data.mean() / flat)), 1e-300)
    along = torch.fft.fftfreq(size, dtype=torch.float64) * size
    spectrum = (1 + (along[:, None] ** 2 + along**2) / _KNEE**2) ** -0.75
    return _Evidence(transform, data / noise, _SPREAD * density / noise, spectrum, tolerance)


def _around(geometry: Geometry, size: int, *, wide: bool) -> Geometry:
    """The scan of an image as wide as the detector sees, or as the scan says where that is less."""
    detector = geometry.detector
    side = (
        detector.pixels * detector.pitch + 2 * abs(detector.axis_offset)
    ) / geometry.magnification
    if wide:
        side = max(side, *(n * d for n, d in zip(geometry.shape, geometry.pixel, strict=True)))
    if isinstance(geometry, FanBeam):
        side = min(side, 1.4 * geometry.source_origin)
    return replace(geometry, shape=(size, size), pixel_size=side / size)
