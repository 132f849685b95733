"""Pairs of images that a network drives apart, found by gradient ascent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def push_apart(
    net: nn.Module, shape: Sequence[int], *, steps: int = 40, rate: float = 0.05
) -> None:
    """Trains a network of float64 to expand as much as it can on pairs of (channels, *space)."""
    torch.manual_seed(1)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(steps):
        u, v = torch.randn(2, 4, *shape, dtype=torch.float64)
        ratio = (net(u) - net(v)).norm() / (u - v).norm()
        optimiser.zero_grad()
        (-ratio).backward()
        optimiser.step()


def worst_ratio(net: nn.Module, shape: Sequence[int], steps: int = 60) -> float:
    """The largest expansion that gradient ascent on pairs of (channels, *space) finds."""
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    torch.manual_seed(2)
    u = torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)
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
