"""A training step, in the variants that are compared."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from learnedrecon.schemes.primal_dual import PrimalDualStep
from torch import Tensor, nn

from learnedrecon.models.learned_primal_dual import learned_primal_dual
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.schemes.reconstructor import Iterative


@dataclass(frozen=True)
class Variant:
    """How the networks of the scheme are run.

    Attributes:
        channels_last: their weights and inputs in that memory format.
        compiled: by torch.compile, which fuses what is pointwise.
        bfloat16: under autocast; the ray transform stays in float32.
    """

    channels_last: bool = False
    compiled: bool = False
    bfloat16: bool = False


VARIANTS = {
    "as it is": Variant(),
    "channels-last": Variant(channels_last=True),
    "torch.compile": Variant(compiled=True),
    "channels-last, torch.compile": Variant(channels_last=True, compiled=True),
    "bfloat16 networks": Variant(bfloat16=True),
    "bfloat16 networks, channels-last": Variant(channels_last=True, bfloat16=True),
}


class ChannelsLast(nn.Module):
    """A network in the channels-last memory format."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, u: Tensor) -> Tensor:
        """Applies it."""
        return self.network(u.contiguous(memory_format=torch.channels_last))


def model_of(variant: Variant) -> Iterative:
    """Learned primal-dual with 10 steps of 32 channels, 253 220 weights drawn from seed 0."""
    torch.manual_seed(0)
    model = learned_primal_dual()
    for step in model.modules():
        if isinstance(step, PrimalDualStep):
            step.dual_network = _prepared(step.dual_network, variant)
            step.primal_network = _prepared(step.primal_network, variant)
    return model


def training_step(operator: LinearOperator, batch: int, variant: Variant) -> Callable[[], float]:
    """One step of Adam along the gradient of the squared error, and its loss.

    Args:
        operator: T; the data are T of random images.
        batch: how many images.
        variant: of the networks.
    """
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand((batch, 1, *operator.domain.shape), generator=generator)
    with torch.no_grad():
        problem = InverseProblem(operator, operator(truth))
    model = model_of(variant)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    lowered = torch.autocast("cpu", torch.bfloat16) if variant.bfloat16 else nullcontext()

    def step() -> float:
        optimiser.zero_grad()
        with lowered:
            image = model(problem).image
        loss = (image - truth).square().mean()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def _prepared(network: nn.Module, variant: Variant) -> nn.Module:
    if variant.channels_last:
        network = ChannelsLast(network)
    if variant.compiled:
        network.compile(dynamic=False)
    return network
