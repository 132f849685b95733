"""Initial weights of the networks: Xavier's law, and a last layer a tenth of that size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import learnedrecon as lr
from learnedrecon.networks.conv import ConvNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.schemes.reconstructor import Reconstructor

NEARLY_IDENTITIES: dict[str, Callable[[], Reconstructor]] = {
    "unrolled gradient": lr.models.UnrolledGradient,
    "MoDL": lr.models.MoDL,
    "Neumann": lr.models.NeumannNetwork,
    "preconditioned Neumann": lr.models.PreconditionedNeumannNetwork,
    "learned proximal": lambda: lr.models.LearnedProximal(iterations=2),
    "filtered primal-dual": lambda: lr.models.FilteredPrimalDual(iterations=2),
    "deep gradient descent": lambda: lr.models.DeepGradientDescent(iterations=2),
    "denoiser PDHG": lr.models.DenoiserPDHG,
}


@pytest.mark.parametrize("name", NEARLY_IDENTITIES)
def test_the_last_layer_begins_at_a_tenth_of_its_law(name: str) -> None:
    """Xavier's law has the variance 2/(fans); a uniform sample of n has a deviation to .45/√n."""
    torch.manual_seed(0)
    model = NEARLY_IDENTITIES[name]()
    nets = [m for m in model.modules() if isinstance(m, ConvNet)]
    assert nets
    for net in nets:
        *others, last = (m for m in net.layers if isinstance(m, nn.Conv2d))
        for layer, factor in [*((each, 1.0) for each in others), (last, 0.1)]:
            weight = layer.weight.detach()
            fans = weight[0, 0].numel() * (layer.in_channels + layer.out_channels)
            law = factor * (2 / fans) ** 0.5
            assert float(weight.std()) == pytest.approx(law, rel=5 * 0.45 / weight.numel() ** 0.5)
