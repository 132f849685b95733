"""Undersampling masks of two phase-encoding axes, and trajectories rounded to the grid.

k = 0 is at index n // 2 of an axis of n samples. Radii ρ are relative: ρ = 1 is the ellipse that
touches the sides of the grid. Every mask contains a fully sampled rectangle around k = 0, from
which coil maps can be estimated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import ConfigError, ShapeError, describe
from learnedrecon.operators.mri.sampling_lines import Seed, seed_words

if TYPE_CHECKING:
    from collections.abc import Callable

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
_JAMMING: Final = 0.696
"""Points per area at r = 1 when no further one fits: coverage .547 of discs of radius r/2."""
_GOLDEN: Final = math.pi * (math.sqrt(5.0) - 1.0) / 2.0
"""The angle between one spoke and the next: a half-turn over the golden ratio."""
_SURPLUS: Final = 1.02


def centre_mask(shape: tuple[int, int], size: int) -> BoolArray:
    """A fully sampled square around k = 0, from index n//2 - size//2 of each axis on.

    Args:
        shape: Shape of k-space, (ny, nx).
        size: Side of the square, in samples.

    Raises:
        ConfigError: ``size`` is negative or larger than an axis.
        ShapeError: The shape has no samples.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ShapeError(
            describe(
                expected="a k-space of shape (ky, kx)",
                found=str(shape),
                fix="ask for at least one sample in each direction",
            )
        )
    if not 0 <= size <= min(shape):
        raise ConfigError(
            describe(
                expected=f"a fully sampled centre of 0 to {min(shape)} samples a side",
                found=str(size),
                fix="choose another size for the centre ('calibration')",
            )
        )
    mask = np.zeros(shape, dtype=np.bool_)
    rows, columns = (slice(n // 2 - size // 2, n // 2 - size // 2 + size) for n in shape)
    mask[rows, columns] = True
    return mask


def relative_radius(shape: tuple[int, int]) -> FloatArray:
    """The relative radius ρ of every sample: √((2ky/ny)² + (2kx/nx)²), (ny, nx).

    Args:
        shape: Shape of k-space, (ny, nx).
    """
    y, x = (2.0 * (np.arange(n) - n // 2) / n for n in shape)
    return np.hypot(y[:, None], x[None, :])


def poisson_disc_mask(
    shape: tuple[int, int],
    *,
    acceleration: float,
    centre: int = 24,
    contrast: float = 4.0,
    seed: Seed = 0,
) -> BoolArray:
    """A variable-density Poisson disc mask: random samples with a minimal distance.

    Grid points are visited in random order, and a point is taken unless it lies closer than r(q) to
    a point q that was taken before, r = s·(1 + (``contrast`` - 1)·min(ρ, 1)) in samples. So any two
    samples p, q outside the centre are at least min(r(p), r(q)) apart. The scale s is chosen such
    that slightly too many are taken (2 %, or more where the grid does not let distances change
    smoothly: below R = 3 with contrast 1); the surplus is removed at random, so the number of
    samples, centre included, is exactly round(ny·nx/R).

    Bridson 2007 (Poisson discs); Vasanawala et al. 2011, ISBI, and Lustig and Pauly 2010, MRM 64
    (variable density for MRI).

    Args:
        shape: Shape of k-space, (ny, nx).
        acceleration: Acceleration factor R, at least 1.
        centre: Side of the fully sampled square, in samples.
        contrast: Ratio of the distances at ρ = 1 to those at ρ = 0; 1 is a uniform density.
        seed: Seed, as in :data:`learnedrecon.operators.mri.sampling_lines.Seed`.

    Returns:
        Boolean mask (ny, nx).

    Raises:
        ConfigError: A number is out of range, or the centre is larger than the whole mask may be.
        ShapeError: The shape has no samples.
    """
    middle = centre_mask(shape, centre)
    wanted = _wanted(middle, acceleration)
    if not contrast >= 1.0:
        raise ConfigError(
            describe(expected="a contrast of at least 1", found=str(contrast), fix="choose 1 to 10")
        )
    random = np.random.default_rng(seed_words(seed))
    order = random.permutation(middle.size)
    profile = 1.0 + (contrast - 1.0) * np.minimum(relative_radius(shape), 1.0)
    taken = _enough(lambda scale: _throw(scale * profile, order) | middle, profile, wanted)
    free = np.flatnonzero(taken & ~middle)
    surplus = int(taken.sum()) - wanted
    taken.flat[random.permutation(free)[:surplus]] = False
    return taken


def _enough(mask_at: Callable[[float], BoolArray], profile: FloatArray, wanted: int) -> BoolArray:
    """The mask with the fewest samples, but not below ``wanted``, that a search of the scale saw.

    The count falls with the scale, but not strictly. Where r ≤ 1 everything is taken.
    """
    low, high = 1.0 / float(profile.max()), 2.0 * math.sqrt(_JAMMING * profile.size / wanted)
    best = np.ones(profile.shape, dtype=np.bool_)
    scale = _first_guess(profile, wanted)
    for _ in range(16):
        mask = mask_at(scale)
        count = int(mask.sum())
        low, high = (low, scale) if count < wanted else (scale, high)
        if wanted <= count < best.sum():
            best = mask
        if wanted <= count <= _SURPLUS * wanted:
            break
        # The first guess is near, so the first steps are short.
        scale = min(max(0.5 * (low + high), 0.9 * scale), 1.1 * scale)
    return best


def _first_guess(profile: FloatArray, wanted: int) -> float:
    """The scale at which discs that fill the plane would give so many samples."""
    low, high = 1e-3, 1e3
    for _ in range(40):
        scale = math.sqrt(low * high)
        count = np.minimum(1.0, _JAMMING / (scale * profile) ** 2).sum()
        low, high = (scale, high) if count > wanted else (low, scale)
    return 0.97 * low


def _throw(radius: FloatArray, order: NDArray[np.int64]) -> BoolArray:
    """Takes points in this order, each unless it lies inside the disc of one taken before."""
    ny, nx = radius.shape
    free = bytearray(b"\x01" * radius.size)
    margin = np.frombuffer(free, dtype=np.uint8).reshape(ny, nx)
    taken = np.zeros((ny, nx), dtype=np.bool_)
    reach = np.ceil(radius).astype(np.int64) - 1
    squares = np.arange(-int(reach.max()), int(reach.max()) + 1) ** 2
    origin = len(squares) // 2
    for point in order.tolist():
        if not free[point]:
            continue
        iy, ix = divmod(point, nx)
        taken[iy, ix] = True
        r, limit = int(reach[iy, ix]), float(radius[iy, ix]) ** 2
        top, bottom, left, right = max(iy - r, 0), iy + r + 1, max(ix - r, 0), ix + r + 1
        box = margin[top:bottom, left:right]
        dy = squares[origin + top - iy : origin + top - iy + box.shape[0], None]
        dx = squares[None, origin + left - ix : origin + left - ix + box.shape[1]]
        box[dy + dx < limit] = 0
    return taken


def radial_mask(
    shape: tuple[int, int], *, acceleration: float, centre: int = 24, seed: Seed = 0
) -> BoolArray:
    """A radial mask: spokes through k = 0 at the golden angle, rounded to the grid.

    Spoke j is k(t) = t·(ny/2·sin θ_j, nx/2·cos θ_j), -1 ≤ t ≤ 1, θ_j = θ_0 + 111.25°·j, θ_0
    drawn. So many spokes are taken that the number of samples comes as close to ny·nx/R as whole
    spokes allow; the corners outside ρ = 1 stay empty.

    Winkelmann et al. 2007, IEEE TMI 26 (the golden angle).

    Args:
        shape: Shape of k-space, (ny, nx).
        acceleration: Acceleration factor R, at least 1.
        centre: Side of the fully sampled square, in samples.
        seed: Seed, as in :data:`learnedrecon.operators.mri.sampling_lines.Seed`.

    Returns:
        Boolean mask (ny, nx), whose number of samples differs from ny·nx/R by fewer than max(ny,
        nx)/2 + 1.

    Raises:
        ConfigError: A number is out of range, or spokes cannot reach so many samples.
        ShapeError: The shape has no samples.
    """
    mask = centre_mask(shape, centre)
    wanted = _wanted(mask, acceleration)
    _check_reach(shape, mask, wanted)
    first = np.random.default_rng(seed_words(seed)).uniform(0.0, math.pi)
    steps = np.linspace(-1.0, 1.0, max(shape) + 1)
    before = mask.copy()
    spoke = 0
    while mask.sum() < wanted:
        before = mask.copy()
        angle = first + spoke * _GOLDEN
        mask[_rounded(shape, steps * math.sin(angle), steps * math.cos(angle))] = True
        spoke += 1
    return before if wanted - before.sum() < mask.sum() - wanted else mask


def spiral_mask(
    shape: tuple[int, int],
    *,
    acceleration: float,
    centre: int = 24,
    arms: int = 8,
    seed: Seed = 0,
) -> BoolArray:
    """A spiral mask: Archimedean spirals rounded to the grid.

    Arm j is k(t) = t·(ny/2·sin φ, nx/2·cos φ), 0 ≤ t ≤ 1, φ = φ_0 + 2πj/arms + 2π·turns·t, φ_0
    drawn. The number of turns, a real number, is chosen such that the number of samples is as close
    to ny·nx/R as possible; the corners outside ρ = 1 stay empty.

    Args:
        shape: Shape of k-space, (ny, nx).
        acceleration: Acceleration factor R, at least 1.
        centre: Side of the fully sampled square, in samples.
        arms: Number of interleaves.
        seed: Seed, as in :data:`learnedrecon.operators.mri.sampling_lines.Seed`.

    Returns:
        Boolean mask (ny, nx). From 128² on its number of samples is within 1 % of ny·nx/R, but
        never below that of ``arms`` straight lines.

    Raises:
        ConfigError: A number is out of range, or spirals cannot reach so many samples.
        ShapeError: The shape has no samples.
    """
    mask = centre_mask(shape, centre)
    wanted = _wanted(mask, acceleration)
    _check_reach(shape, mask, wanted)
    if arms < 1:
        raise ConfigError(
            describe(expected="one or more arms", found=str(arms), fix="choose 1 to 64 arms")
        )
    start = np.random.default_rng(seed_words(seed)).uniform(0.0, 2.0 * math.pi)
    low, high = 0.0, 1.5 * max(shape) / arms
    masks = []
    for _ in range(16):
        turns = 0.5 * (low + high)
        masks.append(mask | _spiral(shape, turns, arms, start))
        low, high = (turns, high) if masks[-1].sum() < wanted else (low, turns)
    return min(masks, key=lambda found: abs(int(found.sum()) - wanted))


def _spiral(shape: tuple[int, int], turns: float, arms: int, start: float) -> BoolArray:
    """Steps of at most half a sample: t grows by the square root where circles are long."""
    length = max(shape) * (1.0 + math.pi * turns)
    t = np.sqrt(np.linspace(0.0, 1.0, math.ceil(2.0 * length)))
    t = np.union1d(t, np.linspace(0.0, 1.0, 2 * max(shape)))
    phase = start + 2.0 * math.pi * (turns * t + np.arange(arms)[:, None] / arms)
    mask = np.zeros(shape, dtype=np.bool_)
    mask[_rounded(shape, t * np.sin(phase), t * np.cos(phase))] = True
    return mask


def _rounded(
    shape: tuple[int, int], y: FloatArray, x: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of relative positions in [-1, 1]², ±1 being the outermost samples of both sides."""
    ny, nx = shape
    rows = np.clip(np.floor(y * (ny / 2) + ny // 2 + 0.5), 0, ny - 1)
    columns = np.clip(np.floor(x * (nx / 2) + nx // 2 + 0.5), 0, nx - 1)
    return rows.astype(np.int64), columns.astype(np.int64)


def _wanted(centre: BoolArray, acceleration: float) -> int:
    """The number of samples that an acceleration stands for."""
    if not acceleration >= 1.0 or math.isinf(acceleration):
        raise ConfigError(
            describe(
                expected="a finite acceleration of 1 or more",
                found=str(acceleration),
                fix="choose one such as 4",
            )
        )
    wanted = round(centre.size / acceleration)
    if wanted < max(int(centre.sum()), 1):
        raise ConfigError(
            describe(
                expected=f"a centre of at most {wanted} samples, all that acceleration "
                f"{acceleration:g} leaves",
                found=f"{int(centre.sum())}",
                fix="lower the acceleration, or take a smaller centre ('calibration')",
            )
        )
    return wanted


def _check_reach(shape: tuple[int, int], centre: BoolArray, wanted: int) -> None:
    reach = int(((relative_radius(shape) <= 1.0) | centre).sum())
    if wanted > 0.95 * reach:
        raise ConfigError(
            describe(
                expected=f"an acceleration of at least {centre.size / (0.95 * reach):.2f}, as the "
                "corners of k-space stay empty",
                found=f"{centre.size / wanted:.2f}",
                fix="raise the acceleration, or use another kind of mask",
            )
        )
