"""The lines that fastMRI's own code chose, and what it cannot choose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from learnedrecon.errors import ConfigError
from learnedrecon.operators.mri.sampling_lines import LineKind, line_mask, seed_words

if TYPE_CHECKING:
    from learnedrecon.operators.mri.sampling_lines import BoolArray, Seed

GOLDEN = json.loads(
    (Path(__file__).parent / "golden" / "fastmri_masks.json").read_text(encoding="utf-8")
)
KINDS: tuple[LineKind, ...] = get_args(LineKind)


def draw(
    kind: LineKind, width: int, acceleration: int, fraction: float, seed: Seed = 1
) -> BoolArray:
    return line_mask(
        kind, width, accelerations=(acceleration,), centre_fractions=(fraction,), seed=seed
    )


def cases(kind: LineKind) -> list[dict[str, Any]]:
    return [case for case in GOLDEN["cases"] if case["kind"] == kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_are_those_of_fastmri(kind: LineKind) -> None:
    """300 vectors in all: 5 kinds, 6 widths, 5 choices of (R, fraction), 2 file names."""
    assert len(cases(kind)) == 60
    for case in cases(kind):
        mask = line_mask(
            kind,
            case["width"],
            accelerations=tuple(case["accelerations"]),
            centre_fractions=tuple(case["centre_fractions"]),
            seed=case["name"],
        )
        assert mask.dtype == np.bool_
        assert np.flatnonzero(mask).tolist() == case["columns"], case


def test_a_name_stands_for_its_code_points() -> None:
    name = "file1000000.h5"
    assert seed_words(name) == tuple(map(ord, name))
    mask = draw("random", 368, 4, 0.08, name)
    np.testing.assert_array_equal(mask, draw("random", 368, 4, 0.08, tuple(map(ord, name))))
    assert (mask != draw("random", 368, 4, 0.08, "file1000001.h5")).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 3, 15, 16, 368])
def test_the_centre_is_sampled(kind: LineKind, width: int) -> None:
    centre = max(round(0.25 * width), kind == "magic_fraction")
    mask = draw(kind, width, 2, 0.25)
    start = (width - centre + 1) // 2
    assert mask.shape == (width,)
    assert mask[start : start + centre].all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_centre_of_the_full_width_is_a_full_mask(kind: LineKind) -> None:
    if kind == "magic_fraction":
        assert draw(kind, 20, 1, 1.0).all()
    else:
        assert draw(kind, 20, 4, 1.0).all()


def test_a_random_mask_that_has_its_lines_in_the_centre_has_no_others() -> None:
    """The probability (W/R - n)/(W - n) is negative: fastMRI leaves the centre alone."""
    assert draw("random", 100, 8, 0.3).sum() == 30


def test_an_acceleration_of_one_samples_everything() -> None:
    assert draw("random", 50, 1, 0.08).all()
    assert draw("equispaced", 50, 1, 0.08).all()


def test_fractions_give_the_acceleration_in_all() -> None:
    """To two lines of rounding; the equispaced mask has more."""
    for seed in range(20):
        assert abs(draw("equispaced_fraction", 368, 4, 0.08, seed).sum() - 92) <= 2
        assert draw("equispaced", 368, 4, 0.08, seed).sum() > 100
        assert abs(draw("magic_fraction", 368, 4, 0.08, seed).sum() - 92) <= 12


def test_the_mean_number_of_random_lines_is_right() -> None:
    counts = [draw("random", 368, 4, 0.08, seed).sum() for seed in range(400)]
    p = (92 - 29) / (368 - 29)
    error = np.sqrt(339 * p * (1 - p) / 400)
    assert abs(np.mean(counts) - 92) < 4.5 * error


def test_magic_lines_do_not_fall_on_their_mirror_images() -> None:
    """For even R, k and -k are never both taken outside the centre (Defazio 2019)."""
    for seed in range(8):
        mask = draw("magic", 368, 4, 0.0, seed)
        assert not (mask[1:] & mask[1:][::-1]).any()
        assert mask.sum() in {91, 92, 93}


@pytest.mark.parametrize("kind", ["equispaced_fraction", "magic_fraction"])
def test_a_centre_that_leaves_no_line_is_refused(kind: LineKind) -> None:
    with pytest.raises(ConfigError, match="fewer lines in the centre"):
        draw(kind, 100, 4, 0.25)
    if kind == "equispaced_fraction":
        with pytest.raises(ConfigError, match="lower the centre fraction"):
            draw(kind, 100, 4, 0.4)


@pytest.mark.parametrize(
    ("accelerations", "fractions", "message"),
    [
        ((), (), "one or more accelerations"),
        ((4, 8), (0.08,), "2 accelerations, 1 fractions"),
        ((0,), (0.08,), "1 or more"),
        ((4,), (1.2,), r"in \[0, 1\]"),
        ((4,), (float("nan"),), r"in \[0, 1\]"),
    ],
)
def test_numbers_out_of_range_are_refused(
    accelerations: tuple[int, ...], fractions: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        line_mask("random", 32, accelerations=accelerations, centre_fractions=fractions, seed=0)


@pytest.mark.parametrize("seed", ["", (), -1, 2**32])
def test_seeds_out_of_range_are_refused(seed: Seed) -> None:
    with pytest.raises(ConfigError, match="seed of one or more numbers"):
        draw("random", 32, 4, 0.08, seed)


def test_no_lines_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one line"):
        draw("random", 0, 4, 0.08)
