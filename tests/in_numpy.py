"""Networks and gradient descent once more in numpy, with T as a matrix.

Correlations are scipy's, and their transposes convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import convolve, correlate

from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.networks.potential import Correction, PotentialLayer, PotentialNet
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

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


GEOMETRY = ParallelBeam((7, 6), (0.1, 0.9, 1.4, 2.2), FlatDetector(11, 1.1, 0.6), (0.9, 1.2))
RAY = RayTransform(GEOMETRY, torch.float64)
T: Array = dense_matrix(RAY).numpy() / RAY.norm()
IMAGE = GEOMETRY.shape
C = 0.3


def data() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    u = torch.rand(1, 1, *IMAGE, generator=generator, dtype=torch.float64)
    return RAY(u)


def scaled_data() -> Array:
    """As a scheme with the image scale C sees them, flat."""
    result: Array = data().numpy().ravel() / (C * RAY.norm())
    return result


def network(step: torch.nn.Module, u: Array) -> Array:
    """R(u) = u - εN(u) for a flat image."""
    near = step.get_submodule("network")
    assert isinstance(near, NearIdentity)
    net = near.network
    if isinstance(net, Correction):
        moved = 0.5 * (u - potential(net.network, u.reshape(1, *IMAGE)).ravel())
    else:
        moved = potential(net, u.reshape(1, *IMAGE)).ravel()
    result: Array = u - near.epsilon * moved
    return result


def number(step: torch.nn.Module, name: str) -> float:
    return float(step.get_parameter(name).detach().exp())


def gradient(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    """The iterates of u = u + η(T*(y - Tu) - λR(u)) from T*y."""
    weight = number(step, "log_weight")
    u = T.T @ y
    while True:
        u = u + 0.95 / (1 + weight) * (T.T @ (y - T @ u) - weight * network(step, u))
        yield u
