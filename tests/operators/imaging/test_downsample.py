"""Downsampling against blur and decimation, and against an image library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from learnedrecon.errors import GeometryError
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.downsample import Downsample, Downsampling
from learnedrecon.operators.imaging.separable import Separable
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import named_from_plain, named_to_plain
from learnedrecon.testing import dense_matrix

DOUBLE = torch.float64
FILTERS = ("none", "box", "gaussian", "bicubic")


def downsample(*arguments: Any) -> Downsample:
    return Downsample(Downsampling(*arguments), DOUBLE)


@pytest.mark.parametrize("boundary", ["circular", "symmetric", "reflect", "edge", "zero"])
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("filtering", FILTERS)
def test_it_is_blur_and_decimation(filtering: str, factor: int, boundary: Any) -> None:
    decimation = Downsampling((12, 18), factor, filtering, boundary)  # type: ignore[arg-type]
    weights, first = decimation.line(factor)
    kernel: Any = np.outer(weights, weights)[::-1, ::-1]
    last = len(weights) - 1 + first
    blur = Blur(PointSpread((12, 18), kernel, boundary, (last, last)), DOUBLE)
    u = torch.randn(2, 12, 18, dtype=DOUBLE)
    expected = blur(u)[..., ::factor, ::factor]
    torch.testing.assert_close(Downsample(decimation, DOUBLE)(u), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_cubic_is_that_of_pillow_within_the_image(factor: int) -> None:
    u = torch.rand(48, 48, dtype=DOUBLE)
    value = downsample((48, 48), factor, "bicubic")(u)
    image = Image.fromarray(u.float().numpy())
    resized = np.asarray(image.resize((48 // factor,) * 2, Image.Resampling.BICUBIC))
    np.testing.assert_allclose(value[3:-3, 3:-3], resized[3:-3, 3:-3], atol=1e-5)


def test_the_box_is_the_mean_of_blocks() -> None:
    u = torch.randn(3, 8, 6, dtype=DOUBLE)
    expected = u.reshape(3, 4, 2, 2, 3).mean(dim=(2, 4))
    torch.testing.assert_close(downsample((8, 6), (2, 3), "box")(u), expected)


@pytest.mark.parametrize("filtering", FILTERS)
@pytest.mark.parametrize("factor", [2, (1, 3), (4, 1)])
def test_norm_and_normal_inverse(filtering: str, factor: Any) -> None:
    operator = downsample((8, 12), factor, filtering)
    exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
    assert operator.norm() == pytest.approx(exact, rel=1e-12)
    b = torch.randn(2, 3, 8, 12, dtype=DOUBLE)
    for weight in (0.2, torch.tensor([0.2, 2.0], dtype=DOUBLE).reshape(2, 1, 1, 1)):
        u = operator.normal_inverse(b, weight)
        torch.testing.assert_close(operator.adjoint(operator(u)) + weight * u, b)


def test_constants_stay_constants() -> None:
    ones = torch.ones(12, 12, dtype=DOUBLE)
    for filtering in FILTERS:
        value = downsample((12, 12), 3, filtering)(ones)
        torch.testing.assert_close(value, torch.ones(4, 4, dtype=DOUBLE))


def test_separable_is_the_kronecker_product() -> None:
    generator = np.random.default_rng(0)
    first, last = generator.normal(size=(2, 3)), generator.normal(size=(5, 4))
    operator = Separable((3, 2, 4), [first, None, last], DOUBLE)
    expected = np.kron(np.kron(first, np.eye(2)), last)
    np.testing.assert_allclose(dense_matrix(operator).numpy(), expected, atol=1e-12)
    assert Separable((3, 2), [None, None], DOUBLE).norm() == 1.0


def test_plain_data_and_back() -> None:
    decimation = Downsampling((8, 6), (2, 3), "gaussian", "zero", 1.2)
    assert named_from_plain(OPERATORS, named_to_plain(OPERATORS, decimation)) == decimation


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((9, 8), 2), "divide the sizes"),
        (((8, 8), 0), "divide the sizes"),
        (((8, 8), (2, 2, 2)), "one for each axis"),
        (((8, 8), 2, "gaussian", "zero", -1.0), "sigma > 0"),
    ],
)
def test_errors(arguments: Any, text: str) -> None:
    with pytest.raises(GeometryError, match=text):
        Downsampling(*arguments)
