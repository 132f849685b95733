"""Fields of experts: force and energy, symmetric borders, and filters in the unit ball."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.signal import correlate2d
from tests.helpers import complex_normal, normal
from torch import Tensor

from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.networks.experts import Experts, FieldOfExperts, folded_back, mirrored

SIZES = {1: (11,), 2: (6, 5), 3: (4, 3, 5)}
SPEC = Experts(3, 5, 9, 1.2)


def built(channels: int = 1, dims: int = 2, spec: Experts = SPEC) -> FieldOfExperts:
    """With activations of random form."""
    torch.manual_seed(1)
    net = FieldOfExperts(spec, channels, dims).double()
    with torch.no_grad():
        net.weights.copy_(normal(*net.weights.shape, seed=2))
    return net


def image(channels: int = 1, dims: int = 2) -> Tensor:
    return normal(2, channels, *SIZES[dims], seed=3)


@pytest.mark.parametrize(("channels", "dims"), [(1, 1), (1, 2), (3, 2), (2, 3)])
def test_the_force_is_the_gradient_of_the_energy(channels: int, dims: int) -> None:
    """Also at the border; by autograd through erf, and by finite differences."""
    net, u = built(channels, dims), image(channels, dims).requires_grad_()
    (gradient,) = torch.autograd.grad(net.energy(u).sum(), u)
    force = net(u).gradient
    torch.testing.assert_close(force, gradient, rtol=1e-12, atol=1e-13)
    h = 1e-5 * normal(*u.shape, seed=4)
    with torch.no_grad():
        change = (net.energy(u + h) - net.energy(u - h)).sum()
    torch.testing.assert_close(change, 2 * (h * force).sum(), rtol=1e-7, atol=0)


def test_the_energy_is_the_integral_of_the_activation() -> None:
    net = built()
    for s in (-3.0, -0.4, 0.0, 0.9, 20.0):
        found = net.potential(torch.full((1, 3, 1, 1), s, dtype=torch.float64)).flatten()

        def slope(t: float, k: int) -> float:
            at = torch.full((1, 3, 1, 1), t, dtype=torch.float64)
            return float(net.activation(at).detach()[0, k])

        expected = [quad(slope, 0, s, args=(k,), epsabs=1e-10, limit=200)[0] for k in range(3)]
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_border_is_symmetric_and_folds_back(width: int) -> None:
    """numpy's symmetric padding, and its transpose, also where the borders overlap."""
    u = normal(1, 2, 4, 3, seed=5)
    pads = ((0, 0), (0, 0), (width, width), (width, width))
    wide = mirrored(u, width, 2)
    np.testing.assert_array_equal(wide.numpy(), np.pad(u.numpy(), pads, "symmetric"))
    v = normal(*wide.shape, seed=6)
    torch.testing.assert_close((v * wide).sum(), (folded_back(v, width, 2) * u).sum())


def test_responses_are_correlations_of_the_extended_image() -> None:
    net, u = built(2), image(2)
    wide = np.pad(u.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), "symmetric")
    filters = net.filters().detach().numpy()
    expected = [
        [sum(map(correlate2d, one, kernel, ["valid"] * 2)) for kernel in filters] for one in wide
    ]
    np.testing.assert_allclose(net.responses(u).detach().numpy(), expected, atol=1e-13)


def test_filters_stay_in_the_ball_whatever_training_does() -> None:
    """Zero mean in every channel and a joint norm of at most 1, after steps of any size."""
    net, u = built(2), image(2)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e3)
    for _ in range(3):
        optimiser.zero_grad()
        net(u).gradient.square().sum().backward()
        optimiser.step()
    filters = net.filters()
    assert float(filters.detach().mean((2, 3)).abs().max()) < 1e-14
    assert float(filters.detach().flatten(1).norm(dim=1).max()) == pytest.approx(1)


def test_small_filters_are_not_enlarged() -> None:
    net = built()
    with torch.no_grad():
        net.kernels.mul_(1e-3)
    torch.testing.assert_close(net.filters(), net.kernels - net.kernels.mean((2, 3), keepdim=True))


def test_constant_images_feel_no_force() -> None:
    net = FieldOfExperts(SPEC).double()
    assert float(net(torch.full((1, 1, 6, 5), 3.7).double()).gradient.detach().abs().max()) < 1e-14


def test_the_fraction_outside_is_counted_per_sample() -> None:
    net, u = built(), image()
    beyond = net.responses(u).abs() > SPEC.reach
    outside = net(u).outside
    assert torch.equal(outside, beyond.double().mean((1, 2, 3)))
    assert 0 < float(outside.min()) < float(outside.max()) < 1


def test_initial_activations_are_linear() -> None:
    net = FieldOfExperts(Experts(2, 3, 31, slope=0.3)).double()
    s = torch.linspace(-0.5, 0.5, 11, dtype=torch.float64).reshape(1, 1, 11, 1).expand(1, 2, 11, 1)
    torch.testing.assert_close(net.activation(s), 0.3 * s, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [{"filters": 0}, {"kernel": 4}, {"kernel": 1}, {"nodes": 1}, {"reach": 0.0}, {"slope": np.inf}],
)
def test_what_makes_no_experts_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        Experts(**arguments)  # type: ignore[arg-type]


def test_what_is_no_image_is_refused() -> None:
    net = built()
    with pytest.raises(ShapeError, match="at least 2 pixels"):
        net(normal(1, 1, 6, 1))
    with pytest.raises(ShapeError, match="batch, 1"):
        net.energy(normal(1, 2, 6, 5))
    with pytest.raises(DtypeError):
        net(complex_normal(1, 1, 6, 5))
