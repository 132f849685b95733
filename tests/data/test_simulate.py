from __future__ import annotations

import pytest
import torch

from learnedrecon.data.datasets import EllipseDataset, EllipseSpec
from learnedrecon.data.noise import (
    Gaussian,
    NoNoise,
    PoissonCounts,
    PoissonLog,
    RelativeGaussian,
)
from learnedrecon.data.noise_registry import NOISES
from learnedrecon.data.simulate import Simulation, Simulator, ellipse_simulation, noise_generator
from learnedrecon.errors import ConfigError
from learnedrecon.operators.imaging.inpaint import Inpaint
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.grids import on_grid, with_shape
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.specs import from_plain, to_plain

PARALLEL = ParallelBeam((32, 24), AngleRange(12), FlatDetector(41, 1.2), pixel_size=(1.0, 1.5))
FAN = FanBeam((32, 24), AngleRange(12, 0, 6.283), FlatDetector(41, 2.0), 60.0, 40.0, (1.0, 1.5))
TRANSMISSION = Transmission(PARALLEL, 0.02)
IDS = tuple(f"train-{k:07d}" for k in range(11))


def images(channels: int = 1) -> torch.Tensor:
    return torch.rand(11, channels, 32, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("geometry", [PARALLEL, FAN])
@pytest.mark.parametrize("grid", [(64, 96), (80, 75), (32, 24)])
def test_the_other_grid_covers_the_same_rectangle(
    geometry: ParallelBeam | FanBeam, grid: tuple[int, int]
) -> None:
    fine = on_grid(geometry, grid)
    assert fine.shape == grid
    for axis in range(2):
        extent = geometry.shape[axis] * geometry.pixel[axis]
        assert fine.shape[axis] * fine.pixel[axis] == pytest.approx(extent, rel=1e-15)
    assert (fine.detector, fine.angles) == (geometry.detector, geometry.angles)


def test_a_transmission_on_another_grid_keeps_its_mu() -> None:
    assert on_grid(TRANSMISSION, (64, 48)) == Transmission(on_grid(PARALLEL, (64, 48)), 0.02)
    assert with_shape(TRANSMISSION, (5, 6)).geometry.pixel == PARALLEL.pixel
    assert with_shape(PARALLEL, (5, 6)).shape == (5, 6)


def test_the_enlarged_image_lies_where_the_coarse_one_lay() -> None:
    """Bilinear enlargement keeps affine images affine at the true pixel centres, off the border."""
    coarse_geometry = ParallelBeam((16, 16), AngleRange(3), FlatDetector(20))
    simulator = Simulator(
        Simulation(NoNoise(), (40, 56)), RayTransform(coarse_geometry), coarse_geometry
    )

    def ramp(shape: tuple[int, int]) -> torch.Tensor:
        axes = [(torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * (16 / n) for n in shape]
        return (axes[0][:, None] * 2 + axes[1])[None, None]

    enlarged = simulator._enlarged(ramp((16, 16)))
    torch.testing.assert_close(
        enlarged[..., 2:-2, 2:-2], ramp((40, 56))[..., 2:-2, 2:-2], rtol=1e-12, atol=1e-12
    )


def chords(geometry: ParallelBeam | FanBeam) -> torch.Tensor:
    """How long each ray is inside the image's rectangle, by clipping it between the two slabs."""
    rays = torch.tensor(geometry.rays().vectors, dtype=torch.float64)[:, None, :]
    pixels = torch.arange(geometry.detector.pixels, dtype=torch.float64)[:, None]
    ends = rays[..., 2:4] + pixels * rays[..., 4:6]
    source = rays[..., 0:2] if isinstance(geometry, FanBeam) else ends - rays[..., 0:2]
    along = (ends - source) / (ends - source).norm(dim=-1, keepdim=True)
    half = torch.tensor(
        [n * size / 2 for n, size in zip(geometry.shape, geometry.pixel, strict=True)][::-1]
    )
    crossings = torch.stack([(-half - source) / along, (half - source) / along])
    enter, leave = crossings.amin(0).amax(-1), crossings.amax(0).amin(-1)
    return (leave - enter).clamp(min=0)


@pytest.mark.parametrize("geometry", [PARALLEL, FAN])
def test_a_constant_image_measures_the_chords_of_the_same_rectangle(
    geometry: ParallelBeam | FanBeam,
) -> None:
    """Four times finer pixels take the discretisation error of T to a quarter; extents agree."""
    u = torch.ones(1, 1, *geometry.shape, dtype=torch.float64)
    operator = RayTransform(geometry, torch.float64)
    simulator = Simulator(Simulation(NoNoise(), (128, 96)), operator, geometry)
    exact = chords(geometry)
    fine, coarse = (float((y - exact).abs().mean()) for y in (simulator(u, ["a"]), operator(u)))
    assert fine < 0.4 * coarse
    assert fine < 1e-3 * float(exact.mean())


def test_a_grid_is_projected_by_the_operator_of_that_grid() -> None:
    u = images()[:2].double()
    y = Simulator(Simulation(NoNoise(), (50, 60)), RayTransform(PARALLEL), PARALLEL)(u, IDS[:2])
    large = torch.nn.functional.interpolate(u, (50, 60), mode="bilinear", align_corners=False)
    expected = RayTransform(on_grid(PARALLEL, (50, 60)))(large)
    torch.testing.assert_close(y, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("noise", [Gaussian(0.3), RelativeGaussian(0.05), PoissonLog(50.0)])
@pytest.mark.parametrize("grid", [None, (50, 48)])
@pytest.mark.parametrize("channels", [1, 2])
def test_data_are_the_same_bits_in_any_batch_and_order(
    noise: Gaussian | RelativeGaussian | PoissonLog,
    grid: tuple[int, int] | None,
    channels: int,
) -> None:
    u = 0.05 * images(channels)
    simulator = Simulator(Simulation(noise, grid, 7), RayTransform(PARALLEL), PARALLEL)
    together = simulator(u, IDS)
    alone = torch.cat([simulator(u[k : k + 1], IDS[k : k + 1]) for k in range(11)])
    backwards = simulator(u.flip(0), IDS[::-1]).flip(0)
    assert torch.equal(together, alone)
    assert torch.equal(together, backwards)


def test_photon_counts_of_a_transmission_are_the_same_bits_in_any_batch() -> None:
    u = images()
    simulation = Simulation(PoissonCounts(1000.0), (64, 48), 3)
    simulator = Simulator(simulation, TransmissionCT(TRANSMISSION), TRANSMISSION)
    y = simulator(u, IDS)
    assert torch.equal(y[4:5], simulator(u[4:5], IDS[4:5]))
    counts = y.double() * 1000
    torch.testing.assert_close(counts, counts.round(), rtol=2.0**-24, atol=0)
    clean = Simulator(Simulation(NoNoise(), (64, 48)), TransmissionCT(TRANSMISSION), TRANSMISSION)
    expected = clean(u, IDS).double()
    z = (y - expected) / (expected / 1000).sqrt()
    assert abs(float(z.mean())) < 4.5 / z.numel() ** 0.5
    assert abs(float(z.var()) - 1) < 4.5 * (2 / z.numel()) ** 0.5 * 1.1


def test_noise_changes_with_the_seed_and_with_the_id() -> None:
    u = images()[:1].expand(2, 1, 32, 24)
    first = Simulator(Simulation(Gaussian(1.0)), RayTransform(PARALLEL))(u, IDS[:2])
    other_seed = Simulator(Simulation(Gaussian(1.0), seed=1), RayTransform(PARALLEL))(u, IDS[:2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, other_seed)


def test_the_level_of_the_noise_is_that_of_the_paper() -> None:
    """Standard deviation .025 mean|y| of the data from the enlarged image."""
    truth = EllipseDataset(EllipseSpec("dival", length=1))[0].truth
    assert truth is not None
    scan = ParallelBeam((128, 128), AngleRange(30), FlatDetector(183, 181.02 / 183))
    simulation = ellipse_simulation("dival")
    assert simulation == Simulation(RelativeGaussian(0.025), (400, 400))
    noisy = Simulator(simulation, RayTransform(scan), scan)(truth[None], ["a"]).double()
    clean = Simulator(Simulation(NoNoise(), (400, 400)), RayTransform(scan), scan)
    expected = clean(truth[None], ["a"]).double()
    level = float((noisy - expected).std() / expected.abs().mean())
    assert level == pytest.approx(0.025, rel=4.5 / (2 * 30 * 183) ** 0.5)
    for preset in ("adler2017", "adler2018"):
        assert ellipse_simulation(preset, 5) == Simulation(RelativeGaussian(0.05), None, 5)


def test_the_image_is_not_changed_and_no_graph_is_kept() -> None:
    u = images().requires_grad_()
    before = u.detach().clone()
    y = Simulator(Simulation(Gaussian(0.1)), RayTransform(PARALLEL))(u, IDS)
    assert not y.requires_grad
    assert torch.equal(u.detach(), before)


def test_generators_of_unequal_names_differ_and_of_equal_names_agree() -> None:
    draws = {
        (seed, name): tuple(torch.randn(3, generator=noise_generator(seed, name)).tolist())
        for seed in range(3)
        for name in ("a", "b", "1", "11")
    }
    assert len(set(draws.values())) == len(draws)
    again = tuple(torch.randn(3, generator=noise_generator(2, "11")).tolist())
    assert again == draws[2, "11"]


@pytest.mark.parametrize(
    "noise",
    [NoNoise(), Gaussian(1.0), RelativeGaussian(0.1), PoissonCounts(9.0), PoissonLog(9.0, 0.2)],
)
def test_a_simulation_survives_plain_data(noise: Gaussian) -> None:
    simulation = Simulation(noise, (5, 6), 4)
    plain = to_plain(simulation)
    assert plain["noise"]["name"] in NOISES
    assert from_plain(Simulation, plain) == simulation


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"noise": {"name": "gausian", "sigma": 1}}, "gaussian"),
        ({"noise": {"name": "gaussian", "sgima": 1}}, "sigma"),
        ({"noise": {"sigma": 1}}, "name"),
        ({"noise": {"name": "none"}, "grid": [0, 4]}, "grid"),
        ({"noise": {"name": "none"}, "seed": -1}, "seed"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong) as caught:
        from_plain(Simulation, values)
    assert_three_parts(caught)


def test_a_grid_needs_a_tomographic_operator() -> None:
    space = Space((4, 4))
    for operator, spec in ((Diagonal(space, torch.ones(4, 4)), 3), (RayTransform(PARALLEL), None)):
        with pytest.raises(ConfigError, match="tomographic") as caught:
            Simulator(Simulation(NoNoise(), (8, 8)), operator, spec)
        assert_three_parts(caught)


@pytest.mark.parametrize("grid", [(31, 48), (64, 23), (8, 8)])
def test_a_grid_is_never_coarser_than_the_image(grid: tuple[int, int]) -> None:
    for spec, operator in (
        (PARALLEL, RayTransform(PARALLEL)),
        (TRANSMISSION, TransmissionCT(TRANSMISSION)),
    ):
        with pytest.raises(ConfigError, match=r"\(32, 24\).*grid = ") as caught:
            Simulator(Simulation(NoNoise(), grid), operator, spec)
        assert_three_parts(caught)


def test_an_image_finer_than_the_grid_is_not_thinned_out() -> None:
    simulator = Simulator(Simulation(NoNoise(), (33, 24)), RayTransform(PARALLEL), PARALLEL)
    simulator(torch.zeros(1, 1, 32, 24), ["a"])
    with pytest.raises(ConfigError, match=r"\(34, 24\).*grid = \(33, 24\)") as caught:
        simulator(torch.zeros(1, 1, 34, 24), ["a"])
    assert_three_parts(caught)


def assert_three_parts(caught: pytest.ExceptionInfo[Exception]) -> None:
    for part in ("Expected ", "Found ", "What to do: "):
        assert part in str(caught.value)


@pytest.mark.parametrize("every", [1, 4, 16])
def test_noise_acts_on_what_is_measured(every: int) -> None:
    """Level times mean |y| of the acquired samples, whatever the acceleration, and 0 elsewhere."""
    size, coils, level = 64, 4, 0.1
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(coils, size, size, generator=generator, dtype=torch.complex128)
    maps = maps / maps.abs().square().sum(0).sqrt()
    mask = torch.zeros(size)
    mask[::every] = 1
    operator = CartesianMRI(Cartesian((size, size), coils=coils), mask, maps, torch.complex128)
    image = torch.rand(1, 1, size, size, generator=generator).to(torch.complex128)
    clean = operator(image)
    noise = Simulator(Simulation(RelativeGaussian(level)), operator)(image, ["a"]) - clean
    there = mask.bool().expand_as(clean)
    sigma = noise[there].abs().square().mean().sqrt()
    assert float(sigma / (level * clean[there].abs().mean())) == pytest.approx(
        1, abs=5 / 2 / int(there.sum()) ** 0.5
    )
    assert not noise[~there].any()


def test_every_sample_has_noise_on_its_own_mask() -> None:
    operator = Inpaint(torch.ones(8, 9))
    masks = (torch.rand(3, 1, 8, 9, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    images = torch.rand(3, 1, 8, 9, generator=torch.Generator().manual_seed(2))
    simulator = Simulator(Simulation(Gaussian(0.1)), operator)
    noise = simulator(images, ["a", "b", "c"], {"mask": masks}) - masks * images
    assert torch.equal(noise != 0, masks != 0)
