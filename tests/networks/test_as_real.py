"""AsReal: complex channels as pairs of real ones."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import complex_normal as random
from torch import Tensor, nn

from learnedrecon.errors import DtypeError, ShapeError
from learnedrecon.networks import AsReal, ConvNet, ConvSpec


class Mix(nn.Module):
    """Channels times a matrix."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, u: Tensor) -> Tensor:
        return torch.einsum("ij,bj...->bi...", self.matrix, u)


@pytest.mark.parametrize("space", [(5,), (4, 3), (2, 4, 3)])
def test_a_complex_matrix_over_channels_is_a_real_one_of_its_parts(space: tuple[int, ...]) -> None:
    matrix, u = random(2, 3), random(4, 3, *space)
    real = torch.cat(
        [
            torch.cat([matrix.real, -matrix.imag], dim=1),
            torch.cat([matrix.imag, matrix.real], dim=1),
        ]
    )
    expected = torch.einsum("ij,bj...->bi...", matrix, u)
    assert torch.allclose(AsReal(Mix(real))(u), expected, rtol=0, atol=1e-13)


def test_gradients_flow_to_weights_and_images() -> None:
    network = AsReal(ConvNet(ConvSpec((4, 6, 2), activation="prelu", slope=0.2))).double()
    u = random(2, 2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: network(x).abs().square().sum(), (u,))
    network(u).abs().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())


def test_the_precision_is_that_of_the_input_under_autocast() -> None:
    network = AsReal(ConvNet(ConvSpec((2, 4, 2))))
    u = random(1, 1, 6, 6, dtype=torch.complex64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = network(u)
    assert reduced.dtype == torch.complex64
    assert torch.allclose(reduced, network(u), rtol=0, atol=2.0**-7)


def test_real_images_and_odd_channels_are_refused() -> None:
    with pytest.raises(DtypeError, match="use the network itself"):
        AsReal(nn.Identity())(torch.ones(1, 1, 2, 2))
    with pytest.raises(ShapeError, match="even number of channels"):
        AsReal(Mix(torch.ones(3, 2)))(torch.ones(1, 1, 2, 2, dtype=torch.complex64))
