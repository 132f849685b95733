"""Residual layers that do not expand: dense matrices, convex potentials, and attacks."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.attack import push_apart, worst_ratio
from tests.helpers import normal
from tests.in_numpy import analysis, layer, potential, synthesis
from torch import Tensor
from torch.nn import functional

from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.networks.bounded import Bound, NearIdentity
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec
from learnedrecon.networks.potential import Correction, PotentialLayer, PotentialNet, PotentialSpec

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {1: (11,), 2: (6, 5), 3: (4, 3, 5)}
SPECS = [
    PotentialSpec(2, 3, 4, 2, 0.5, 5, dims=1),
    PotentialSpec(1, 4, 6, 3, 0.5),
    PotentialSpec(1, 3, 4, 2, 0.5, dims=3),
]
RIDGE = PotentialSpec(2, 2, 5, 1, 0.8)


def built(spec: PotentialSpec, *, noise: float = 0.3) -> PotentialNet:
    """With biases, and thresholds of which no two are alike."""
    torch.manual_seed(1)
    net = PotentialNet(spec).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return net


def trained(spec: PotentialSpec, steps: int = 40) -> PotentialNet:
    """Pushed to expand as much as it can."""
    torch.manual_seed(1)
    net = PotentialNet(spec).double()
    push_apart(net, (spec.channels, *SIZES[spec.dims]), steps=steps)
    return net


def dense(weight: Tensor, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """W on images of a shape, (filters * pixels, channels * pixels), by scipy."""
    channels, pixels = weight.shape[1], math.prod(shape)
    basis = np.eye(channels * pixels).reshape(-1, channels, *shape)
    return np.stack([analysis(weight.detach().numpy(), z).ravel() for z in basis], axis=1)


def first(net: PotentialNet) -> PotentialLayer:
    one = net.layers[0]
    assert isinstance(one, PotentialLayer)
    return one


@pytest.mark.parametrize("bound", ["layers", "none"])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_layer_in_dense_matrices(spec: PotentialSpec, bound: Bound) -> None:
    one, shape = first(built(replace(spec, bound=bound))), SIZES[spec.dims]
    z = normal(2, spec.width, *shape)
    weight = one.filters.weight if bound == "none" else one.filters.bounded_weight()
    w = dense(weight, shape)
    pixels = math.prod(shape)
    b = np.repeat(one.filters.bias.detach().numpy(), pixels)
    tau = np.repeat(one.log_threshold.detach().exp().numpy(), pixels)
    found = one(z).detach().flatten(1).numpy()
    for sample, result in zip(z.flatten(1).numpy(), found, strict=True):
        inner = w @ sample + b
        expected = sample - 2 * w.T @ np.clip(inner, -tau, tau)
        assert 0.05 < float(np.mean(np.abs(inner) < tau)) < 0.95, "both pieces are met"
        np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_twin_in_numpy(spec: PotentialSpec) -> None:
    net, shape = built(spec), SIZES[spec.dims]
    u = normal(2, spec.channels, *shape)
    found = net(u).detach().numpy()
    for sample, result in zip(u.numpy(), found, strict=True):
        np.testing.assert_allclose(result, potential(net, sample), rtol=1e-11, atol=1e-12)
    weight = first(net).filters.bounded_weight().detach()
    w, s = dense(weight, shape), normal(spec.filters, *shape, seed=3).numpy()
    np.testing.assert_allclose(
        synthesis(weight.numpy(), s).ravel(), w.T @ s.ravel(), rtol=1e-11, atol=1e-12
    )
    z = normal(spec.width, *shape)
    np.testing.assert_allclose(layer(net.layers[0], z.numpy()), net.layers[0](z[None])[0].detach())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_no_pair_is_driven_apart(spec: PotentialSpec) -> None:
    net = trained(spec)
    worst = worst_ratio(net, (spec.channels, *SIZES[spec.dims]))
    assert net.lipschitz_bound() <= 1 + 1e-9
    assert 0.95 < worst <= net.lipschitz_bound() * (1 + 1e-14)


class Moved(torch.nn.Module):
    """By how much a layer moves its input."""

    def __init__(self, one: PotentialLayer) -> None:
        super().__init__()
        self.one = one

    def forward(self, z: Tensor) -> Tensor:
        return self.one(z) - z


def test_what_a_layer_moves_is_twice_a_gradient_of_constant_one() -> None:
    torch.manual_seed(1)
    moved = Moved(PotentialLayer(replace(SPECS[1], kernel=1, threshold=20.0)).double())
    push_apart(moved, (4, 6, 5))
    assert 1.9 < worst_ratio(moved, (4, 6, 5)) <= 2


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_without_a_bound_it_expands_and_its_bound_is_known(spec: PotentialSpec) -> None:
    torch.manual_seed(1)
    net, shape = (
        PotentialNet(replace(spec, bound="none")).double(),
        (spec.channels, *SIZES[spec.dims]),
    )
    push_apart(net, shape, steps=20, rate=0.01)
    worst = worst_ratio(net, shape)
    assert 1.5 < worst <= net.lipschitz_bound() < 200 * worst


def test_the_bound_of_a_layer_without_a_bound_is_close() -> None:
    """One layer of one filter, a delta of weight w, in its linear piece: z - 2w²z."""
    net = PotentialNet(PotentialSpec(1, 1, 1, 1, 100.0, bound="none")).double()
    for weight, expected in ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (1.5, 3.5)):
        with torch.no_grad():
            first(net).filters.weight.zero_()[0, 0, 1, 1] = weight
        assert expected <= net.lipschitz_bound() <= 1.02 * expected
        u = normal(1, 1, 4, 4)
        torch.testing.assert_close(net(u).detach(), (1 - 2 * weight**2) * u)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_small_thresholds_are_near_the_identity(spec: PotentialSpec) -> None:
    """A layer moves z by at most 2‖W‖·‖σ‖ ≤ 2τ√(filters · pixels)."""
    net, shape = PotentialNet(replace(spec, threshold=1e-6)).double(), SIZES[spec.dims]
    u = normal(1, spec.channels, *shape)
    moved = float((net(u) - u).detach().norm())
    limit = 2 * spec.layers * 1e-6 * math.sqrt(spec.filters * math.prod(shape))
    assert 0.05 * limit < moved <= limit * (1 + 1e-9)


def energy(net: PotentialNet, u: Tensor) -> Tensor:
    """Twice the sum of Huber functions of Wu + b, one for each filter."""
    one = first(net)
    s = functional.conv2d(u, one.filters.bounded_weight(), one.filters.bias, padding=1)
    tau = one.log_threshold.exp().reshape(-1, 1, 1).expand_as(s)
    huber = torch.where(s.abs() <= tau, s.square() / 2, tau * s.abs() - tau.square() / 2)
    return 2 * huber.sum()


def test_one_layer_is_a_gradient_step_on_a_convex_function() -> None:
    net = built(RIDGE).requires_grad_(False)
    u, d, step = normal(1, 2, 5, 4), normal(1, 2, 5, 4, seed=1), 1e-5
    slope = float(energy(net, u + step * d) - energy(net, u - step * d)) / (2 * step)
    assert slope == pytest.approx(float(((u - net(u)) * d).sum()), rel=1e-7)
    jacobian = torch.autograd.functional.jacobian(net, u).reshape(40, 40)
    torch.testing.assert_close(jacobian, jacobian.T)
    values = torch.linalg.eigvalsh(jacobian)
    assert -1 <= float(values[0]) < -0.2
    assert 0.9 < float(values[-1]) <= 1 + 1e-12


def test_several_layers_or_more_width_are_no_gradients() -> None:
    for spec in (replace(RIDGE, layers=2), replace(RIDGE, layers=2, width=3)):
        net = built(spec).requires_grad_(False)
        u = normal(1, 2, 5, 4)
        jacobian = torch.autograd.functional.jacobian(net, u).reshape(40, 40)
        assert float((jacobian - jacobian.T).abs().max()) > 1e-3
        assert float(torch.linalg.matrix_norm(jacobian, 2)) <= 1 + 1e-12


def test_bounded_and_unbounded_nets_begin_alike() -> None:
    """Up to the margin that a bound has for rounding, which is that of float32 for one of them."""
    images = []
    for bound in ("layers", "none"):
        torch.manual_seed(2)
        net = PotentialNet(replace(SPECS[1], bound=bound)).double()
        assert 1 <= net.lipschitz_bound() <= 1 + 1e-5
        images.append(net(normal(1, 1, 6, 5)).detach())
    torch.testing.assert_close(*images, rtol=0, atol=2e-4)


def test_every_leaf_has_the_derivative_of_finite_differences() -> None:
    net = built(PotentialSpec(1, 2, 2, 2, 0.5), noise=0.1)
    names = [name for name, _ in net.named_parameters()]
    u = normal(1, 1, 3, 3).requires_grad_()

    def of(image: Tensor, *weights: Tensor) -> Tensor:
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(net, given, (image,))

    leaves = [p.detach().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(of, (u, *leaves))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_single_precision_agrees_with_double(dims: int) -> None:
    """Up to the margin of the bounds, which grows with the rounding."""
    net, u = built(SPECS[dims - 1]), normal(2, SPECS[dims - 1].channels, *SIZES[dims])
    wide = net(u).detach()
    narrow = net.float()(u.float())
    assert narrow.dtype == torch.float32
    assert net.lipschitz_bound() <= 1 + 1e-6
    torch.testing.assert_close(narrow.detach().double(), wide, rtol=0, atol=2e-4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(copied: Callable[[PotentialNet], PotentialNet]) -> None:
    net, u = built(SPECS[1]), normal(1, 1, 6, 5)
    with torch.no_grad():
        expected = net(u)
        twin = copied(net)
        torch.testing.assert_close(twin(u), expected, rtol=0, atol=0)
        for parameter in twin.parameters():
            parameter.neg_()
        twin(u)
        torch.testing.assert_close(net(u), expected, rtol=0, atol=0)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_half_of_what_it_changes_does_not_expand_either(spec: PotentialSpec) -> None:
    net = Correction(built(spec))
    shape = (spec.channels, *SIZES[spec.dims])
    push_apart(net, shape)
    u = normal(1, *shape)
    torch.testing.assert_close(2 * net(u) + net.network(u), u)
    worst = worst_ratio(net, shape)
    assert 0.5 < worst <= net.lipschitz_bound() * (1 + 1e-14)
    assert net.lipschitz_bound() <= 1 + 1e-9


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("bound", ["layers", "none"])
def test_nothing_is_known_of_numbers_that_are_not_finite(bound: Bound, value: float) -> None:
    for name, _ in PotentialNet(PotentialSpec(layers=1)).named_parameters():
        net = PotentialNet(PotentialSpec(layers=1, bound=bound))
        with torch.no_grad():
            net.get_parameter(name).view(-1)[1] = value
        assert net.lipschitz_bound() == math.inf
        assert NearIdentity(Correction(net), 0.5).deviation_bound() == math.inf


def test_layers_of_which_nothing_is_known_have_no_bound() -> None:
    class Louder(PotentialLayer):
        def forward(self, z: Tensor) -> Tensor:
            return 2 * super().forward(z)

    for other in (torch.nn.Identity(), Louder(SPECS[1])):
        net = built(SPECS[1])
        net.layers.append(other)
        assert net.lipschitz_bound() == math.inf
        assert NearIdentity(net, 0.0).deviation_bound() == math.inf


@pytest.mark.parametrize(
    "values",
    [
        {"channels": 0},
        {"channels": 2, "width": 1},
        {"filters": 0},
        {"layers": 0},
        {"threshold": 0.0},
        {"threshold": math.nan},
        {"threshold": math.inf},
        {"kernel": 4},
        {"dims": 4},
        {"bound": "all"},
    ],
    ids=str,
)
def test_specs_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Expected.*{next(iter(values))}="):
        PotentialSpec(**values)


def test_what_is_no_image_is_refused() -> None:
    net = PotentialNet(SPECS[1])
    for shape in ((1, 2, 4, 4), (1, 4, 4), (1, 1, 0, 4)):
        with pytest.raises(ShapeError, match="PotentialNet"):
            net(torch.zeros(shape))
    with pytest.raises(DtypeError, match="PotentialNet"):
        net(torch.zeros(1, 1, 4, 4, dtype=torch.complex64))


def test_complex_images_have_two_real_channels() -> None:
    net = NearIdentity(built(PotentialSpec(2, 4, 6, 2, 0.5)), 0.9)
    u = torch.complex(normal(1, 1, 6, 5), normal(1, 1, 6, 5, seed=1))
    real = net(torch.cat([u.real, u.imag], dim=1))
    torch.testing.assert_close(net(u), torch.complex(real[:, :1], real[:, 1:]))


def test_it_takes_the_place_of_a_stack_of_convolutions() -> None:
    stack = NearIdentity(LipschitzNet(LipschitzSpec((1, 8, 8, 1))), 0.99)
    mine = NearIdentity(PotentialNet(PotentialSpec()), 0.99)
    for net in (stack, mine):
        assert net.deviation_bound() <= 0.99 * (1 + 1e-5)


def test_the_default_has_3552_parameters() -> None:
    assert sum(p.numel() for p in PotentialNet(PotentialSpec()).parameters()) == 3_552


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Dynamo detected a call")
def test_it_compiles_to_one_graph_with_and_without_gradients() -> None:
    net, u = built(SPECS[1]), normal(2, 1, 6, 5)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    found = []
    for each in (net, compiled):
        with torch.no_grad():
            alone = each(u)
        image = each(u)
        grads = torch.autograd.grad(image.square().sum(), list(net.parameters()))
        found.append([alone, image.detach(), *grads])
    for expected, result in zip(*found, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-11)
