"""Sums of Gaussians: against the plain sum, their derivatives, and what they keep in memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.networks import radial_basis
from learnedrecon.networks.radial_basis import radial_sum

if TYPE_CHECKING:
    from collections.abc import Callable

F32, F64 = torch.float32, torch.float64
HERMITE: dict[int, Callable[[Tensor], Tensor]] = {
    0: torch.ones_like,
    1: lambda t: -t,
    2: lambda t: t.square() - 1,
    3: lambda t: 3 * t - t**3,
}


def gaussians(x: Tensor, nodes: int, order: int) -> Tensor:
    """The derivative of g at every node, (*x.shape, nodes), in float64."""
    t = x.double()[..., None] - (torch.arange(nodes) - (nodes - 1) / 2)
    if order < 0:
        return 0.5 * (1 + torch.special.erf(t / math.sqrt(2)))
    return HERMITE[order](t) * torch.exp(-0.5 * t.square()) / math.sqrt(2 * math.pi)


def plain(x: Tensor, w: Tensor, order: int) -> Tensor:
    return (gaussians(x, w.shape[1], order) * w.double()[:, None]).sum(-1)


def arguments(nodes: int, dtype: torch.dtype = F64) -> tuple[Tensor, Tensor]:
    """Values within the nodes, beyond them, and far away."""
    x = nodes * normal(2, 3, 400, seed=1) / 2
    x[..., :3] = torch.tensor([0.0, 1e3, -1e6])
    return x.to(dtype), normal(3, nodes, seed=2).to(dtype)


@pytest.mark.parametrize("order", [-1, 0, 1, 2, 3])
@pytest.mark.parametrize("nodes", [2, 7, 8, 31])
def test_it_is_the_plain_sum(nodes: int, order: int) -> None:
    for dtype, most in ((F64, 1e-13), (F32, 4e-5)):
        x, w = arguments(nodes, dtype)
        found = radial_sum(x, w, order)
        assert found.dtype == dtype
        assert float((found - plain(x, w, order)).abs().max()) < most


@pytest.mark.parametrize("order", [-1, 0, 1])
def test_derivatives_are_those_of_the_plain_sum(order: int) -> None:
    """In arguments and weights, of first and second order."""
    x, w = arguments(9)
    h = normal(2, 3, 400, seed=3)

    def derivatives(function: Callable[[Tensor, Tensor, int], Tensor]) -> list[Tensor]:
        at = [x.clone().requires_grad_(), w.clone().requires_grad_()]
        value = (h * function(at[0], at[1], order)).sum()
        first = torch.autograd.grad(value, at, create_graph=True)
        second = torch.autograd.grad(sum((g.square().sum() for g in first), x.new_zeros(())), at)
        return [*first, *second]

    for found, expected in zip(derivatives(radial_sum), derivatives(plain), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_weights_that_grow_linearly_make_a_linear_function() -> None:
    """Σ_j j g(x - j) = x + O(exp(-2π²)) where the ends are far: w_j is close to φ at node j."""
    x = torch.linspace(-7, 7, 57, dtype=F64).reshape(1, 1, -1)
    nodes = torch.arange(-15, 16, dtype=F64)
    torch.testing.assert_close(radial_sum(x, nodes[None]), x, rtol=0, atol=1e-7)


def test_what_is_saved_is_the_argument_and_the_weights() -> None:
    """Not an array of filters, nodes and pixels."""
    x, w = (t.requires_grad_() for t in arguments(31))
    saved: list[int] = []

    def noted(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(noted, lambda t: t):
        radial_sum(x, w).sum()
    assert sorted(saved) == [w.numel(), x.numel()]


def test_blocks_do_not_change_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = (t.requires_grad_() for t in arguments(31))
    whole = radial_sum(x, w)
    expected = torch.autograd.grad(whole.square().sum(), (x, w))
    monkeypatch.setattr(radial_basis, "_BLOCK", 6 * 7)
    parts = radial_sum(x, w)
    torch.testing.assert_close(parts, whole, rtol=1e-13, atol=1e-13)
    found = torch.autograd.grad(parts.square().sum(), (x, w))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
