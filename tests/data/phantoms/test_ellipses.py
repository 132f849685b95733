from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from learnedrecon.data.phantoms.ellipses import (
    ELLIPSE_PRESETS,
    EllipsePreset,
    ellipse_image,
    ellipse_phantom,
    ellipse_preset,
    normalise,
    pixel_centres,
    sample_ellipses,
)
from learnedrecon.data.seeds import Split, seed_sequence
from learnedrecon.errors import ConfigError, DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

GOLDEN_SHAPE = (43, 6)
GOLDEN_ROW = [
    0.45001704929585873,
    0.18049607927924244,
    0.5960968673007149,
    -0.022970180621612712,
    -0.5548906760289501,
    4.925385406836193,
]

SIGMAS = 4.5  # a correct law misses one such bound in 150 000


def raw_moment_of_value(preset: EllipsePreset, k: int) -> float:
    """E[(U X)^k] = E[U^k] k! s^k for U uniform on [low, high] and X exponential of mean s."""
    low, high = preset.value_low, preset.value_high
    uniform = (high ** (k + 1) - low ** (k + 1)) / ((k + 1) * (high - low))
    if preset.value_scale is None:
        return float(uniform)
    return float(uniform * stats.expon.moment(k, scale=preset.value_scale))


@pytest.fixture(scope="module", params=list(ELLIPSE_PRESETS))
def drawn(request: pytest.FixtureRequest) -> tuple[EllipsePreset, list[FloatArray]]:
    rng = np.random.default_rng(7)
    preset = ellipse_preset(request.param)
    return preset, [sample_ellipses(preset, rng) for _ in range(1500)]


def brute_force(ellipses: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Every pixel against every ellipse, rotated as complex numbers."""
    ny, nx = shape
    x = np.linspace(-1 + 1 / nx, 1 - 1 / nx, nx)
    y = np.linspace(-1 + 1 / ny, 1 - 1 / ny, ny)
    z = x[None, :] + 1j * y[:, None]
    image = np.zeros(shape)
    for value, a, b, x0, y0, rotation in ellipses:
        turned = (z - (x0 + 1j * y0)) * np.exp(-1j * rotation)
        image[(turned.real / a) ** 2 + (turned.imag / b) ** 2 <= 1] += value
    return image


PAPERS = {
    # number, at most, value: low, high, factor; centre, to [0, 1], noise
    "adler2017": (100, None, -0.3, 0.7, 0.3, 0.5, False, 0.05),
    "adler2018": (50, None, -0.5, 0.5, 0.4, 1.0, False, 0.05),
    "dival": (40, 70, -0.4, 1.0, None, 0.9, True, 0.025),
}


def test_presets_are_those_of_the_papers() -> None:
    assert {name: dataclasses.astuple(preset) for name, preset in ELLIPSE_PRESETS.items()} == PAPERS


def test_number_is_poisson(drawn: tuple[EllipsePreset, list[FloatArray]]) -> None:
    preset, draws = drawn
    rate = preset.mean_number
    numbers = np.array([len(ellipses) for ellipses in draws])
    # Cutting Poisson(40) at 70 changes the mean by less than 1e-5.
    assert abs(numbers.mean() - rate) < SIGMAS * np.sqrt(rate / len(draws))
    assert abs(numbers.var() - rate) < SIGMAS * np.sqrt((2 * rate**2 + rate) / len(draws))


def test_number_is_cut() -> None:
    preset = dataclasses.replace(ellipse_preset("dival"), mean_number=80.0)
    rng = np.random.default_rng(0)
    numbers = [len(sample_ellipses(preset, rng)) for _ in range(200)]
    assert max(numbers) == 70
    assert np.mean(np.array(numbers) == 70) > 0.8  # P(Poisson(80) >= 70) = .88


def test_values_have_the_moments_of_their_law(
    drawn: tuple[EllipsePreset, list[FloatArray]],
) -> None:
    preset, draws = drawn
    values = np.concatenate(draws)[:, 0]
    for k in (1, 2, 3):
        moment = raw_moment_of_value(preset, k)
        variance = raw_moment_of_value(preset, 2 * k) - moment**2
        assert abs(np.mean(values**k) - moment) < SIGMAS * np.sqrt(variance / len(values))


def test_geometry_follows_its_laws(drawn: tuple[EllipsePreset, list[FloatArray]]) -> None:
    preset, draws = drawn
    _, a, b, x, y, rotation = np.concatenate(draws).T
    for semi_axis in (a, b):
        assert stats.kstest(semi_axis, stats.expon(scale=0.2).cdf).pvalue > 1e-4
    for centre in (x, y):
        law = stats.uniform(-preset.centre, 2 * preset.centre)
        assert stats.kstest(centre, law.cdf).pvalue > 1e-4
    assert stats.kstest(rotation, stats.uniform(0, 2 * np.pi).cdf).pvalue > 1e-4


def test_columns_are_independent(drawn: tuple[EllipsePreset, list[FloatArray]]) -> None:
    _, draws = drawn
    columns = np.concatenate(draws)
    standardised = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    for i, j in combinations(range(6), 2):
        correlation = np.mean(standardised[:, i] * standardised[:, j])
        assert abs(correlation) < SIGMAS / np.sqrt(len(columns))


@given(seed=st.integers(0, 10**6), ny=st.integers(1, 60), nx=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_rendering_agrees_with_brute_force(seed: int, ny: int, nx: int) -> None:
    rng = np.random.default_rng(seed)
    preset = ellipse_preset(sorted(ELLIPSE_PRESETS)[seed % 3])
    ellipses = sample_ellipses(preset, rng)
    ellipses[:5, 3:5] *= 3.0  # some lie partly or wholly outside
    ellipses[5:8, 1:3] *= 1e-3  # some fall between the pixels
    # The sums are in the same order, so only a pixel within rounding of a border could differ.
    np.testing.assert_allclose(
        ellipse_image(ellipses, (ny, nx)), brute_force(ellipses, (ny, nx)), rtol=0, atol=1e-13
    )


def test_axes_rotation_and_centre_point_where_they_should() -> None:
    ellipse = np.array([[2.0, 0.5, 0.1, 0.25, -0.25, np.pi / 2]])  # long side along y
    image = ellipse_image(ellipse, (128, 96))
    rows, columns = np.nonzero(image)
    assert set(np.unique(image)) == {0.0, 2.0}
    assert np.isclose(pixel_centres(128)[rows].mean(), -0.25, atol=1e-12)
    assert np.isclose(pixel_centres(96)[columns].mean(), 0.25, atol=1e-12)
    assert abs(np.ptp(pixel_centres(128)[rows]) - 1.0) < 2 * 2 / 128
    assert abs(np.ptp(pixel_centres(96)[columns]) - 0.2) < 2 * 2 / 96


def test_mass_converges_to_value_times_area() -> None:
    ellipse = np.array([[3.0, 0.6, 0.3, 0.1, -0.2, 0.7]])
    exact = 3.0 * np.pi * 0.6 * 0.3
    for size in (64, 256, 1024):
        mass = ellipse_image(ellipse, (size, size)).sum() * (2 / size) ** 2
        # At most the pixels that the border meets are wrong by half of their area.
        perimeter_pixels = 4 * (0.6 + 0.3) * size / 2
        assert abs(mass - exact) < 3.0 * 0.5 * perimeter_pixels * (2 / size) ** 2
    assert abs(mass / exact - 1) < 1e-4


def test_no_ellipses_is_an_empty_image() -> None:
    assert not ellipse_image(np.empty((0, 6)), (4, 5)).any()


def test_normalise_against_the_formula() -> None:
    image = np.array([[0.0, -0.5, 1.5], [0.0, 0.5, -0.25]])
    expected = np.array([[0.0, 0.0, 1.0], [0.0, 0.5, 0.125]])
    np.testing.assert_array_equal(normalise(image), expected)


def test_normalise_takes_the_minimum_over_the_background_too() -> None:
    positive = np.array([[0.0, 1.0, 4.0]])
    np.testing.assert_array_equal(normalise(positive), [[0.0, 0.25, 1.0]])
    covered = np.array([[2.0, 3.0, 6.0]])
    np.testing.assert_array_equal(normalise(covered), [[0.0, 0.25, 1.0]])


@pytest.mark.parametrize("value", [0.0, 2.0, -2.0])
def test_normalise_of_a_constant_is_zero(value: float) -> None:
    np.testing.assert_array_equal(normalise(np.full((3, 3), value)), np.zeros((3, 3)))


def test_normalise_of_one_negative_value_on_background_is_zero() -> None:
    np.testing.assert_array_equal(normalise(np.array([[0.0, -1.0]])), [[0.0, 0.0]])


def test_dival_phantoms_lie_in_the_unit_interval() -> None:
    preset = ellipse_preset("dival")
    for index in range(50):
        image = ellipse_phantom(preset, index, 64, seed=3, split="test")
        assert image.dtype == np.float32
        assert (image.min(), image.max()) == (0.0, 1.0)


def test_adler_phantoms_are_plain_sums() -> None:
    preset = ellipse_preset("adler2017")
    rng = np.random.default_rng(seed_sequence(3, "train", 5, purpose="phantom"))
    expected = brute_force(sample_ellipses(preset, rng), (64, 64))
    image = ellipse_phantom(preset, 5, 64, seed=3, split="train")
    assert image.min() < 0
    np.testing.assert_allclose(image, expected, rtol=1e-6, atol=1e-7)


def test_a_phantom_depends_on_its_index_alone() -> None:
    preset = ellipse_preset("dival")

    def draw(index: int) -> NDArray[np.float32]:
        return ellipse_phantom(preset, index, 32, seed=1, split="train")

    forwards = [draw(index) for index in range(8)]
    backwards = [draw(index) for index in reversed(range(8))][::-1]
    with ThreadPoolExecutor(3) as pool:
        parallel = list(pool.map(draw, range(8)))
    np.testing.assert_array_equal(forwards, backwards)
    np.testing.assert_array_equal(forwards, parallel)


def test_no_two_streams_are_the_same() -> None:
    preset = ellipse_preset("dival")
    images = [
        ellipse_phantom(preset, index, 32, seed=seed, split=split).tobytes()
        for seed in (0, 1, 2**32, 2**32 + 1)
        for split in get_args(Split)
        for index in (0, 1, 2, 2**32)
    ]
    assert len(set(images)) == len(images)


def test_phantom_and_noise_streams_differ() -> None:
    states = {
        tuple(seed_sequence(0, "train", 0, purpose=purpose).generate_state(4).tolist())
        for purpose in ("phantom", "noise")
    }
    assert len(states) == 2


def test_the_stream_never_changes() -> None:
    """The data set of a paper is its seed: a change here must be on purpose."""
    rng = np.random.default_rng(seed_sequence(42, "validation", 17, purpose="phantom"))
    ellipses = sample_ellipses(ellipse_preset("dival"), rng)
    assert ellipses.shape == GOLDEN_SHAPE
    np.testing.assert_allclose(ellipses[0], GOLDEN_ROW, rtol=1e-14)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError, match="'divall'"):
        ellipse_preset("divall")


@pytest.mark.parametrize(
    ("seed", "split", "index", "named"),
    [(-1, "train", 0, "seed = -1"), (0, "train", -3, "index = -3"), (0, "trian", 0, "'trian'")],
)
def test_a_wrong_stream_is_named(seed: int, split: Split, index: int, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        ellipse_phantom(ellipse_preset("dival"), index, 8, seed=seed, split=split)


def test_wrong_ellipses_are_named() -> None:
    good = [1.0, 0.1, 0.1, 0.0, 0.0, 0.0]
    with pytest.raises(ShapeError, match=r"\(1, 5\)"):
        ellipse_image(np.array([good[:5]]), (4, 4))
    with pytest.raises(DataError, match="row 1"):
        ellipse_image(np.array([good, [1.0, 0.0, 0.1, 0.0, 0.0, 0.0]]), (4, 4))
    with pytest.raises(DataError, match="2 that are not, the first being row 0"):
        ellipse_image(np.array([[np.nan, *good[1:]], [np.inf, *good[1:]]]), (4, 4))
    with pytest.raises(ShapeError, match=r"\(0, 4\)"):
        ellipse_image(np.array([good]), (0, 4))
