"""Non-Cartesian k-space trajectories: radial, spiral and others.

A trajectory consists of interleaves (spokes or spiral arms, from which
:meth:`LinearOperator.subset` selects) with equally many samples each. Samples are frequencies in
radians per pixel in the order of the image's axes, (ky, kx) or (kz, ky, kx); pixels resolve [-π,
π]. One cycle per field of view of n pixels is 2π/n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, number, store

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray: TypeAlias = NDArray[np.float64]
Ordering: TypeAlias = Literal["golden", "uniform"]

GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1) / 2
"""111.25 degrees (Winkelmann et al., IEEE Trans. Med. Imaging 26(1), 2007)."""
MOST = 2 * math.pi
_GOLDEN_MEANS = (0.46557123187676802, 0.68232780382801933)


@dataclass(frozen=True)
class Radial:
    """Radial trajectory: diameters of the disc |k| ≤ π in two dimensions.

    k(s, j) = r_j (sin θ_s, cos θ_s) in (ky, kx) with r_j = 2π (j - ⌊samples/2⌋)/samples, so that
    every spoke passes through k = 0, and the spoke of the angle θ is the Fourier transform of the
    projection at θ of a :class:`ParallelBeam`. Twice as many samples as pixels are usual.

    Attributes:
        spokes: Number of spokes.
        samples: Number of samples per spoke.
        ordering: "golden", θ_s = start + s·111.25°; or "uniform", θ_s = start + π s/spokes.
        start: θ_0 in radians.

    Raises:
        GeometryError: A count is not positive, the ordering is unknown, or the start is not finite.
    """

    spokes: int
    samples: int
    ordering: Ordering = "golden"
    start: float = 0.0

    def __post_init__(self) -> None:
        _store_counts(self, "spokes", "samples")
        _store_numbers(self, "start")
        if self.ordering not in {"golden", "uniform"}:
            raise GeometryError(
                describe(
                    expected="ordering 'golden' or 'uniform'",
                    found=f"{self.ordering!r:.80}",
                    fix="choose one of these, or give the samples as Points",
                )
            )

    @property
    def axes(self) -> int:
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        """The number of interleaves and of samples, (spokes, samples)."""
        return self.spokes, self.samples

    @property
    def angles(self) -> FloatArray:
        """θ in radians, (spokes,), float64."""
        step = GOLDEN_ANGLE if self.ordering == "golden" else math.pi / self.spokes
        return np.mod(self.start + step * np.arange(self.spokes), 2 * math.pi)

    @property
    def radii(self) -> FloatArray:
        """The r_j in radians per pixel, (samples,), float64."""
        return _line(self.samples)

    def points(self) -> FloatArray:
        """The frequencies (spokes, samples, 2), float64."""
        direction = np.stack([np.sin(self.angles), np.cos(self.angles)], axis=-1)
        return self.radii[:, None] * direction[:, None, :]


@dataclass(frozen=True)
class Spiral:
    """Spiral trajectory: Archimedean spirals from k = 0 to |k| = π in two dimensions.

    k(m, j) = π τ_j (sin φ, cos φ) in (ky, kx) with φ = 2π (turns·τ_j + m/interleaves) and
    τ_j = (j/(samples - 1))^exponent. Neighbouring arms are 2π/(2·turns·interleaves) apart, so that
    turns·interleaves ≥ n/2 resolves n pixels.

    Attributes:
        interleaves: Number of arms.
        samples: Number of samples per arm, at least 2.
        turns: Number of turns per arm.
        exponent: Exponent of τ: 1 puts equally many samples on every turn; towards 0.5 they are
            evenly distributed in the disc, which leaves a gap around k = 0 where there are many
            arms.

    Raises:
        GeometryError: A count or number is not positive.
    """

    interleaves: int
    samples: int
    turns: float
    exponent: float = 1.0

    def __post_init__(self) -> None:
        _store_counts(self, "interleaves", "samples")
        _store_numbers(self, "turns", "exponent")
        if self.samples < 2 or not (self.turns > 0 and self.exponent > 0):
            raise GeometryError(
                describe(
                    expected="at least 2 samples, turns > 0 and exponent > 0",
                    found=f"{self}",
                    fix="for one sample for each interleave give the samples as Points",
                )
            )

    @property
    def axes(self) -> int:
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        """The number of interleaves and of samples, (interleaves, samples)."""
        return self.interleaves, self.samples

    def points(self) -> FloatArray:
        """The frequencies (interleaves, samples, 2), float64."""
        tau = np.linspace(0, 1, self.samples) ** self.exponent
        arm = np.arange(self.interleaves)[:, None] / self.interleaves
        phase = 2 * math.pi * (self.turns * tau + arm)
        return math.pi * tau[:, None] * np.stack([np.sin(phase), np.cos(phase)], axis=-1)


@dataclass(frozen=True)
class Kooshball:
    """Three-dimensional radial trajectory: diameters of the ball |k| ≤ π by the golden means.

    Spoke s points to the height z = {s·φ₁} and the azimuth 2π{s·φ₂}, where {·} is the fractional
    part, φ₁ = .4656 and φ₂ = .6823 (Chan et al., Magn. Reson. Med. 61(2), 2009); radii as in
    :class:`Radial`.

    Attributes:
        directions: Number of spokes.
        samples: Number of samples per spoke.

    Raises:
        GeometryError: A count is not positive.
    """

    directions: int
    samples: int

    def __post_init__(self) -> None:
        _store_counts(self, "directions", "samples")

    @property
    def axes(self) -> int:
        return 3

    @property
    def shape(self) -> tuple[int, int]:
        """The number of interleaves and of samples, (directions, samples)."""
        return self.directions, self.samples

    @property
    def radii(self) -> FloatArray:
        """The r_j in radians per pixel, (samples,), float64."""
        return _line(self.samples)

    def points(self) -> FloatArray:
        """The frequencies (directions, samples, 3), float64."""
        index = np.arange(self.directions)
        height, turn = (np.mod(index * mean, 1.0) for mean in _GOLDEN_MEANS)
        flat, phase = np.sqrt(1 - height**2), 2 * math.pi * turn
        direction = np.stack([height, flat * np.sin(phase), flat * np.cos(phase)], axis=-1)
        return self.radii[:, None] * direction[:, None, :]


@dataclass(frozen=True)
class Stacked:
    """Stack of stars or stack of spirals: a planar trajectory repeated for every Cartesian kz.

    Interleave p·(interleaves of the plane) + s is interleave s at kz = 2π (p - ⌊P/2⌋)/P.

    Attributes:
        plane: Trajectory in (ky, kx).
        partitions: Number P of planes.

    Raises:
        GeometryError: The count is not positive, or the trajectory is not two-dimensional.
    """

    plane: Radial | Spiral
    partitions: int

    def __post_init__(self) -> None:
        _store_counts(self, "partitions")
        if not isinstance(self.plane, Radial | Spiral):
            raise GeometryError(
                describe(
                    expected="a Radial or Spiral plane",
                    found=f"{type(self.plane).__name__}",
                    fix="write Stacked(Radial(spokes, samples), partitions), or use Points",
                )
            )

    @property
    def axes(self) -> int:
        return 3

    @property
    def shape(self) -> tuple[int, int]:
        """The number of interleaves and samples, (partitions · planar interleaves, samples)."""
        interleaves, samples = self.plane.shape
        return self.partitions * interleaves, samples

    def points(self) -> FloatArray:
        """The frequencies (partitions · interleaves of the plane, samples, 3), float64."""
        plane = self.plane.points()
        kz = np.broadcast_to(
            _line(self.partitions)[:, None, None, None],
            (self.partitions, *plane.shape[:-1], 1),
        )
        inside = np.broadcast_to(plane, (self.partitions, *plane.shape))
        return np.concatenate([kz, inside], axis=-1).reshape(*self.shape, 3)


@dataclass(frozen=True)
class Points:
    """A trajectory of arbitrary sampling points.

    Attributes:
        values: Frequencies (interleave, sample, axis) in radians per pixel: nested sequences, an
            array or a tensor, stored as tuples so that the spec can be hashed. Long trajectories
            are better given by ``with_tensors({"trajectory": ...})``.

    Raises:
        GeometryError: The values do not have three axes, the last of 2 or 3 entries, or lie beyond
            ±2π.
    """

    values: tuple[tuple[tuple[float, ...], ...], ...]

    def __post_init__(self) -> None:
        points = _points_array(self.values)
        require_frequencies(float(np.abs(points).max(initial=0.0)))
        nested = tuple(tuple(tuple(map(float, k)) for k in arm) for arm in points)
        object.__setattr__(self, "values", nested)

    @property
    def axes(self) -> int:
        return len(self.values[0][0])

    @property
    def shape(self) -> tuple[int, int]:
        """The number of interleaves and of samples, (interleaves, samples)."""
        return len(self.values), len(self.values[0])

    def points(self) -> FloatArray:
        """The frequencies (interleaves, samples, axes), float64."""
        return np.array(self.values, dtype=np.float64)


Trajectory: TypeAlias = Radial | Spiral | Kooshball | Stacked | Points
TRAJECTORIES = (Radial, Spiral, Kooshball, Stacked, Points)


def require_frequencies(largest: float) -> None:
    """Check that frequencies are finite and within ±2π radians per pixel.

    Beyond ±π they alias, which a step of a learned trajectory may cause; frequencies in cycles per
    field of view are far beyond.

    Args:
        largest: Largest magnitude of a frequency, in radians per pixel.

    Raises:
        GeometryError: The largest frequency is not finite or beyond ±2π.
    """
    if not largest <= MOST:
        raise GeometryError(
            describe(
                expected="frequencies in radians per pixel, within ±π or little more",
                found=f"one of magnitude {largest:.6g}",
                fix="multiply cycles per field of view by 2π/n, n the pixels of that axis",
            )
        )


def _line(samples: int) -> FloatArray:
    """The frequencies of a centred discrete Fourier transform."""
    return 2 * math.pi * (np.arange(samples) - samples // 2) / samples


def _points_array(values: Sequence[Any]) -> FloatArray:
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _not_points(f"{values!r:.80}") from error
    if points.ndim != 3 or 0 in points.shape or points.shape[-1] not in {2, 3}:
        raise _not_points(f"an array of shape {points.shape}")
    return points


def _not_points(found: str) -> GeometryError:
    return GeometryError(
        describe(
            expected="samples (interleave, sample, axis) with 2 or 3 axes, equally many samples"
            " in every interleave",
            found=found,
            fix="add an axis for a single interleave: points[None]",
        )
    )


def _store_counts(spec: object, *names: str) -> None:
    for name in names:
        if (given := store(spec, name, count)) < 1:
            raise GeometryError(
                describe(
                    expected=f"{name} of at least 1",
                    found=f"{given}",
                    fix="give a count",
                )
            )


def _store_numbers(spec: object, *names: str) -> None:
    for name in names:
        if not math.isfinite(store(spec, name, number)):
            raise GeometryError(
                describe(expected=f"a finite {name}", found=f"{spec!r:.80}", fix="give a number")
            )
