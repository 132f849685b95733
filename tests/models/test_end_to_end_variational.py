"""The end-to-end variational network: its maps, its reduction, its gradients, its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, DataError, GeometryError
from learnedrecon.models.end_to_end_variational import (
    EndToEndVariationalNetwork,
    EstimatedMaps,
    centre_window,
)
from learnedrecon.models.like import Like
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from learnedrecon.problem import Problem

SHAPE, COILS = (10, 12), 3
LIKE = Like(image_complex=True, data_complex=True, data_folded=1)
SMALL = UNetSpec(base=2, depth=1, groups=1)
C128 = torch.complex128


def random(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=C128)


def true_maps() -> Tensor:
    """Two samples, Σ_c |S_c|² = 1."""
    maps = random(2, 1, COILS, *SHAPE, seed=1) + 2
    return maps / maps.abs().square().sum(2, keepdim=True).sqrt()


def lines(*columns: int) -> Tensor:
    mask = torch.zeros(SHAPE[1], dtype=torch.bool)
    mask[list(columns)] = True
    return mask


def problem(mask: Tensor | None = None, *, image: Tensor | None = None) -> InverseProblem:
    """Two samples with maps of their own."""
    operator = CartesianMRI(Cartesian(SHAPE, COILS), mask, true_maps(), C128)
    u = random(2, 1, *SHAPE, seed=2) if image is None else image
    return InverseProblem(operator, operator(u))


def small(**arguments: object) -> EndToEndVariationalNetwork:
    torch.manual_seed(0)
    given = {"iterations": 2, "network": SMALL, "maps": SMALL, "like": LIKE} | arguments
    return EndToEndVariationalNetwork(**given).double()  # type: ignore[arg-type]


CENTRE = lines(0, 5, 6, 7, 9)


def test_the_window_is_the_centre_of_every_mask() -> None:
    """k = 0 is column 6; lines 5 to 7 are acquired, and 6 to 6 of the second sample."""
    masks = torch.stack([CENTRE, lines(1, 6, 8)])[:, None, None, None]
    data = problem(masks.expand(2, 1, 1, *SHAPE)).data
    window = centre_window(problem(masks).operator, data)
    expected = torch.zeros(2, *SHAPE, dtype=torch.float64)
    expected[0, :, 5:8] = 1
    expected[1, :, 6:7] = 1
    assert torch.equal(window[:, 0, 0], expected)
    assert bool((centre_window(problem().operator, data) == 1).all())


def test_untrained_maps_are_the_coarse_images_divided_by_their_rss() -> None:
    """By a second way: the inverse transform as a matrix along the columns of the centre."""
    at = problem(CENTRE)
    prepared = small().prepare
    assert isinstance(prepared, EstimatedMaps)
    found = prepared.maps(at.operator, at.data)
    kept = torch.zeros_like(at.data)
    kept[..., 5:8] = at.data[..., 5:8]
    shifted = torch.fft.ifftshift(kept, dim=(-2, -1))
    images = torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=(-2, -1))
    expected = images / images.abs().square().sum(2, keepdim=True).sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_maps_are_normalised_whatever_the_weights_and_zero_without_a_signal() -> None:
    at, model = problem(CENTRE), small()
    perturb(model, seed=3)
    maps = model.prepare.maps(at.operator, at.data)  # type: ignore[union-attr]
    torch.testing.assert_close(
        maps.abs().square().sum(2), torch.ones(2, 1, *SHAPE, dtype=torch.float64)
    )
    dark = InverseProblem(at.operator, torch.zeros_like(at.data))
    image = small()(dark).image
    assert not image.any()
    image.abs().sum().backward()


def test_full_noiseless_data_give_the_magnitude_of_the_image_untrained() -> None:
    """Then S_c is the true map times the phase of u, and T*y = |u| solves the problem exactly."""
    u = random(2, 1, *SHAPE, seed=2)
    image = small()(problem(image=u)).image
    torch.testing.assert_close(image, u.abs().to(C128), rtol=1e-10, atol=1e-10)


class TrueMaps(nn.Module):
    """In the place of the network for maps."""

    def forward(self, given: Problem) -> Problem:
        assert isinstance(given, InverseProblem)
        return InverseProblem(given.operator.with_tensors({"maps": true_maps()}), given.data)


def test_with_the_true_maps_it_is_the_plain_scheme() -> None:
    """And untrained the plain scheme is gradient descent from T*y with steps of 1."""
    at, model = problem(CENTRE), small()
    perturb(model, seed=3)
    plain = Iterative(model.scheme, model.start, model.scaling)
    model.prepare = TrueMaps()
    assert torch.equal(model(at).image, plain(at).image)
    u = at.back
    for _ in range(2):
        u = u - at.gradient(u)
    untrained = small()
    untrained.prepare = TrueMaps()
    torch.testing.assert_close(untrained(at).image, u, rtol=1e-12, atol=1e-12)


def test_given_maps_are_not_used() -> None:
    at, model = problem(CENTRE), small()
    other = at.operator.with_tensors({"maps": true_maps().roll(1, 2)})
    assert torch.equal(model(at).image, model(InverseProblem(other, at.data)).image)


@pytest.mark.parametrize("mask", [None, CENTRE])
def test_gradients_in_the_network_for_maps_against_finite_differences(
    mask: Tensor | None,
) -> None:
    """Through the maps in T, in T* and in T*y; every weight at once, along a direction."""
    at, model = problem(mask), small(network=UNetSpec(base=2, depth=1, groups=0))
    perturb(model, seed=3)
    weights = list(model.prepare.parameters())  # type: ignore[union-attr]
    target = random(2, 1, *SHAPE, seed=7)

    def loss() -> Tensor:
        return (model(at).image.abs() - target.abs()).square().sum()

    slopes = torch.autograd.grad(loss(), weights)
    assert all(bool(slope.any()) for slope in slopes)
    generator = torch.Generator().manual_seed(8)
    directions = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
    expected = sum(float((g * d).sum()) for g, d in zip(slopes, directions, strict=True))
    values = []
    for sign in (1, -2, 1):
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(sign * 1e-6 * direction)
            values.append(float(loss()))
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(expected, rel=1e-6)


def test_the_number_of_parameters() -> None:
    """The authors' layers by their formula: no biases but the last, no affine normalisation."""

    def block(inputs: int, outputs: int) -> int:
        return 9 * outputs * (inputs + outputs)

    def unet(base: int, depth: int) -> int:
        widths = [base * 2**level for level in range(depth + 1)]
        down = sum(block(a, b) for a, b in zip([2, *widths[:-1]], widths, strict=True))
        up = sum(4 * 2 * a * a + block(2 * a, a) for a in widths[:-1])
        return down + up + 2 * base + 2

    papers = 12 * unet(18, 4) + unet(8, 4) + 12
    assert papers == 29_936_966
    model = EndToEndVariationalNetwork(like=LIKE)
    whole = sum(p.numel() for p in model.parameters())
    assert whole == 30_002_150
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    biases = sum(m.bias.numel() for m in layers if m.bias is not None and m.kernel_size != (1, 1))
    affine = sum(
        p.numel() for m in model.modules() if isinstance(m, nn.GroupNorm) for p in m.parameters()
    )
    assert whole - biases - affine == papers


def test_what_it_needs_is_said() -> None:
    with pytest.raises(DataError, match=r"fully sampled centre.*without k = 0"):
        small()(problem(lines(0, 3)))
    single = CartesianMRI(Cartesian(SHAPE), CENTRE, dtype=C128)
    data = single(random(1, 1, *SHAPE, seed=2))
    model = small(like=Like(image_complex=True, data_complex=True))
    with pytest.raises(GeometryError, match=r"coil maps.*CartesianMRI.*LearnedProximal"):
        model(InverseProblem(single, data))
    for wrong in ({"iterations": 0}, {"maps": UNetSpec(in_channels=2, out_channels=2)}):
        with pytest.raises(ConfigError, match=r"iterations|'maps'"):
            small(**wrong)
