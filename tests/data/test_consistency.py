"""Data that are not what they are declared to be are named, and with what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.data.consistency import consistency, require_consistent
from learnedrecon.errors import DataError
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SCAN = ParallelBeam((32, 32), AngleRange(40), FlatDetector(61))
T = RayTransform(SCAN)


def image() -> Tensor:
    """Discs off the centre, so that no reflection of the image is the image."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    discs = [(10.0, 9.0, 5.0), (20.0, 14.0, 3.0), (15.0, 23.0, 4.0)]
    found = [0.02 * ((y - a) ** 2 + (x - b) ** 2 < r * r) for a, b, r in discs]
    return torch.stack(found).sum(0)[None, None].float()


def reversed_scan() -> Tensor:
    """What a scan that turns the other way measures, by a geometry of its own."""
    back = replace(SCAN, angles=tuple(-angle for angle in SCAN.angle_values))
    return RayTransform(back)(image())


def coarse_millimetres() -> Tensor:
    """The same scan with all lengths in centimetres."""
    small = ParallelBeam((32, 32), AngleRange(40), FlatDetector(61, 0.1), pixel_size=0.1)
    return RayTransform(small)(image())


BROKEN: dict[str, tuple[Callable[[], Tensor], str]] = {
    "turns the other way": (reversed_scan, "turns the other way"),
    "angles reversed": (lambda: T(image()).flip(-2), "angles in reverse order"),
    "transmissions": (lambda: torch.exp(-T(image())), "transmissions"),
    "counts": (lambda: 30000 * torch.exp(-T(image())), "counts"),
    "centimetres": (coarse_millimetres, "lengths in cm where mm are"),
}


def test_right_data_are_right_with_noise_too() -> None:
    clean = T(image())
    noise = 0.1 * clean.abs().mean() * torch.randn(clean.shape)
    found = consistency(T, image(), clean + noise)
    assert found.explained is None
    assert found.best.name == "as they are"
    assert found.error == pytest.approx(float(noise.norm() / (clean + noise).norm()), rel=1e-5)
    assert found.scale == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_data_are_instead_is_said(name: str) -> None:
    make, words = BROKEN[name]
    data = make()
    found = consistency(T, image(), data)
    assert found.error == pytest.approx(float((T(image()) - data).norm() / data.norm()), rel=1e-5)
    assert found.explained is not None
    assert words in found.explained
    with pytest.raises(DataError, match="data of 'a' that are T"):
        require_consistent(T, [("a", image(), data)])


def test_unrelated_data_are_no_fit_and_nothing_is_claimed() -> None:
    found = consistency(T, image(), torch.randn(1, 1, 40, 61))
    assert found.explained is None
    assert "not T(truth)" in str(found)


def test_k_space_with_the_zero_frequency_in_the_corner() -> None:
    operator = CartesianMRI(Cartesian((16, 18)))
    u = torch.rand(1, 1, 16, 18).to(torch.complex64) + 0.3j * torch.rand(1, 1, 16, 18)
    corner = torch.fft.ifftshift(operator(u), (-2, -1))
    assert "corner" in str(consistency(operator, u, corner).explained)


def test_any_operator_has_variants() -> None:
    operator = Diagonal(Space((7,)), torch.linspace(1, 2, 7))
    u = torch.linspace(0, 1, 7)[None, None]
    assert "reversed" in str(consistency(operator, u, operator(u).flip(-1)).explained)
    assert require_consistent(operator, []) == "no pairs"
