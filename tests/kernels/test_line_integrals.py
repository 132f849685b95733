"""Against line integrals in closed form, as the pixels shrink.

Joseph's method is the rectangle rule along the main axis with linear interpolation across it. For
a function with two continuous derivatives that vanishes at the border both are of order 2. The
indicator of an ellipse jumps where a ray enters and leaves it. Point samples know these places to
a pixel: the mean error over the rays is of order 1 (0.99 to 1.10 are found here). Means over the
pixels know them better, but a jump sampled once per row leaves an error of that order still, with a
smaller factor, and tangents leave one of order 3/2: 1.2 to 1.5 are found. Smooth: 1.99 to 2.00.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import torch

from learnedrecon.kernels import joseph
from learnedrecon.kernels.joseph import RayGeometry2D

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIZES = (32, 64, 128, 256)
WIDTH, HEIGHT = 32.0, 40.0


class Profile(NamedTuple):
    """f(|z|) on the plane, and its integral over lines at distance s from 0."""

    value: Callable[[Array], Array]
    integral: Callable[[Array], Array]


def bump(k: int) -> Profile:
    """(1 - |z|²)^k inside the unit disc: B(1/2, k+1) (1 - s²)^(k+1/2)."""
    beta = math.sqrt(math.pi) * math.gamma(k + 1) / math.gamma(k + 1.5)
    return Profile(
        lambda r: np.where(r <= 1, (1 - np.minimum(r, 1) ** 2) ** k, 0.0),
        lambda s: beta * np.maximum(1 - s**2, 0) ** (k + 0.5),
    )


GAUSSIAN = Profile(
    lambda r: np.exp(-(r**2) / 2), lambda s: math.sqrt(2 * math.pi) * np.exp(-(s**2) / 2)
)
INDICATOR = bump(0)


class Body(NamedTuple):
    """A profile of z = R(-turn) (x - centre) / axes."""

    profile: Profile
    axes: tuple[float, float]
    centre: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0

    def local(self, xy: Array) -> Array:
        c, s = math.cos(self.turn), math.sin(self.turn)
        return xy @ np.array([[c, -s], [s, c]]) / np.array(self.axes)

    def image(self, n: int, *, means: int) -> torch.Tensor:
        """n columns and rows: means over means² points of each pixel."""
        y = (np.arange(n * means) - (n * means - 1) / 2) * HEIGHT / (n * means)
        x = (np.arange(n * means) - (n * means - 1) / 2) * WIDTH / (n * means)
        xy = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)
        radius = np.linalg.norm(self.local(xy - np.array(self.centre)), axis=-1)
        values = self.profile.value(radius).reshape(n, means, n, means)
        return torch.from_numpy(values.mean(axis=(1, 3)))

    def integrals(self, geometry: RayGeometry2D) -> Array:
        """With d the unit direction in z: (integral at distance |p x d|) / |dz/dt|."""
        direction = geometry.directions()
        direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        d = self.local(direction)
        speed = np.linalg.norm(d, axis=-1)
        p = self.local(geometry.pixel_centres() - np.array(self.centre))
        distance = np.abs(p[..., 0] * d[..., 1] - p[..., 1] * d[..., 0]) / speed
        return self.profile.integral(distance) / speed


def scan(n: int, *, fan: bool) -> RayGeometry2D:
    """37 irregular angles, 83 rays that cover the image; the same rays for every n."""
    theta = np.sort(np.random.default_rng(3).uniform(0, 2 * np.pi, 37))
    across = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    along = np.stack([-np.sin(theta), np.cos(theta)], axis=1)
    pitch = 0.7 if fan else 0.43
    first = across * (0.2 - pitch * 41) + 30.0 * along
    start = -50.0 * along if fan else along
    vectors = np.concatenate([start, first, pitch * across], axis=1)
    return RayGeometry2D(vectors, fan, 83, (n, n), (HEIGHT / n, WIDTH / n))


def mean_errors(body: Body, *, fan: bool, means: int) -> Array:
    errors = []
    for n in SIZES:
        geometry = scan(n, fan=fan)
        found = joseph.forward(body.image(n, means=means), geometry).numpy()
        expected = body.integrals(geometry)
        errors.append(np.abs(found - expected).mean() / np.abs(expected).max())
    return np.array(errors)


def order(errors: Array) -> float:
    """The slope of log error over log pixel."""
    return float(-np.polyfit(np.log(SIZES), np.log(errors), 1)[0])


SMOOTH = {
    "gaussian": Body(GAUSSIAN, (1.8, 1.8), (1.0, -0.7)),
    "elliptic gaussian": Body(GAUSSIAN, (2.3, 1.4), (-0.6, 1.1), 0.7),
    "bump": Body(bump(3), (10.0, 10.0)),
    "elliptic bump": Body(bump(4), (13.0, 8.0), (0.9, -0.4), -0.4),
}
SHARP = {
    "disc": Body(INDICATOR, (10.0, 10.0)),
    "disc off centre": Body(INDICATOR, (4.1, 4.1), (3.3, -6.2)),
    "ellipse": Body(INDICATOR, (13.0, 7.0), (0.5, 0.8), 0.6),
    "thin ellipse": Body(INDICATOR, (11.0, 2.5), (-1.0, 0.3), 2.1),
}


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions_converge_at_order_2(name: str, fan: bool) -> None:
    errors = mean_errors(SMOOTH[name], fan=fan, means=1)
    assert abs(order(errors) - 2) < 0.02
    assert errors[-1] < 1e-4


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("name", SHARP)
def test_point_samples_of_ellipses_converge_at_order_1(name: str, fan: bool) -> None:
    errors = mean_errors(SHARP[name], fan=fan, means=1)
    assert abs(order(errors) - 1) < 0.11
    assert errors[-1] < 2e-3


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("name", SHARP)
def test_pixel_means_of_ellipses_converge_between_order_1_and_3_halves(
    name: str, fan: bool
) -> None:
    errors = mean_errors(SHARP[name], fan=fan, means=8)
    assert 1.15 < order(errors) < 1.55
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("fan", [False, True])
def test_converges_to_the_right_number_of_millimetres(fan: bool) -> None:
    """Every ray of a smooth body, not the mean alone."""
    geometry = scan(256, fan=fan)
    body = SMOOTH["elliptic bump"]
    found = joseph.forward(body.image(256, means=1), geometry).numpy()
    np.testing.assert_allclose(found, body.integrals(geometry), rtol=0, atol=3e-3)
