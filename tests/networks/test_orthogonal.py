"""Orthogonal resampling as a matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.networks.orthogonal import OrthogonalDownsampling

SHAPES = {1: (6,), 2: (4, 6), 3: (2, 4, 2)}


def built(dims: int, channels: int = 3) -> OrthogonalDownsampling:
    torch.manual_seed(dims)
    layer = OrthogonalDownsampling(channels, dims).double()
    with torch.no_grad():
        layer.generator.normal_()
    return layer


def dense(layer: OrthogonalDownsampling, shape: tuple[int, ...], channels: int = 3) -> Tensor:
    basis = torch.eye(channels * torch.Size(shape).numel(), dtype=torch.float64)
    return layer(basis.reshape(-1, channels, *shape)).flatten(1).T.detach()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_matrix_is_orthogonal_and_the_adjoint_its_transpose(dims: int) -> None:
    layer, shape = built(dims), SHAPES[dims]
    matrix = dense(layer, shape)
    identity = torch.eye(len(matrix), dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, identity, rtol=0, atol=1e-13)
    low = (2**dims * 3, *(size // 2 for size in shape))
    back = layer.adjoint(identity.reshape(-1, *low)).flatten(1).T.detach()
    torch.testing.assert_close(back, matrix.T, rtol=0, atol=1e-13)


def test_single_precision_keeps_norms_too() -> None:
    layer = built(2).float()
    u = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(layer.adjoint(layer(u)), u, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer(u).norm(), u.norm(), rtol=1e-5, atol=0)


def test_it_starts_as_the_haar_transform() -> None:
    layer = OrthogonalDownsampling(1).double()
    block = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)[None, None]
    expected = [5.0, -1.0, -2.0, 0.0]
    torch.testing.assert_close(layer(block).flatten().tolist(), expected)


def test_channels_do_not_mix_and_every_one_is_learned() -> None:
    layer = built(2)
    u = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    u[:, 1] = 1
    result = layer(u)
    assert not bool(result[:, :4].any() or result[:, 8:].any())
    assert torch.autograd.gradcheck(
        lambda a, u: torch.func.functional_call(layer, {"generator": a}, (u,)),
        (0.1 * torch.randn_like(layer.generator).requires_grad_(), u.requires_grad_()),
    )


def test_autocast_does_not_round_it() -> None:
    layer = built(2).float()
    u = torch.randn(1, 3, 8, 8)
    expected = layer(u)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(u), expected, rtol=0, atol=0)
        assert layer.adjoint(expected).dtype == torch.float32


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="even sizes"):
        built(2)(torch.zeros(1, 3, 4, 5, dtype=torch.float64))
    for channels, dims in ((0, 2), (2, 4)):
        with pytest.raises(ConfigError, match="1, 2 or 3 dimensions"):
            OrthogonalDownsampling(channels, dims)
