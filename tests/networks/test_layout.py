"""Memory format and precision by what a device computes fastest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from learnedrecon.experiments.method import for_inference
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.networks.layout import (
    channels_last_is_faster,
    fastest_precision,
    set_channels_last,
)
from learnedrecon.training.accelerator import make_accelerator, place

SIMD = {"AVX2": False, "AVX512": True}


@pytest.fixture(params=list(SIMD))
def avx512(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    return SIMD[request.param]


def test_the_format_of_a_training_follows_the_instruction_set(*, avx512: bool) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.PReLU(3), nn.Conv3d(2, 3, 3))
    place(net, make_accelerator(cpu=True), channels_last="auto")
    flat, deep = (net.get_parameter(name) for name in ("0.weight", "2.weight"))
    assert flat.is_contiguous(memory_format=torch.channels_last) is avx512
    assert deep.is_contiguous(memory_format=torch.channels_last_3d) is avx512
    assert flat.is_contiguous() is not avx512


@pytest.mark.parametrize("wanted", [True, False])
def test_a_stated_format_is_kept(*, wanted: bool, avx512: bool) -> None:
    del avx512
    net = nn.Conv2d(2, 3, 3)
    place(net, make_accelerator(cpu=True), channels_last=wanted)
    assert net.weight.is_contiguous(memory_format=torch.channels_last) is wanted


def test_an_evaluation_is_in_channels_last_on_every_cpu(*, avx512: bool) -> None:
    del avx512
    model = for_inference(LearnedGradient(2), "cpu")
    weights = [weight for weight in model.parameters() if weight.ndim == 4]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert not model.training


def test_nothing_is_claimed_of_devices_that_were_not_measured() -> None:
    for device in ("cuda", "mps", "meta"):
        assert not channels_last_is_faster(device, training=True)
        assert not channels_last_is_faster(device, training=False)
    assert fastest_precision("meta") == "no"


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", ""])
def test_automatic_precision_is_that_of_the_hardware(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {name: True, "avx2": True})
    expected = "bf16" if name else "no"
    assert fastest_precision("cpu") == expected
    assert make_accelerator("auto", cpu=True).mixed_precision == expected


def test_values_and_parameters_stay_those_of_the_model() -> None:
    net = nn.Conv2d(3, 4, 3, dtype=torch.float64)
    weight, values = net.weight, net.weight.detach().clone()
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    expected = net(x)
    assert set_channels_last(net) is net
    assert net.weight is weight
    assert torch.equal(net.weight, values)
    torch.testing.assert_close(net(x), expected, rtol=1e-12, atol=1e-13)
