"""Networks that cannot expand: by construction, before and after training, found by attack."""

from __future__ import annotations

import copy
import math
import pickle
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.networks.bounded import BoundedConv, NearIdentity
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec, MaxMin

if TYPE_CHECKING:
    from collections.abc import Callable

SPECS = [
    LipschitzSpec((1, 8, 8, 1)),
    LipschitzSpec((2, 6, 6, 6, 2), kernel=5, activation="relu", padding="circular"),
    LipschitzSpec((1, 4, 1), activation="leaky_relu"),
]


def trained(spec: LipschitzSpec, steps: int = 40) -> LipschitzNet:
    """Pushed to expand as much as it can."""
    torch.manual_seed(1)
    net = LipschitzNet(spec).double()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(steps):
        u, v = torch.randn(2, 4, spec.channels[0], 9, 9, dtype=torch.float64)
        ratio = (net(u) - net(v)).norm() / (u - v).norm()
        optimiser.zero_grad()
        (-ratio).backward()
        optimiser.step()
    return net


def worst_ratio(net: torch.nn.Module, channels: int, steps: int = 60) -> float:
    """The largest expansion that gradient ascent on a pair finds."""
    torch.manual_seed(2)
    u = torch.randn(3, channels, 9, 9, dtype=torch.float64, requires_grad=True)
    d = torch.randn_like(u).requires_grad_()
    optimiser = torch.optim.Adam([u, d], lr=0.1)
    worst = 0.0
    for _ in range(steps):
        gap = (net(u + d) - net(u)).flatten(1).norm(dim=1) / d.flatten(1).norm(dim=1)
        worst = max(worst, float(gap.detach().max()))
        optimiser.zero_grad()
        (-gap.sum()).backward()
        optimiser.step()
    return worst


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_no_pair_is_driven_apart(spec: LipschitzSpec) -> None:
    net = trained(spec)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    worst = worst_ratio(net, spec.channels[0])
    assert 0.3 < worst <= net.lipschitz_bound() <= 1 + 1e-9


def test_training_makes_use_of_the_bound() -> None:
    net = trained(LipschitzSpec((1, 8, 8, 1)), steps=150)
    assert worst_ratio(net, 1) > 0.8


def test_the_bound_of_the_weights_as_they_are_is_at_most_one() -> None:
    for spec in SPECS:
        net = LipschitzNet(spec)
        assert net.lipschitz_bound() <= 1.0 + 1e-6


def test_the_kept_weight_follows_the_weight() -> None:
    net = LipschitzNet(SPECS[0]).eval()
    u = torch.randn(1, 1, 9, 9)
    with torch.no_grad():
        before = net(u)
        torch.testing.assert_close(net(u), before, rtol=0, atol=0)
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
        after = net(u)
    with_graph = net(u)
    torch.testing.assert_close(after, with_graph.detach(), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(after, before)
    net.double()
    wide = net(u.double()).detach().float()
    torch.testing.assert_close(wide, after, rtol=1e-4, atol=1e-5)


def test_the_kept_weight_follows_changes_behind_the_back_of_autograd() -> None:
    net = LipschitzNet(SPECS[0])
    u = torch.randn(1, 1, 9, 9)
    with torch.no_grad():
        net(u)
        for parameter in net.parameters():
            parameter.data.add_(torch.randn_like(parameter))  # counts no version
        after = net(u)
    torch.testing.assert_close(after, net(u).detach())


def test_layers_of_which_nothing_is_known_have_no_bound() -> None:
    net = LipschitzNet(SPECS[0])
    net.layers.append(torch.nn.Conv2d(1, 1, 1))
    assert net.lipschitz_bound() == math.inf
    assert NearIdentity(net, 0.0).deviation_bound() == math.inf
    net.layers[-1] = torch.nn.LeakyReLU(3.0)
    assert 1 < net.lipschitz_bound() <= 3


def test_volumes_and_wide_kernels() -> None:
    volume = LipschitzNet(LipschitzSpec((1, 4, 1), dims=3)).double()
    assert 0 < volume.lipschitz_bound() <= 1
    assert volume(torch.randn(1, 1, 2, 3, 4, dtype=torch.float64)).shape == (1, 1, 2, 3, 4)
    wide = LipschitzNet(LipschitzSpec((1, 2, 1), kernel=17)).double()
    assert 0 < wide.lipschitz_bound() <= 1
    basis = torch.eye(12, dtype=torch.float64).reshape(12, 1, 3, 4)
    first = wide.layers[0]
    assert isinstance(first, BoundedConv)
    columns = (first(basis) - first(torch.zeros_like(basis))).flatten(1)
    assert float(torch.linalg.matrix_norm(columns.detach(), 2)) <= 1


def test_a_float32_epsilon_is_no_larger_than_its_bound() -> None:
    """0.99 in float32 is 0.99 + 9.5e-9, and a layer may attain its bound."""
    net = NearIdentity(LipschitzNet(LipschitzSpec((1, 1), kernel=1)), 0.99)
    u = torch.ones(1, 1, 1, 1, dtype=torch.float32)
    layer = net.network.layers[0]
    assert isinstance(layer, BoundedConv)
    with torch.no_grad():
        used = float((net.epsilon * u).double() * layer.bounded_weight().double().abs())
    assert used <= net.deviation_bound()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(copied: Callable[[LipschitzNet], LipschitzNet]) -> None:
    net = LipschitzNet(SPECS[0])
    u = torch.randn(1, 1, 9, 9)
    with torch.no_grad():
        net(u)
        twin = copied(net)
        torch.testing.assert_close(twin(u), net(u), rtol=0, atol=0)


def test_maxmin_keeps_norms() -> None:
    u = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(MaxMin()(u).norm(), u.norm())
    assert MaxMin()(torch.tensor([[1.0, 3.0]])[..., None]).flatten().tolist() == [3, 1]


def test_near_identity_deviates_by_at_most_epsilon() -> None:
    net = NearIdentity(trained(SPECS[0]), 0.3)
    for parameter in net.parameters():
        parameter.requires_grad_(False)

    class Deviation(torch.nn.Module):
        def forward(self, u: Tensor) -> Tensor:
            return net(u) - u

    assert 0.05 < worst_ratio(Deviation(), 1) <= net.deviation_bound() <= 0.3001


def test_refusals() -> None:
    for spec in (
        {"channels": (1,)},
        {"channels": (1, 3, 1)},
        {"channels": (1, 4, 1), "kernel": 2},
        {"channels": (1, 4, 1), "activation": "gelu"},
        {"channels": (1, 4, 1), "padding": "reflect"},
    ):
        with pytest.raises(ConfigError, match="Expected"):
            LipschitzSpec(**spec)
    with pytest.raises(ConfigError, match="epsilon"):
        NearIdentity(LipschitzNet(LipschitzSpec((1, 4, 2))), 0.1)
    with pytest.raises(ShapeError, match="LipschitzNet"):
        LipschitzNet(SPECS[0])(torch.zeros(1, 2, 4, 4))


def test_writes_through_data_do_not_leave_an_old_bound_behind() -> None:
    net, u = LipschitzNet(LipschitzSpec((1, 4, 1))), torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        net(u)
        for parameter in net.parameters():
            parameter.data.fill_(0.3)
        found = net(u)
    torch.testing.assert_close(found, net(u).detach())


def test_frozen_networks_after_inference_mode() -> None:
    net, u = LipschitzNet(LipschitzSpec((1, 4, 1))).requires_grad_(False), torch.randn(1, 1, 8, 8)
    with torch.inference_mode():
        net(u)
    net(u.requires_grad_()).sum().backward()
    assert u.grad is not None
