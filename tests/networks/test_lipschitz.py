"""Networks that cannot expand: by construction, before and after training, found by attack."""

from __future__ import annotations

import math

import pytest
import torch
from tests.attack import push_apart, worst_ratio

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec, MaxMin

SPECS = [
    LipschitzSpec((1, 8, 8, 1)),
    LipschitzSpec((2, 6, 6, 6, 2), kernel=5, activation="relu", padding="circular"),
    LipschitzSpec((1, 4, 1), activation="leaky_relu"),
]


def trained(spec: LipschitzSpec, steps: int = 40) -> LipschitzNet:
    """Pushed to expand as much as it can."""
    torch.manual_seed(1)
    net = LipschitzNet(spec).double()
    push_apart(net, (spec.channels[0], 9, 9), steps=steps)
    return net


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_no_pair_is_driven_apart(spec: LipschitzSpec) -> None:
    net = trained(spec)
    worst = worst_ratio(net, (spec.channels[0], 9, 9))
    assert 0.3 < worst <= net.lipschitz_bound() <= 1 + 1e-9


def test_training_makes_use_of_the_bound() -> None:
    net = trained(LipschitzSpec((1, 8, 8, 1)), steps=150)
    assert worst_ratio(net, (1, 9, 9)) > 0.8


def test_the_bound_of_the_weights_as_they_are_is_at_most_one() -> None:
    for spec in SPECS:
        net = LipschitzNet(spec)
        assert net.lipschitz_bound() <= 1.0 + 1e-6


def test_layers_of_which_nothing_is_known_have_no_bound() -> None:
    net = LipschitzNet(SPECS[0])
    net.layers.append(torch.nn.Conv2d(1, 1, 1))
    assert net.lipschitz_bound() == math.inf
    assert NearIdentity(net, 0.0).deviation_bound() == math.inf
    net.layers[-1] = torch.nn.LeakyReLU(3.0)
    assert 1 < net.lipschitz_bound() <= 3


def test_volumes() -> None:
    volume = LipschitzNet(LipschitzSpec((1, 4, 1), dims=3)).double()
    assert 0 < volume.lipschitz_bound() <= 1
    assert volume(torch.randn(1, 1, 2, 3, 4, dtype=torch.float64)).shape == (1, 1, 2, 3, 4)


def test_maxmin_keeps_norms() -> None:
    u = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(MaxMin()(u).norm(), u.norm())
    assert MaxMin()(torch.tensor([[1.0, 3.0]])[..., None]).flatten().tolist() == [3, 1]


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
