"""Data that are not what they are declared to be are named, and with what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from learnedrecon.data.consistency import Pair, consistency
from learnedrecon.data.variants import variants
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.data.consistency import Consistency
    from learnedrecon.operators.base import Operator

SCAN = ParallelBeam((32, 32), AngleRange(40), FlatDetector(61))
T = RayTransform(SCAN)
MRI = CartesianMRI(Cartesian((16, 18)))
K_AXES = (-2, -1)


def image() -> Tensor:
    """Discs off the centre, so that no reflection of the image is the image."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    discs = [(10.0, 9.0, 5.0), (20.0, 14.0, 3.0), (15.0, 23.0, 4.0)]
    found = [0.02 * ((y - a) ** 2 + (x - b) ** 2 < r * r) for a, b, r in discs]
    return torch.stack(found).sum(0)[None, None].float()


def complex_image() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, 16, 18, generator=generator, dtype=torch.complex64)


def compared(operator: Operator, truth: Tensor, data: Tensor) -> Consistency:
    return consistency([Pair("a", operator, truth, data)])


def of(**changes: Any) -> Tensor:
    """What another scan measures."""
    return RayTransform(replace(SCAN, **changes))(image())


def angles(factor: float = 1.0, steps: float = 0.0) -> tuple[float, ...]:
    step = SCAN.angle_values[1] - SCAN.angle_values[0]
    return tuple(factor * angle + steps * step for angle in SCAN.angle_values)


def coarse_millimetres() -> Tensor:
    """The same scan with all lengths in centimetres."""
    small = ParallelBeam((32, 32), AngleRange(40), FlatDetector(61, 0.1), pixel_size=0.1)
    return RayTransform(small)(image())


CONTRADICTS: dict[str, tuple[Callable[[], Tensor], str]] = {
    "turns the other way": (lambda: of(angles=angles(-1)), "turns the other way"),
    "angles reversed": (lambda: T(image()).flip(-2), "from the last angle to the first"),
    "detector reversed": (lambda: T(image()).flip(-1), "detector reversed"),
    "upside down": (lambda: T(image().flip(-2)), "reversed along axis -2"),
    "transposed": (lambda: T(image().mT), "transposed"),
    "transmissions": (lambda: torch.exp(-T(image())), "transmissions"),
    "counts": (lambda: 30000 * torch.exp(-T(image())), "counts"),
    "centimetres": (coarse_millimetres, "lengths in cm where mm are"),
}

DOUBTFUL: dict[str, tuple[Callable[[], Tensor], str]] = {
    "half a step of the angles": (lambda: of(angles=angles(1, -0.5)), "half a step earlier"),
    "half a detector pixel": (
        lambda: of(detector=FlatDetector(61, axis_offset=0.5)),
        "half a detector pixel more",
    ),
    "five per cent": (lambda: 1.05 * T(image()), "1.05 times T(truth)"),
}


def test_right_data_are_right_with_noise_too() -> None:
    clean = T(image())
    generator = torch.Generator().manual_seed(1)
    sigma = 0.1 * clean.abs().mean()
    noise = sigma * torch.randn(clean.shape, generator=generator)
    found = compared(T, image(), clean + noise)
    assert not found.contradicts
    assert not found.doubtful
    assert found.best is found.as_is
    assert found.error == pytest.approx(float(noise.norm() / (clean + noise).norm()), rel=1e-5)
    assert found.as_is.scale == pytest.approx(1, abs=5 * float(sigma / clean.norm()))


@pytest.mark.parametrize("name", CONTRADICTS)
def test_what_the_data_are_instead_is_said(name: str) -> None:
    make, words = CONTRADICTS[name]
    data = make()
    found = compared(T, image(), data)
    assert found.error == pytest.approx(float((T(image()) - data).norm() / data.norm()), rel=1e-5)
    assert found.contradicts
    assert words in str(found)
    assert any(words in row[0] for row in found.table()) or "T(truth)" in str(found)


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_better_fit_is_told_from_a_contradiction(name: str) -> None:
    make, words = DOUBTFUL[name]
    found = compared(T, image(), make())
    assert found.doubtful
    assert not found.contradicts
    assert words in str(found)
    best = min(found.best.error, found.best.scaled_error)
    assert best < 1e-5
    assert found.error > 0.01


def test_unrelated_data_are_no_fit_and_nothing_is_claimed() -> None:
    found = compared(
        T, image(), torch.randn(1, 1, 40, 61, generator=torch.Generator().manual_seed(2))
    )
    assert not found.contradicts
    assert found.doubtful
    assert "not T(truth)" in str(found)


def test_errors_are_medians_over_samples() -> None:
    good, bad = T(image()), T(image()).flip(-1)
    pairs = [Pair(str(k), T, image(), data) for k, data in enumerate((good, good, bad))]
    assert consistency(pairs).error == 0
    assert consistency(pairs[1:] + pairs[2:]).contradicts


def test_nothing_that_needs_another_projection_is_tried_where_data_fit() -> None:
    found = consistency([Pair("a", T, image(), T(image()))], least=0.01)
    assert len(found.fits) == 1 + sum(not each.measures for each in variants(T))


K_SPACE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "corner": (lambda u: torch.fft.ifftshift(MRI(u), K_AXES), "corner"),
    "numpy.fft.fft2": (torch.fft.fft2, "corner, the data fit 16.97 times"),
    "reversed": (lambda u: MRI(u).flip(-1), "reversed along axis -1"),
    "conjugated": (lambda u: MRI(u).conj(), "conjugated"),
    "not normalised": (lambda u: MRI(u) * 288**0.5, "not divided by the root"),
}


@pytest.mark.parametrize("name", K_SPACE)
def test_k_space_of_other_conventions(name: str) -> None:
    change, words = K_SPACE[name]
    found = compared(MRI, complex_image(), change(complex_image()))
    assert found.contradicts
    assert words in str(found)
    assert found.best.scaled_error < 1e-5


def test_data_count_where_they_are_measured() -> None:
    mask = torch.zeros(16, 18, dtype=torch.bool)
    mask[:, ::2] = True
    masked = CartesianMRI(Cartesian((16, 18)), mask)
    full = MRI(complex_image())
    assert compared(masked, complex_image(), full).error < 1e-5


def test_volumes_and_photons() -> None:
    scan = ConeBeam((4, 12, 12), AngleRange(9, arc=6.283), FlatPanel(6, 18), 300.0, 200.0)
    cone = RayTransform3D(scan)
    u = torch.rand(1, 1, 4, 12, 12, generator=torch.Generator().manual_seed(3))
    other = RayTransform3D(scan.with_angles(tuple(-a for a in scan.angle_values)))
    assert "turns the other way" in str(compared(cone, u, other(u)))
    photons = TransmissionCT(Transmission(SCAN))
    assert "exp(-y)" in str(compared(photons, 50 * image(), T(50 * image())))


def test_any_operator_has_variants() -> None:
    operator = Diagonal(Space((7,)), torch.linspace(1, 2, 7))
    u = torch.linspace(0, 1, 7)[None, None]
    assert "reversed" in str(compared(operator, u, operator(u).flip(-1)))


def test_a_shift_out_of_the_mask_explains_nothing() -> None:
    """Samples that a mask does not measure are zero, which 0 T(truth) would fit exactly."""
    mask = torch.zeros(18)
    mask[5:13] = 1
    operator = CartesianMRI(Cartesian((16, 18)), mask)
    data = operator(complex_image()) * 1.05
    found = compared(operator, complex_image(), data)
    assert found.error == pytest.approx(0.05 / 1.05, rel=1e-5)
    assert not any("corner" in fit.variant.name for fit in found.fits)
