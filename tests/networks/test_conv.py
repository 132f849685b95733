"""ConvNet: parameter counts of the papers, its formula in numpy, its start, and its errors."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.networks import ConvNet, ConvSpec

if TYPE_CHECKING:
    from learnedrecon.networks.conv import Activation, Init


def parameter_count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def convolution(u: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Zero-padded correlation, the definition, in any number of dimensions: (channel, *space)."""
    half = [(k // 2, k // 2) for k in weight.shape[2:]]
    padded = np.pad(u, [(0, 0), *half])
    out = np.zeros((len(weight), *u.shape[1:]))
    for offset in product(*(range(k) for k in weight.shape[2:])):
        tap = np.moveaxis(weight, (0, 1), (-2, -1))[offset]
        window = tuple(slice(o, o + n) for o, n in zip(offset, u.shape[1:], strict=True))
        out += np.tensordot(tap, padded[(slice(None), *window)], axes=1)
    return out + bias.reshape(-1, *[1] * (u.ndim - 1))


def test_learned_gradient_has_13318_parameters() -> None:
    assert parameter_count(ConvNet(ConvSpec((8, 32, 32, 6)))) == 13_318


def test_ten_learned_primal_dual_iterations_have_253220_parameters() -> None:
    dual = ConvNet(ConvSpec((7, 32, 32, 5), activation="prelu"))
    primal = ConvNet(ConvSpec((6, 32, 32, 5), activation="prelu"))
    assert parameter_count(dual) == 12_805
    assert parameter_count(primal) == 12_517
    assert 10 * (parameter_count(dual) + parameter_count(primal)) == 253_220


def test_twenty_invertible_primal_dual_iterations_have_402600_parameters() -> None:
    dual = ConvNet(ConvSpec((2, 32, 32, 1), activation="prelu"))
    primal = ConvNet(ConvSpec((1, 32, 32, 1), activation="prelu"))
    assert 20 * (parameter_count(dual) + parameter_count(primal)) == 402_600


@pytest.mark.parametrize("kernel", [(3,), 3, (5, 3), (1, 1), (3, 1, 5)])
@pytest.mark.parametrize(
    ("activation", "slope"), [("relu", 0.0), ("prelu", 0.25), ("leaky_relu", -0.2)]
)
def test_equals_the_formula(
    kernel: int | tuple[int, ...], activation: Activation, slope: float
) -> None:
    torch.manual_seed(1)
    spec = ConvSpec((2, 3, 4, 2), kernel, activation, slope, biases=(0.1, -0.2, 0.3))
    net = ConvNet(spec).double()
    u = torch.randn(2, 2, *(6, 7, 5)[: spec.dims], dtype=torch.float64)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    assert len(layers) == spec.layers == 3
    for image, result in zip(u.numpy(), net(u).detach().numpy(), strict=True):
        v = image
        for index, layer in enumerate(layers):
            assert layer.bias is not None
            v = convolution(v, layer.weight.detach().numpy(), layer.bias.detach().numpy())
            if index < 2:
                v = np.where(v < 0, slope * v, v)
        np.testing.assert_allclose(result, v, rtol=0, atol=1e-13)


def test_prelu_learns_one_slope_per_channel() -> None:
    net = ConvNet(ConvSpec((2, 3, 5, 1), activation="prelu", slope=0.25))
    slopes = [m.weight for m in net.modules() if isinstance(m, nn.PReLU)]
    assert [tuple(s.shape) for s in slopes] == [(3,), (5,)]
    assert all((s == 0.25).all() and s.requires_grad for s in slopes)


@pytest.mark.parametrize("init", ["xavier_uniform", "xavier_normal"])
def test_weights_have_the_variance_and_support_of_xavier(init: Init) -> None:
    torch.manual_seed(0)
    net = ConvNet(ConvSpec((64, 96, 1), init=init))
    weight = next(net.parameters())
    variance = 2 / (9 * (64 + 96))
    count = weight.numel()
    kurtosis = 9 / 5 if init == "xavier_uniform" else 3
    spread = math.sqrt((kurtosis - 1) / count)
    assert weight.var().item() == pytest.approx(variance, rel=5 * spread)
    assert abs(weight.mean().item()) < 5 * math.sqrt(variance / count)
    bound = math.sqrt(3 * variance)
    assert (weight.abs().max().item() <= bound) == (init == "xavier_uniform")


def test_biases_are_constant_in_each_layer() -> None:
    net = ConvNet(ConvSpec((8, 32, 32, 6), biases=(0.01, 0.02, 0.0)))
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    for bias, value in zip(biases, (0.01, 0.02, 0.0), strict=True):
        torch.testing.assert_close(bias.detach(), torch.full_like(bias, value), rtol=0, atol=0)


def test_last_scale_multiplies_the_first_output_and_only_that() -> None:
    u = torch.randn(2, 3, 8, 9)

    def output(scale: float, bias: float) -> torch.Tensor:
        torch.manual_seed(4)
        return ConvNet(ConvSpec((3, 8, 2), biases=(0.1, bias), last_scale=scale))(u)

    torch.testing.assert_close(output(0.5, 0.0), 0.5 * output(1.0, 0.0), rtol=0, atol=1e-7)
    assert not output(0.0, 0.0).any()
    assert (output(0.0, 0.25) == 0.25).all()


def test_initial_weights_come_from_the_default_generator_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(ConvNet(ConvSpec((2, 4, 1))).parameters()).detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_formats_agree(dtype: torch.dtype) -> None:
    """Up to rounding: 16 ε of the largest value, in both types (worst of 80 draws: 12 ε)."""
    torch.manual_seed(0)
    net = ConvNet(ConvSpec((7, 32, 32, 5), activation="prelu", slope=0.1)).to(dtype)
    u = torch.randn(2, 7, 33, 20, dtype=dtype)
    expected = net(u)
    nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
    v = u.to(memory_format=torch.channels_last)
    assert not v.is_contiguous()
    atol = 16 * torch.finfo(dtype).eps * expected.abs().max().item()
    torch.testing.assert_close(net(v), expected, rtol=0, atol=atol)
    torch.testing.assert_close(net(u), expected, rtol=0, atol=atol)


def test_gradient_reaches_every_parameter() -> None:
    net = ConvNet(ConvSpec((2, 4, 4, 1), activation="prelu", slope=0.1)).double()
    u = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    net(u).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert torch.autograd.gradcheck(net, (u,))


def test_spec_is_rebuilt_from_its_fields() -> None:
    spec = ConvSpec((2, 4, 1), (3, 5, 1), "prelu", 0.5, "xavier_normal", (0.0, 1.0), 0.1)
    assert ConvSpec(**asdict(spec)) == spec
    assert spec.dims == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": (3,)},
        {"channels": (3, 0, 1)},
        {"kernel": 4},
        {"kernel": (3, 3, 3, 3)},
        {"kernel": ()},
        {"activation": "tanh"},
        {"activation": "relu", "slope": 0.1},
        {"activation": "prelu", "slope": math.nan},
        {"init": "zeros"},
        {"biases": (0.1,)},
        {"biases": math.inf},
        {"last_scale": math.nan},
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(reversed(fields))):
        ConvSpec(**{"channels": (3, 8, 1), **fields})


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 2, 8, 8), (1, 3, 8, 8, 8), (1, 3, 0, 8)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="axis 1"):
        ConvNet(ConvSpec((3, 4, 1)))(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64])
def test_wrong_numbers_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(DtypeError, match="real"):
        ConvNet(ConvSpec((3, 4, 1)))(torch.zeros(1, 3, 4, 4, dtype=dtype))
