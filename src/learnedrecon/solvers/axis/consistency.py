"""The rotation axis of parallel beams, from the range of the ray transform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from learnedrecon.solvers.axis.estimate import AxisEstimate
from learnedrecon.solvers.noise_level import estimate_noise

if TYPE_CHECKING:
    from learnedrecon.solvers.axis.estimate import Lines

FloatArray: TypeAlias = NDArray[np.float64]

_HIGHEST = 0.25
_MOST_FREQUENCIES = 48
_REDUNDANCY = 1.4
_STEPS_PER_PIXEL = 8


class _Misfit(NamedTuple):
    """J(c) = Σ_f ½(a + b cos 4πfc) + d sin 4πfc, with frequencies f in cycles per pixel."""

    frequency: FloatArray
    level: FloatArray
    even: FloatArray
    odd: FloatArray
    freedom: int

    def __call__(self, shift: FloatArray) -> FloatArray:
        phase = 4 * math.pi * self.frequency * shift[:, None]
        return (0.5 * (self.level + self.even * np.cos(phase)) + self.odd * np.sin(phase)).sum(1)

    def curvature(self, shift: float) -> float:
        """The second derivative of J."""
        phase = 4 * math.pi * self.frequency * shift
        waves = 0.5 * self.even * np.cos(phase) + self.odd * np.sin(phase)
        return float(-((4 * math.pi * self.frequency) ** 2 * waves).sum())


def by_consistency(lines: Lines, reach: float) -> AxisEstimate | None:
    """The axis for which a parallel-beam sinogram is in the range of the ray transform.

    The transform P(θ, f) of every projection around the axis has few angular frequencies, P(θ, f) =
    Σ_m a_m e^{imθ} with |m| ≤ 2πfR for an object of radius R (the double wedge of Edholm, Lewitt,
    Lindholm, Proc. SPIE 671, 1986; used for the axis by Vo et al., Opt. Express 22(16), 2014), and
    P(θ + π, f) = P(θ, -f) makes a_{-m} = (-1)^m times the conjugate of a_m. An axis c pixels from
    its assumed position multiplies the data by e^{-2πifc}. J(c) is the residual of the data after
    the fit of all a_m, in closed form, for the frequencies that have more data than unknowns.

    Args:
        lines: Parallel-beam data of objects that are entirely in the field of view.
        reach: Largest distance of the axis from the offset of the geometry, in pixels.

    Returns:
        The minimum of J and its deviation √(2s²/J''), s² the variance that remains in the data or
        that of their noise, whichever is larger; None where there are too few views for any
        frequency, or J has no minimum within reach.
    """
    misfit = _misfit(lines)
    if misfit is None:
        return None
    shifts = np.arange(-reach, reach, 1 / _STEPS_PER_PIXEL)
    values = misfit(shifts)
    lowest = int(np.argmin(values))
    if not 0 < lowest < len(shifts) - 1:
        return None
    shift = float(shifts[lowest])
    for _ in range(8):
        fine = shift + np.array([-1e-3, 0.0, 1e-3])
        left, _, right = misfit(fine)
        slope, curvature = (right - left) / 2e-3, misfit.curvature(shift)
        if curvature <= 0:
            return None
        shift -= float(np.clip(slope / curvature, -0.1, 0.1))
    noise = float(estimate_noise(lines.values.unsqueeze(1)).square().mean())
    floor = noise * lines.geometry.detector.pixels / 2
    variance = max(float(misfit(np.array([shift]))[0]) / misfit.freedom, floor)
    detector = lines.geometry.detector
    deviation = math.sqrt(2 * variance / misfit.curvature(shift))
    return AxisEstimate(detector.axis_offset + shift * detector.pitch, deviation * detector.pitch)


def _misfit(lines: Lines) -> _Misfit | None:
    theta = np.asarray(lines.geometry.angle_values, dtype=np.float64)
    detector, values = lines.geometry.detector, lines.values.numpy()
    views, pixels = len(theta), detector.pixels
    spectrum = np.fft.rfft(values, axis=-1)
    axis = (pixels - 1) / 2 + detector.axis_offset / detector.pitch
    rows, freedom = [], 0
    for number in range(1, min(int(_HIGHEST * pixels), _MOST_FREQUENCIES) + 1):
        orders = math.ceil(math.pi * number) + 2
        if 2 * orders + 1 > _REDUNDANCY * views:
            break
        frequency = number / pixels
        data = spectrum[..., number] * np.exp(2j * math.pi * frequency * axis)
        basis = _basis(theta, orders)
        rows.append((frequency, *_remains(data, basis)))
        freedom += len(values) * (2 * views - basis.shape[1])
    if not rows:
        return None
    frequency, level, even, odd = np.array(rows).T
    return _Misfit(frequency, level, even, odd, freedom)


def _basis(theta: FloatArray, orders: int) -> FloatArray:
    """Orthonormal columns (2·angle, dimension) of the real and imaginary parts of Σ a_m e^{imθ}."""
    order = np.arange(1, orders + 1)
    wave, sign = np.exp(1j * theta[:, None] * order), (-1.0) ** order
    both = [np.ones((len(theta), 1)), wave + sign * wave.conj(), 1j * (wave - sign * wave.conj())]
    columns = np.concatenate(both, axis=1)
    left, size, _ = np.linalg.svd(np.concatenate([columns.real, columns.imag]), full_matrices=False)
    return left[:, size > 1e-8 * size[0]]


def _remains(data: NDArray[np.complex128], basis: FloatArray) -> tuple[float, float, float]:
    """(a, b, d) of J for one frequency, of data (slice, angle)."""
    cosine = np.concatenate([data.real, data.imag], axis=1)
    sine = np.concatenate([-data.imag, data.real], axis=1)
    parts = cosine - cosine @ basis @ basis.T, sine - sine @ basis @ basis.T
    cc, ss, cs = (
        float((p * q).sum()) for p, q in ((parts[0], parts[0]), (parts[1], parts[1]), parts)
    )
    return cc + ss, cc - ss, cs
