"""ESPIRiT against the true coils, the eigenvalue problem by hand, and the measured brain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.errors import ConfigError, DataError, DtypeError, ShapeError
from learnedrecon.solvers.coils.coil_maps import coil_images
from learnedrecon.solvers.coils.espirit import CoilMaps, block_projection, espirit

BRAIN = Path(__file__).parents[2].parent / "shared" / "data" / "brain_kspace.npy"
DOUBLE = torch.complex128
PLANE = (-2, -1)


def centred_fft(images: Tensor) -> Tensor:
    shifted = torch.fft.ifftshift(images, dim=PLANE)
    return torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), dim=PLANE)


def simulated(
    shape: tuple[int, int] = (80, 64), coils: int = 6, noise: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """K-space, true maps and the object, which has a phase of its own."""
    truth = birdcage_maps(shape, coils, dtype=DOUBLE)
    y, x = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape)
    phase = torch.exp(1j * (2.0 * x + y[:, None].square()))
    image = torch.from_numpy(shepp_logan(shape)).double() * phase
    generator = torch.Generator().manual_seed(4)
    kspace = centred_fft(truth * image)
    scale = noise * kspace.abs().max()
    white = torch.randn(kspace.shape, dtype=DOUBLE, generator=generator)
    return kspace + scale * white, truth, image


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """|⟨S, S'⟩| per pixel: 1 where they are equal up to a phase."""
    return (first.conj() * second).sum(-3).abs()


@pytest.mark.parametrize("shape", [(80, 64), (65, 77)])
def test_the_true_maps_are_found_where_the_object_is(shape: tuple[int, int]) -> None:
    kspace, truth, image = simulated(shape, noise=1e-4)
    found = espirit(kspace)
    inside = image.abs() > 0.05
    assert float(found.eigenvalue[inside].quantile(0.02)) > 0.95
    on = inside & (found.eigenvalue > 0.95)
    assert float(overlap(found.maps, truth)[on].quantile(0.01)) > 0.999


def test_maps_do_not_depend_on_what_is_not_acquired() -> None:
    kspace, _, _ = simulated()
    undersampled = kspace.clone()
    undersampled[..., ::2, :20] = 0
    undersampled[..., 1::2, 44:] = 0
    assert torch.equal(espirit(kspace).maps, espirit(undersampled).maps)


def test_squares_sum_to_one_on_the_support_and_the_first_coil_is_real() -> None:
    found = espirit(simulated()[0])
    power = found.maps.abs().square().sum(0)
    torch.testing.assert_close(power, (found.eigenvalue > 0.95).double())
    assert float(found.maps[0].imag.abs().max()) < 1e-14
    assert float(found.maps[0].real.min()) >= 0.0
    assert 0.3 < float(power.mean()) < 0.95


@pytest.mark.parametrize("coils", [1, 2, 6])
def test_eigenvalues_lie_in_the_unit_interval(coils: int) -> None:
    """G is a compression of a projection; for one coil it is that of the band of the kernel."""
    value = espirit(simulated(coils=coils, noise=0.1)[0], threshold=0.0).eigenvalue
    assert float(value.max()) <= 1 + 1e-12
    assert float(value.min()) >= 0.0


@pytest.mark.parametrize("factor", [1e-6, 3.0 * np.exp(2j), 1e6])
def test_a_factor_of_kspace_changes_nothing(factor: complex) -> None:
    kspace, _, _ = simulated()
    plain, scaled = espirit(kspace), espirit(factor * kspace)
    torch.testing.assert_close(scaled.eigenvalue, plain.eigenvalue)
    torch.testing.assert_close(scaled.maps, plain.maps, atol=1e-7, rtol=1e-6)


def test_a_shift_of_kspace_is_a_phase_of_the_object_and_changes_nothing_much() -> None:
    """A global phase ramp keeps the maps: only ratios of coils count."""
    kspace, _, image = simulated(noise=0.0)
    on = image.abs() > 0.05
    shifted = torch.roll(kspace, (1, -1), dims=PLANE)
    first, second = espirit(kspace), espirit(shifted)
    both = on & (first.eigenvalue > 0.95) & (second.eigenvalue > 0.95)
    assert float(overlap(first.maps, second.maps)[both].quantile(0.01)) > 0.999


def matrix_at(pixel: tuple[int, int], projection: Tensor, shape: tuple[int, int]) -> Tensor:
    """E* P E / k² with E written out, (coil, coil); k = 6."""
    phase = [
        sum(-2 * math.pi * p * (x - n // 2) / n for p, x, n in zip(q, pixel, shape, strict=True))
        for q in np.ndindex(6, 6)
    ]
    wave = torch.exp(1j * torch.tensor(phase, dtype=torch.float64))
    coils = projection.shape[0] // 36
    waves = torch.kron(torch.eye(coils, dtype=DOUBLE), wave[:, None])
    return waves.mH @ projection @ waves / 36


def test_the_image_domain_trick_is_the_eigenvalue_problem() -> None:
    """Some pixels by a dense E* V V* E and eigh, in the support and outside."""
    shape = (80, 64)
    kspace, _, _ = simulated(shape)
    centre = kspace[:, 28:52, 20:44]
    projection = block_projection(centre, 6, 0.02)
    found = espirit(kspace, iterations=100000, crop=0.0)
    for pixel in ((40, 32), (20, 30), (61, 40), (0, 0), (79, 5), (40, 63)):
        values, vectors = torch.linalg.eigh(matrix_at(pixel, projection, shape))
        assert float(found.eigenvalue[pixel]) == pytest.approx(float(values[-1]), abs=1e-9)
        vector = found.maps[:, pixel[0], pixel[1]]
        if values[-1] - values[-2] > 1e-3:
            assert float((vectors[:, -1].conj() * vector).sum().abs()) > 1 - 1e-9


def test_the_projection_is_one_and_keeps_the_blocks() -> None:
    kspace, _, _ = simulated(noise=0.0)
    centre = kspace[:, 28:52, 20:44]
    projection = block_projection(centre, 6, 0.0)
    torch.testing.assert_close(projection @ projection, projection)
    torch.testing.assert_close(projection.mH, projection)
    block = centre[:, 3:9, 11:17].reshape(-1)
    torch.testing.assert_close(projection @ block, block)


@pytest.mark.parametrize("iterations", [1, 2, 3, 7, 100])
def test_iterations_by_squaring_are_power_iterations(iterations: int) -> None:
    shape = (80, 64)
    kspace, _, _ = simulated(shape, noise=0.02)
    projection = block_projection(kspace[:, 28:52, 20:44], 6, 0.02)
    found = espirit(kspace, iterations=iterations, crop=0.0)
    for pixel in ((40, 32), (2, 3)):
        matrix = matrix_at(pixel, projection, shape)
        vector = torch.ones(6, dtype=DOUBLE)
        for _ in range(iterations):
            vector = matrix @ vector
            vector = vector / torch.linalg.vector_norm(vector)
        vector = vector * torch.sgn(vector[0]).conj()
        torch.testing.assert_close(found.maps[:, pixel[0], pixel[1]], vector)


def test_a_batch_is_its_measurements() -> None:
    first, second = (simulated(coils=4, noise=noise)[0] for noise in (1e-3, 1e-2))
    batch = torch.stack([first, second])[:, None]
    found = espirit(batch)
    assert found.maps.shape == (2, 1, 4, 80, 64)
    assert found.eigenvalue.shape == (2, 1, 80, 64)
    for index, alone in enumerate((espirit(first), espirit(second))):
        assert torch.equal(found.maps[index, 0], alone.maps)
        assert torch.equal(found.eigenvalue[index, 0], alone.eigenvalue)


def test_single_precision_is_near_double() -> None:
    kspace, _, _ = simulated()
    single, double = espirit(kspace.to(torch.complex64)), espirit(kspace)
    assert single.maps.dtype == torch.complex64
    assert single.eigenvalue.dtype == torch.float32
    torch.testing.assert_close(single.eigenvalue.double(), double.eigenvalue, atol=1e-5, rtol=0.0)
    both = (single.maps[0] != 0) & (double.maps[0] != 0)
    assert float(overlap(single.maps.to(DOUBLE), double.maps)[both].min()) > 1 - 1e-5


def test_a_soft_crop_fades_between_zero_and_one() -> None:
    kspace, _, _ = simulated()
    hard, soft = espirit(kspace), espirit(kspace, soft=0.04)
    power = soft.maps.abs().square().sum(0)
    value = soft.eigenvalue
    assert torch.equal(value, hard.eigenvalue)
    assert float(power[value <= 0.91].abs().max()) == 0.0
    torch.testing.assert_close(power[value >= 0.99], torch.ones_like(power[value >= 0.99]))
    ramp = (value > 0.91) & (value < 0.99)
    t = (value[ramp] - 0.91) / 0.08
    torch.testing.assert_close(power[ramp], (t * t * (3 - 2 * t)).square())


def residual(kspace: Tensor, maps: Tensor) -> Tensor:
    """‖(I - S S*) m‖² of the coil images m, per pixel, and Σ over pixels with Σ|m|² beside it."""
    images = coil_images(kspace)
    rest = images - maps * (maps.conj() * images).sum(0)
    return torch.stack([part.abs().square().sum(0) for part in (rest, images)])


def fully_sampled_centre(kspace: Tensor, size: int = 24) -> Tensor:
    """K-space with nothing outside the centre."""
    kept = torch.zeros_like(kspace)
    rows, columns = (slice(n // 2 - size // 2, n // 2 + size // 2) for n in kspace.shape[-2:])
    kept[..., rows, columns] = kspace[..., rows, columns]
    return kept


def test_coil_images_are_multiples_of_the_maps() -> None:
    kspace, _, _ = simulated(noise=1e-4)
    found = espirit(kspace)
    on = found.maps[0] != 0
    rest, whole = residual(kspace, found.maps)
    assert float(rest[on].sum() / whole[on].sum()) < 1e-3
    turned = torch.roll(found.maps, 1, dims=0)
    assert float(residual(kspace, turned)[0][on].sum() / whole[on].sum()) > 0.1


@pytest.fixture(scope="module")
def brain() -> tuple[Tensor, CoilMaps]:
    if not BRAIN.is_file():
        pytest.skip("the measured brain of shared/data is absent")
    kspace = torch.from_numpy(np.load(BRAIN))
    return kspace, espirit(kspace)


def test_the_brain_has_the_support_of_a_head(brain: tuple[Tensor, CoilMaps]) -> None:
    kspace, found = brain
    assert found.maps.shape == kspace.shape
    power = found.maps.abs().square().sum(0)
    on = power > 0.5
    torch.testing.assert_close(power, on.float())
    assert 0.65 < float(on.float().mean()) < 0.76
    assert bool(on[60:170, 50:130].all())
    assert float(found.eigenvalue.max()) <= 1 + 1e-5


def test_the_coil_images_of_the_brain_are_multiples_of_its_maps(
    brain: tuple[Tensor, CoilMaps],
) -> None:
    """At the resolution of the centre, which is fully sampled."""
    kspace, found = brain
    on = found.maps[0] != 0
    rest, whole = residual(fully_sampled_centre(kspace), found.maps)
    assert float(rest[on].sum() / whole[on].sum()) < 4e-3


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kernel", 0, "kernel"),
        ("kernel", 25, "kernel"),
        ("threshold", 1.0, "threshold"),
        ("threshold", math.nan, "threshold"),
        ("crop", 1.5, "crop"),
        ("soft", -0.1, "softening"),
        ("iterations", 0, "iterations"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, value: float, message: str) -> None:
    kspace, _, _ = simulated()
    arguments: dict[str, float] = {name: value}
    with pytest.raises(ConfigError, match=message):
        espirit(kspace, **arguments)  # type: ignore[arg-type]


def test_wrong_data_are_refused() -> None:
    kspace, _, _ = simulated()
    with pytest.raises(ShapeError, match="coil"):
        espirit(kspace[0])
    with pytest.raises(DtypeError, match="complex"):
        espirit(kspace.real)
    with pytest.raises(DataError, match="NaN"):
        espirit(kspace * math.inf)
    with pytest.raises(ShapeError, match="calibration region"):
        espirit(kspace, calibration=(24, 65))
    kspace[:, :, 30] = 0
    with pytest.raises(DataError, match="24 samples that are zero in all coils"):
        espirit(kspace)


def test_advice_is_not_the_argument_that_was_given() -> None:
    kspace = torch.randn(4, 32, 32, dtype=torch.complex64)
    with pytest.raises(ConfigError, match=r"24 × 4 samples.*a kernel of at most 4, or acquire"):
        espirit(kspace, calibration=(24, 4))
    assert espirit(kspace, calibration=(24, 4), kernel=4).maps.shape == kspace.shape
    with pytest.raises(DtypeError, match="from_numpy"):
        espirit(kspace.numpy())  # type: ignore[arg-type]
