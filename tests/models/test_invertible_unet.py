"""The invertible U-Net: its inverse, its gradients, its memory."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.models.invertible_unet import InvertibleUNet, InvertibleUNetSpec
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.testing.steps import perturb

SPECS = [
    (InvertibleUNetSpec(levels=2, hidden=4), (8, 4)),
    (InvertibleUNetSpec(channels=4, levels=1, blocks=2, hidden=3, dims=3), (4, 2, 6)),
    (InvertibleUNetSpec(channels=2, levels=3, hidden=4, dims=1, kernel=5), (16,)),
]


def built(spec: InvertibleUNetSpec, mode: Backward | None = None) -> InvertibleUNet:
    torch.manual_seed(0)
    net = InvertibleUNet(spec, mode).double()
    perturb(net, seed=1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "generator" in name:
                parameter.normal_()
            elif parameter.ndim > 1:
                parameter.mul_(2)
    return net


def images(spec: InvertibleUNetSpec, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, spec.channels, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("spec", "shape"), SPECS)
def test_the_inverse_from_both_sides(spec: InvertibleUNetSpec, shape: tuple[int, ...]) -> None:
    net, u = built(spec), images(spec, shape)
    with torch.no_grad():
        v = net(u)
        assert v.shape == u.shape
        assert float((v - u).norm()) > 0.1 * float(u.norm())
        torch.testing.assert_close(net.inverse(v), u, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(net(net.inverse(u)), u, rtol=1e-11, atol=1e-11)


def test_without_couplings_it_is_the_identity() -> None:
    spec, shape = SPECS[0]
    net, u = built(spec), images(spec, shape)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "generator" not in name:
                parameter.zero_()
        torch.testing.assert_close(net(u), u)


def test_volumes_are_kept() -> None:
    """Additive couplings and rotations: the determinant of the derivative is ±1, here 1."""
    spec = InvertibleUNetSpec(levels=1, hidden=3)
    net, u = built(spec, Backprop()), images(spec, (2, 4))[:1]
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x).flatten(), u)
    determinant = torch.linalg.det(jacobian.reshape(u.numel(), u.numel()))
    torch.testing.assert_close(abs(float(determinant)), 1.0)


def gradients(net: InvertibleUNet, u: Tensor) -> list[Tensor]:
    u = u.clone().requires_grad_()
    v = net(u)
    loss = (v * torch.linspace(-1, 1, v.numel(), dtype=v.dtype).reshape(v.shape)).sum()
    return list(torch.autograd.grad(loss + v.square().sum(), [u, *net.parameters()]))


@pytest.mark.parametrize("mode", [Reversible(), Checkpointed()])
@pytest.mark.parametrize(("spec", "shape"), SPECS)
def test_gradients_are_those_of_backprop(
    spec: InvertibleUNetSpec, shape: tuple[int, ...], mode: Backward
) -> None:
    u = images(spec, shape)
    found, expected = (gradients(built(spec, m), u) for m in (mode, Backprop()))
    for a, b in zip(found, expected, strict=True):
        assert float(b.norm()) > 0
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_within_torch_checkpoint_and_another_network() -> None:
    spec, shape = SPECS[0]
    torch.manual_seed(4)
    around = nn.Sequential(nn.Conv2d(2, 2, 1), built(spec), nn.Conv2d(2, 1, 1)).double()
    u = images(spec, shape)
    exact = copy.deepcopy(around)
    unet = exact[1]
    assert isinstance(unet, InvertibleUNet)
    unet.backward_mode = Backprop()
    run = checkpoint(around, u, use_reentrant=False)
    found = torch.autograd.grad(run.square().sum(), list(around.parameters()))
    expected = torch.autograd.grad(exact(u).square().sum(), list(exact.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def saved_bytes(mode: Backward, blocks: int) -> int:
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    net = built(InvertibleUNetSpec(levels=2, hidden=4, blocks=blocks), mode)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(images(net.spec, (8, 8)))
    return total


def test_what_is_held_does_not_grow_with_the_depth() -> None:
    grows = [saved_bytes(Backprop(), blocks) for blocks in (1, 2, 4)]
    assert grows[2] - grows[1] == 2 * (grows[1] - grows[0]) > 0
    assert saved_bytes(Reversible(), 1) == saved_bytes(Reversible(), 4) == 0


def test_drift_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    spec, shape = SPECS[0]
    with caplog.at_level(logging.WARNING):
        gradients(built(spec), images(spec, shape))
    assert not caplog.text
    gradients(built(spec, Reversible(tolerance=1e-18)), images(spec, shape))
    assert "reversible units ended" in caplog.text


def test_copies_pickles_and_autocast() -> None:
    spec, shape = SPECS[0]
    net = built(spec).float()
    u = images(spec, shape).float()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(twin(u), net(u), rtol=0, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(u)
        assert rough.dtype == torch.float32
        torch.testing.assert_close(net.inverse(rough), u, rtol=1e-4, atol=1e-4)
    rough.sum().backward()
    torch.testing.assert_close(rough, net(u), rtol=2.0**-6, atol=2.0**-7)


def test_refusals() -> None:
    net = built(SPECS[0][0])
    with pytest.raises(ShapeError, match="multiples of 4"):
        net(torch.zeros(1, 2, 8, 6, dtype=torch.float64))
    with pytest.raises(ShapeError, match="InvertibleUNet"):
        net(torch.zeros(1, 3, 8, 8, dtype=torch.float64))
    with pytest.raises(DtypeError, match="real"):
        net(torch.zeros(1, 2, 8, 8, dtype=torch.complex128))
    for field in ({"channels": 3}, {"levels": 0}, {"blocks": 0}, {"dims": 4}, {"kernel": 2}):
        with pytest.raises(ConfigError, match="Expected"):
            InvertibleUNetSpec(**field)
