"""deepinv's equilibrium solver on any map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.against.stand_in import deepinv

if TYPE_CHECKING:
    from collections.abc import Callable

CRITERION = (
    "the mean over the batch of ‖z_k - z_(k-1)‖ / (‖z_k‖ + 1e-6), from the third evaluation on; "
    "the last iterate is returned"
)
SMALL = 1e-6


@dataclass(frozen=True)
class Acceleration:
    """Its `AndersonAccelerationConfig`.

    Attributes:
        history_size: pairs (z, f(z)) that are combined, the newest among them.
        beta: damping.
        eps: what is added to the diagonal of the Gram matrix of residuals, in their squared unit.
    """

    history_size: int
    beta: float
    eps: float


def default_acceleration() -> Acceleration:
    """What `anderson_acceleration=True` stands for."""
    found = deepinv("optim").optimizers.AndersonAccelerationConfig()
    return Acceleration(found.history_size, found.beta, found.eps)


def backward_acceleration() -> Acceleration:
    """What its `DEQConfig` has for the linear equation of the backward pass."""
    found = deepinv("optim").optimizers.DEQConfig()
    return Acceleration(found.history_size_backward, found.beta_backward, found.eps_backward)


class _Map(nn.Module):
    """f as an iterator of deepinv."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f = f
        self.cost_fn = None
        self.has_cost = False
        self.g_first = False

    def forward(self, X: dict[str, Any], *_: object) -> dict[str, Any]:
        """One evaluation."""
        return {"est": (self.f(X["est"][0]),), "cost": None}


class DeepinvEquilibrium:
    """The forward pass of `BaseOptim(..., DEQ=True)`, whose iterator is f.

    The one or two evaluations that follow it, for the gradient, are left out.

    Args:
        f: (batch, n) to (batch, n).
        acceleration: None for the plain iteration.
        max_iter: evaluations at most.
        threshold: of its criterion, which is evaluated even where it can never be met, as for 0.
    """

    def __init__(
        self,
        f: Callable[[Tensor], Tensor],
        acceleration: Acceleration | None,
        *,
        max_iter: int,
        threshold: float = 0.0,
    ) -> None:
        optim = deepinv("optim")
        config: object = False
        if acceleration is not None:
            config = optim.optimizers.AndersonAccelerationConfig(
                acceleration.history_size, acceleration.beta, acceleration.eps
            )
        self.solver = optim.BaseOptim(
            _Map(f),
            DEQ=True,
            trainable_params=[],
            anderson_acceleration=config,
            max_iter=max_iter,
            crit_conv="residual",
            thres_conv=threshold,
            early_stop=True,
        )

    @torch.no_grad()
    def __call__(self, start: Tensor) -> Tensor:
        """The last iterate from ``start``, (batch, n)."""
        ends, _ = self.solver.fixed_point(None, None, init=start)
        return ends["est"][0]


def criterion(before: Tensor, after: Tensor) -> float:
    """Its rule for iterates one after the other, each (batch, n)."""
    gap = (before - after).norm(p=2, dim=-1) / (after.norm(p=2, dim=-1) + SMALL)
    return float(gap.mean())
