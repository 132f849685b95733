"""Sampling rules of the fastMRI challenge for phase-encoding lines, reproduced exactly.

Each function draws the lines outside the centre and adds the centre: ``centre`` lines from
``(width - centre + 1) // 2`` on, ``centre = round(width · fraction)``. The numbers come from the
legacy ``RandomState`` of numpy, whose stream never changes: a file name gives the same mask on
every machine.

Zbontar et al. 2018, arXiv:1811.08839, and the challenge's public ``subsample.py``, whose rules this
file implements; the tests compare it with masks drawn by that file. Offset ("magic") sampling is
Defazio 2019, arXiv:1912.01101.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BoolArray = NDArray[np.bool_]
LineKind = Literal["random", "equispaced", "equispaced_fraction", "magic", "magic_fraction"]
Seed = int | tuple[int, ...] | str
"""An int, a tuple of ints, or a file name, which stands for the code points of its characters."""


def seed_words(seed: Seed) -> int | tuple[int, ...]:
    """The integers of a seed; fastMRI seeds a mask by ``tuple(map(ord, filename))``.

    Args:
        seed: An int, a tuple of ints, or a file name.

    Raises:
        ConfigError: The name or tuple is empty, or a number is outside [0, 2³²).
    """
    words = tuple(map(ord, seed)) if isinstance(seed, str) else seed
    numbers = words if isinstance(words, tuple) else (words,)
    if not numbers or not all(0 <= number < 2**32 for number in numbers):
        raise ConfigError(
            describe(
                expected="a seed of one or more numbers in [0, 2^32), or a file name",
                found=repr(seed),
                fix="choose another seed",
            )
        )
    return words


def line_mask(
    kind: LineKind,
    width: int,
    *,
    accelerations: tuple[int, ...],
    centre_fractions: tuple[float, ...],
    seed: Seed,
) -> BoolArray:
    """A mask of lines, exactly as fastMRI draws it.

    ``random``: every line with probability (W/R - n)/(W - n), where n is the number of lines in the
    centre. ``equispaced``: every R-th line, so more than W/R lines in all. ``equispaced_fraction``:
    a wider step, R(n - W)/(nR - W), that gives about W/R lines in all. ``magic``: every R-th line,
    those of negative frequency shifted so that their mirror images fall between the others.
    ``magic_fraction``: the same with the step round(W/(round(W/R) - n)).

    Args:
        kind: Name of the rule.
        width: Number of lines W, at least 1.
        accelerations: Acceleration factors R, one of which is drawn.
        centre_fractions: Fraction of the lines in the centre, one per acceleration.
        seed: An int, a tuple of ints, or a file name.

    Returns:
        Boolean mask (width,), from the most negative frequency on.

    Raises:
        ConfigError: No mask has these properties, see :func:`check_lines`.
    """
    check_lines(accelerations, centre_fractions)
    if width < 1:
        raise _impossible("at least one line", f"a width of {width}", "ask for a positive width")
    random = np.random.RandomState(seed_words(seed))
    choice = random.randint(len(accelerations))
    acceleration = accelerations[choice]
    centre = centre_lines(kind, width, acceleration, centre_fractions[choice])
    if centre == width:
        return np.ones(width, dtype=np.bool_)
    mask = _RULES[kind](random, width, acceleration, centre)
    start = (width - centre + 1) // 2
    mask[start : start + centre] = True
    return mask


def centre_lines(kind: LineKind, width: int, acceleration: int, fraction: float) -> int:
    """The number of lines in the fully sampled centre.

    Args:
        kind: Name of the rule.
        width: Number of lines.
        acceleration: Acceleration factor R.
        fraction: Fraction of the lines in the centre.
    """
    centre = round(width * fraction)
    if kind == "magic_fraction":
        centre = max(min(centre, round(width / acceleration)), 1)
    return centre


def check_lines(accelerations: tuple[int, ...], centre_fractions: tuple[float, ...]) -> None:
    """Check of accelerations and centre fractions, independent of the number of lines.

    Args:
        accelerations: Acceleration factors R.
        centre_fractions: Fraction of the lines in the centre, one per acceleration.

    Raises:
        ConfigError: There is not one fraction per acceleration, an acceleration is below 1, or a
            fraction is outside [0, 1].
    """
    if not accelerations or len(accelerations) != len(centre_fractions):
        raise ConfigError(
            describe(
                expected="one centre fraction for each of one or more accelerations",
                found=f"{len(accelerations)} accelerations, {len(centre_fractions)} fractions",
                fix="give both the same number of entries, such as (4, 8) and (0.08, 0.04)",
            )
        )
    if not all(acceleration >= 1 for acceleration in accelerations):
        raise _impossible("accelerations of 1 or more", str(accelerations), "correct them")
    if not all(0.0 <= fraction <= 1.0 for fraction in centre_fractions):
        raise _impossible("centre fractions in [0, 1]", str(centre_fractions), "correct them")


def _random(random: np.random.RandomState, width: int, acceleration: int, centre: int) -> BoolArray:
    """A probability below 0 leaves the centre alone, as in fastMRI."""
    probability = (width / acceleration - centre) / (width - centre)
    return random.uniform(size=width) < probability


def _equispaced(
    random: np.random.RandomState,
    width: int,
    acceleration: int,
    centre: int,  # noqa: ARG001 - the step does not depend on it
) -> BoolArray:
    mask = np.zeros(width, dtype=np.bool_)
    mask[random.randint(acceleration) :: acceleration] = True
    return mask


def _equispaced_fraction(
    random: np.random.RandomState, width: int, acceleration: int, centre: int
) -> BoolArray:
    """The last line is never taken, as in fastMRI."""
    _check_room(width, acceleration, centre)
    step = acceleration * (centre - width) / (centre * acceleration - width)
    offset = random.randint(round(step))
    mask = np.zeros(width, dtype=np.bool_)
    mask[np.around(np.arange(offset, width - 1, step)).astype(np.intp)] = True
    return mask


def _magic(
    random: np.random.RandomState,
    width: int,
    acceleration: int,
    centre: int,  # noqa: ARG001 - the step does not depend on it
) -> BoolArray:
    """Frequencies 0, 1, ... start at one offset and -1, -2, ... at another of the other parity."""
    offset = random.randint(acceleration)
    upwards, downwards = (offset + 1, offset + 2) if offset % 2 == 0 else (offset + 2, offset - 1)
    frequencies = np.arange(width) - width // 2
    rising = (frequencies >= upwards) & ((frequencies - upwards) % acceleration == 0)
    falling = (-1 - frequencies >= downwards) & ((-1 - frequencies - downwards) % acceleration == 0)
    return rising | falling


def _magic_fraction(
    random: np.random.RandomState, width: int, acceleration: int, centre: int
) -> BoolArray:
    _check_room(round(width / acceleration), 1, centre)
    return _magic(random, width, round(width / (round(width / acceleration) - centre)), centre)


_RULES: Final[Mapping[str, Callable[[np.random.RandomState, int, int, int], BoolArray]]] = (
    MappingProxyType(
        {
            "random": _random,
            "equispaced": _equispaced,
            "equispaced_fraction": _equispaced_fraction,
            "magic": _magic,
            "magic_fraction": _magic_fraction,
        }
    )
)


def _check_room(width: int, acceleration: int, centre: int) -> None:
    """The cases in which fastMRI divides by zero or asks for a negative random number."""
    if centre * acceleration >= width:
        raise _impossible(
            "fewer lines in the centre than there are in all",
            f"{centre} in the centre out of {width / acceleration:g}",
            "lower the centre fraction or the acceleration, or take 'equispaced' or 'magic'",
        )


def _impossible(expected: str, found: str, fix: str) -> ConfigError:
    return ConfigError(describe(expected=expected, found=found, fix=fix))
