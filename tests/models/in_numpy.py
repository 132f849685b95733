"""What tests of models in numpy share: T as a matrix, R, and gradient descent with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tests.networks.in_numpy import Array, potential

from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.networks.potential import Correction
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

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
