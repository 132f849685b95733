"""Equilibrium models once more in numpy: dense matrices, convolutions by scipy, sorted pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import correlate2d

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.certificate import certify
from learnedrecon.models.equilibrium import EquilibriumGradient, equilibrium_gradient
from learnedrecon.models.equilibrium_splitting import (
    EquilibriumADMM,
    EquilibriumPrimalDual,
    EquilibriumProximal,
    equilibrium_admm,
    equilibrium_primal_dual,
    equilibrium_proximal,
)
from learnedrecon.networks.bounded import BoundedConv, NearIdentity
from learnedrecon.operators.geometry import FlatDetector, ParallelBeam
from learnedrecon.operators.ray_transform import RayTransform
from learnedrecon.problem import Measured
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.solvers.fixed_point import Picard
from learnedrecon.testing import dense_matrix
from learnedrecon.testing.steps import shake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from learnedrecon.schemes.reconstructor import Iterative

Array: TypeAlias = NDArray[np.float64]

GEOMETRY = ParallelBeam((7, 6), (0.1, 0.9, 1.4, 2.2), FlatDetector(11, 1.1, 0.6), (0.9, 1.2))
RAY = RayTransform(GEOMETRY, torch.float64)
T: Array = dense_matrix(RAY).numpy() / RAY.norm()
IMAGE = GEOMETRY.shape
C = 0.3
STEPS = 4


def data() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    u = torch.rand(1, 1, *IMAGE, generator=generator, dtype=torch.float64)
    return RAY(u)


def network(step: torch.nn.Module, u: Array) -> Array:
    """u - εN(u) for a flat image."""
    near = step.get_submodule("network")
    assert isinstance(near, NearIdentity)
    x = u.reshape(1, *IMAGE)
    for layer in near.network.layers:
        if isinstance(layer, BoundedConv):
            weight, bias = layer.bounded_weight().detach().numpy(), layer.bias.detach().numpy()
            x = np.stack(
                [
                    sum(correlate2d(a, k, "same") for a, k in zip(x, kernels, strict=True)) + b
                    for kernels, b in zip(weight, bias, strict=True)
                ]
            )
        else:
            pairs = np.sort(x.reshape(-1, 2, *IMAGE), axis=1)[:, ::-1]
            x = pairs.reshape(x.shape)
    result: Array = u - near.epsilon * x.ravel()
    return result


def number(step: torch.nn.Module, name: str) -> float:
    return float(step.get_parameter(name).detach().exp())


def gradient(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    weight = number(step, "log_weight")
    u = T.T @ y
    while True:
        u = u + 0.95 / (1 + weight) * (T.T @ (y - T @ u) - weight * network(step, u))
        yield u


def proximal(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    u = T.T @ y
    while True:
        u = network(step, u - 0.8 * T.T @ (T @ u - y))
        yield u


def admm(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    alpha = number(step, "log_penalty")
    z, w = T.T @ y, np.zeros(IMAGE[0] * IMAGE[1])
    while True:
        x = np.linalg.solve(np.eye(len(z)) + alpha * T.T @ T, z - w + alpha * T.T @ y)
        z = network(step, x + w)
        w = w + x - z
        yield z


def primal_dual(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    tau = number(step, "log_step")
    sigma = 0.5 / tau
    u, h = T.T @ y, np.zeros(len(y))
    while True:
        before, u = u, network(step, u - tau * T.T @ h)
        h = (h + sigma * (T @ (2 * u - before) - y)) / (1 + sigma)
        yield u


MODELS = {
    "gradient": (
        lambda: equilibrium_gradient(EquilibriumGradient(3, 4, 0.7, image_scale=C, weight=0.5)),
        gradient,
    ),
    "proximal": (
        lambda: equilibrium_proximal(EquilibriumProximal(3, 4, 0.7, image_scale=C, step=0.8)),
        proximal,
    ),
    "admm": (
        lambda: equilibrium_admm(
            EquilibriumADMM(3, 4, 0.7, image_scale=C, penalty=2.0, data_tolerance=1e-13)
        ),
        admm,
    ),
    "primal_dual": (
        lambda: equilibrium_primal_dual(
            EquilibriumPrimalDual(3, 4, 0.7, image_scale=C, step=0.7, product=0.5)
        ),
        primal_dual,
    ),
}


def built(name: str) -> Iterative:
    torch.manual_seed(0)
    model = MODELS[name][0]().double()
    shake(model, seed=0)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_every_iterate_in_numpy(name: str) -> None:
    model, y = built(name), data()
    assert isinstance(model.scheme, FixedPoint)
    model.scheme = FixedPoint(model.scheme.step, Picard(0.0, STEPS))
    found = [estimate.image for estimate in model.iterates(Measured(RAY, y))]
    assert len(found) == STEPS
    by_hand = MODELS[name][1](model.scheme.step, y.numpy().ravel() / (C * RAY.norm()))
    for image in found:
        expected = C * next(by_hand).reshape(1, 1, *IMAGE)
        np.testing.assert_allclose(image.detach().numpy(), expected, rtol=1e-9, atol=1e-10)


def test_only_the_gradient_scheme_is_certified_where_t_has_a_null_space() -> None:
    for name, why in {"proximal": "μ > 0", "admm": "averaged", "primal_dual": "averaged"}.items():
        assert why in certify(built(name), RAY).reason
    assert certify(built("gradient"), RAY).holds


def test_fields_out_of_range() -> None:
    for build in (
        lambda: EquilibriumGradient(weight=0.0),
        lambda: EquilibriumGradient(hidden=3),
        lambda: EquilibriumProximal(step=-1.0),
        lambda: EquilibriumADMM(penalty=0.0),
        lambda: EquilibriumADMM(data_iterations=0),
        lambda: EquilibriumADMM(data_tolerance=1.0),
        lambda: EquilibriumPrimalDual(product=1.0),
    ):
        with pytest.raises(ConfigError, match="Expected"):
            build()
    with pytest.raises(ConfigError, match="EquilibriumADMM"):
        equilibrium_admm(EquilibriumProximal())  # type: ignore[arg-type]
