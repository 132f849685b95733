"""PotentialNet once more in numpy: correlations by scipy, their transposes as convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve, correlate

from learnedrecon.networks.potential import PotentialLayer, PotentialNet

if TYPE_CHECKING:
    from torch import nn

Array: TypeAlias = NDArray[np.float64]


def analysis(weight: Array, z: Array) -> Array:
    """Wz: (channels, *space) to (filters, *space), zeros around the image."""
    return np.stack(
        [
            sum(correlate(a, k, "same", "direct") for a, k in zip(z, kernels, strict=True))
            for kernels in weight
        ]
    )


def synthesis(weight: Array, s: Array) -> Array:
    """W^T s: (filters, *space) to (channels, *space)."""
    return np.stack(
        [
            sum(convolve(a, k, "same", "direct") for a, k in zip(s, kernels, strict=True))
            for kernels in weight.swapaxes(0, 1)
        ]
    )


def layer(module: nn.Module, z: Array) -> Array:
    """z - 2 W^T clip(Wz + b, -τ, τ) with the W that the module says it uses."""
    assert isinstance(module, PotentialLayer)
    weight = module.filters.bounded_weight().detach().numpy()
    axes = (-1, *[1] * (z.ndim - 1))
    bias = module.filters.bias.detach().numpy().reshape(axes)
    tau = np.exp(module.log_threshold.detach().numpy()).reshape(axes)
    result: Array = z - 2 * synthesis(weight, np.clip(analysis(weight, z) + bias, -tau, tau))
    return result


def potential(net: nn.Module, u: Array) -> Array:
    """N(u) of one sample, (channels, *space)."""
    assert isinstance(net, PotentialNet)
    z = np.zeros((net.spec.width, *u.shape[1:]))
    z[: len(u)] = u
    for module in net.layers:
        z = layer(module, z)
    return z[: len(u)]
