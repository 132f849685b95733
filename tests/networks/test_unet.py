"""UNet: its size in closed form, any image size, the identity, and what normalisation implies."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.networks import UNet, UNetSpec

if TYPE_CHECKING:
    from learnedrecon.networks.unet import Down, Up

RESAMPLING = list(product(("max_pool", "strided"), ("transposed", "bilinear")))


def small(
    *,
    depth: int = 2,
    groups: int = 2,
    residual: bool = False,
    resampling: tuple[Down, Up] = ("max_pool", "transposed"),
) -> UNet:
    torch.manual_seed(0)
    return UNet(
        UNetSpec(base=4, depth=depth, groups=groups, resampling=resampling, residual=residual)
    )


def parameter_count(spec: UNetSpec) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in UNet(spec).parameters())


def closed_form(base: int, depth: int, resampling: tuple[str, str], *, norm: bool) -> int:
    def conv(c_in: int, c_out: int, taps: int) -> int:
        return taps * c_in * c_out + c_out

    def double(c_in: int, c_out: int) -> int:
        return conv(c_in, c_out, 9) + conv(c_out, c_out, 9) + 4 * c_out * norm

    count = double(1, base) + conv(base, 1, 1)
    for level in range(depth):
        fine, coarse = base * 2**level, base * 2 ** (level + 1)
        count += double(fine, coarse) + double(coarse, fine)
        count += conv(fine, fine, 4) if resampling[0] == "strided" else 0
        count += conv(coarse, fine, 4 if resampling[1] == "transposed" else 9)
    return count


def test_classical_size_has_31_million_parameters() -> None:
    assert parameter_count(UNetSpec(base=64, depth=4, groups=0)) == 31_030_593
    assert parameter_count(UNetSpec(base=64, depth=4, groups=8)) == 31_042_369


@pytest.mark.parametrize("resampling", RESAMPLING)
@pytest.mark.parametrize("groups", [0, 4])
def test_parameter_count_is_the_closed_form(resampling: tuple[Any, Any], groups: int) -> None:
    spec = UNetSpec(base=8, depth=3, groups=groups, resampling=resampling)
    assert parameter_count(spec) == closed_form(8, 3, resampling, norm=groups > 0)


@pytest.mark.parametrize("resampling", RESAMPLING)
@pytest.mark.parametrize("size", [(2, 2), (2, 31), (16, 16), (17, 5), (1, 9), (12, 21)])
def test_any_size_gives_the_same_size(size: tuple[int, int], resampling: tuple[Any, Any]) -> None:
    net = small(depth=3, resampling=resampling)
    u = torch.randn(2, 1, *size)
    v = net(u)
    assert v.shape == u.shape
    assert v.isfinite().all()
    assert v.std() > 0


def test_other_sizes_are_extended_by_the_border_and_cropped() -> None:
    net = small(depth=2).double()
    u = torch.randn(1, 1, 7, 10, dtype=torch.float64)
    whole = functional.pad(u, (1, 1, 0, 1), mode="replicate")
    assert whole.shape == (1, 1, 8, 12)
    torch.testing.assert_close(net(u), net(whole)[..., :7, 1:11], rtol=0, atol=1e-13)


def test_depth_one_equals_the_formula() -> None:
    """The diagram of Ronneberger et al. written out, with the weights by name."""
    net = small(depth=1, groups=0).double()
    w = {name: p.detach() for name, p in net.named_parameters()}

    def double(v: torch.Tensor, name: str) -> torch.Tensor:
        for k in (0, 2):
            weight, bias = w[f"{name}.{k}.weight"], w[f"{name}.{k}.bias"]
            v = functional.conv2d(v, weight, bias, padding=1).clamp(min=0)
        return v

    u = torch.randn(2, 1, 6, 4, dtype=torch.float64)
    skip = double(u, "encoder.0")
    halved = skip.reshape(2, 4, 3, 2, 2, 2).amax(dim=(3, 5))
    bottom = double(halved, "encoder.1")
    up = torch.einsum("bcij,cdkl->bdikjl", bottom, w["up.0.weight"]).reshape(2, 4, 6, 4)
    up = up + w["up.0.bias"][:, None, None]
    top = double(torch.cat((skip, up), dim=1), "decoder.0")
    expected = torch.einsum("bcij,dc->bdij", top, w["head.weight"][..., 0, 0])
    torch.testing.assert_close(net(u), expected + w["head.bias"][0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("resampling", RESAMPLING)
def test_residual_network_starts_as_the_identity_and_can_leave_it(
    resampling: tuple[Any, Any],
) -> None:
    net = small(depth=2, residual=True, resampling=resampling)
    u = torch.randn(2, 1, 9, 6)
    assert torch.equal(net(u), u)
    net(u).sum().backward()
    assert net.head.weight.grad is not None
    assert net.head.weight.grad.abs().sum() > 0
    nn.init.ones_(net.head.weight)
    assert not torch.allclose(net(u), u)


def test_residual_adds_the_input() -> None:
    plain, residual = small(residual=False), small(residual=True)
    residual.load_state_dict(plain.state_dict())
    u = torch.randn(1, 1, 8, 7)
    assert torch.equal(residual(u), u + plain(u))


@pytest.mark.parametrize("groups", [0, 2])
def test_result_depends_on_neither_neighbours_nor_mode_and_writes_no_buffer(groups: int) -> None:
    net = small(groups=groups).double()
    u = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    together = net.train()(u)
    alone = torch.cat([net.eval()(image[None]) for image in u])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    assert not list(net.buffers())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_formats_agree(dtype: torch.dtype) -> None:
    """Up to rounding: 32 ε of the largest value, in both types (worst of 80 draws: 27 ε)."""
    net = small(depth=3).to(dtype)
    u = torch.randn(2, 1, 18, 13, dtype=dtype)
    expected = net(u)
    nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
    atol = 32 * torch.finfo(dtype).eps * expected.abs().max().item()
    v = net(u.to(memory_format=torch.channels_last))
    torch.testing.assert_close(v, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("resampling", RESAMPLING)
def test_gradient_reaches_every_parameter(resampling: tuple[Any, Any]) -> None:
    net = small(depth=2, resampling=resampling)
    net(torch.randn(2, 1, 9, 11)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_gradient_is_the_finite_difference() -> None:
    net = small(depth=1, groups=2, resampling=("strided", "bilinear")).double()
    u = torch.randn(1, 1, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (u,))


def test_initial_weights_come_from_the_default_generator_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        net = UNet(UNetSpec(base=4, depth=1, groups=0))
        return nn.utils.parameters_to_vector(net.parameters()).detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_spec_is_rebuilt_from_its_fields() -> None:
    spec = UNetSpec(2, 2, 16, 3, 4, ("strided", "bilinear"))
    assert UNetSpec(**asdict(spec)) == spec


@pytest.mark.parametrize(
    "fields",
    [
        {"base": 0},
        {"depth": 0},
        {"groups": 5},
        {"groups": -1},
        {"resampling": ("mean", "transposed")},
        {"resampling": ("strided",)},
        {"out_channels": 2},
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        UNetSpec(**fields)


def test_other_channels_need_no_residual() -> None:
    net = UNet(UNetSpec(3, 2, base=8, depth=1, residual=False))
    assert net(torch.randn(1, 3, 4, 4)).shape == (1, 2, 4, 4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 2, 8, 8), (1, 1, 0, 8)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="UNet"):
        small()(torch.zeros(shape))


def test_complex_images_are_refused() -> None:
    with pytest.raises(DtypeError, match="AsReal"):
        small()(torch.zeros(1, 1, 8, 8, dtype=torch.complex64))
