"""Learned gradient steps with a network that is a matrix over channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import normal
from torch import nn

from learnedrecon.errors import ConfigError
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.functionals.regularisers import Dirichlet, TotalVariation
from learnedrecon.models.learned_gradient import ImageAndMemory, LearnedGradientStep
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import check_step, dense_matrix

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Fidelity

GEOMETRY = ParallelBeam((6, 5), (0.2, 0.9, 2.0, 2.6), FlatDetector(9, 1.1, 0.4), (0.9, 1.2))
RAY = RayTransform(GEOMETRY, torch.float64)
P = dense_matrix(RAY).numpy()
MU, MEMORY = 0.1, 2
PHOTONS = TransmissionCT(Transmission(GEOMETRY, MU), torch.float64)


class Mix(nn.Module):
    """Channels times a matrix."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ij,bj...->bi...", self.matrix, u)


def start() -> ImageAndMemory:
    return ImageAndMemory(normal(2, 1, 6, 5, seed=1), normal(2, MEMORY, 6, 5, seed=2))


def step() -> LearnedGradientStep:
    return LearnedGradientStep(Mix(0.3 * normal(1 + MEMORY, 3 + MEMORY, seed=3)))


def linear() -> InverseProblem:
    return InverseProblem(RAY, normal(2, 1, 4, 9, seed=5), regulariser=Dirichlet())


def photons(fidelity: Fidelity) -> InverseProblem:
    data = normal(2, 1, 4, 9, seed=5).sigmoid()
    return InverseProblem(PHOTONS, data, fidelity, regulariser=Dirichlet())


def data_gradient(u: np.ndarray, y: np.ndarray, kind: str) -> np.ndarray:
    """∇D as the paper writes it: P*(Pu - y), and for photons -μP*(T - y) or -μP*(T(T - y))."""
    lines = P @ u.ravel()
    if kind == "linear":
        return (P.T @ (lines - y.ravel())).reshape(6, 5)
    t = np.exp(-MU * lines)
    weight = t if kind == "least squares" else 1.0
    return (-MU * P.T @ (weight * (t - y.ravel()))).reshape(6, 5)


def laplacian(u: np.ndarray) -> np.ndarray:
    padded = np.pad(u, 1, mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return 4 * u - around


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("linear", linear()),
        ("least squares", photons(LeastSquares())),
        ("kullback-leibler", photons(KullbackLeibler())),
    ],
)
def test_one_step(kind: str, problem: InverseProblem) -> None:
    state, scheme = start(), step()
    found = scheme(state, problem)
    assert type(found) is ImageAndMemory
    matrix = next(scheme.parameters()).detach().numpy()
    for k in range(2):
        u, s, y = state.image[k, 0].numpy(), state.memory[k].numpy(), problem.data[k, 0].numpy()
        seen = np.stack([u, data_gradient(u, y, kind), laplacian(u), *s])
        out = np.tensordot(matrix, seen, 1)
        np.testing.assert_allclose(found.image[k, 0].detach(), u + out[0], rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            found.memory[k].detach(), np.maximum(out[1:], 0), rtol=0, atol=1e-10
        )


def test_the_memory_is_rectified_and_the_image_is_not() -> None:
    found = step()(start(), linear())
    assert bool((found.memory >= 0).all())
    assert bool((found.memory == 0).any())
    assert bool((found.image < 0).any())


def test_gradient_descent_is_one_of_these_schemes() -> None:
    """The network du = -τ(∇D + α∇R) descends to the minimiser of D + αR."""
    tau, alpha = 1 / (RAY.norm() ** 2 + 8 * 0.1), 0.1
    matrix = torch.zeros(1 + MEMORY, 3 + MEMORY, dtype=torch.float64)
    matrix[0, 1], matrix[0, 2] = -tau, -tau * alpha
    scheme, problem, state = LearnedGradientStep(Mix(matrix)), linear(), start()
    with torch.no_grad():
        for _ in range(3000):
            state = scheme(state, problem)
    image = torch.eye(30, dtype=torch.float64).view(30, 6, 5).numpy()
    hessian = P.T @ P + alpha * np.stack([laplacian(e).ravel() for e in image])
    expected = np.linalg.solve(hessian, P.T @ problem.data.numpy().reshape(2, -1).T)
    np.testing.assert_allclose(state.image.reshape(2, -1), expected.T, rtol=0, atol=1e-8)


def test_a_network_of_zero_keeps_the_image_and_forgets() -> None:
    scheme = step()
    for p in scheme.parameters():
        nn.init.zeros_(p)
    found = scheme(start(), linear())
    torch.testing.assert_close(found.image, start().image, rtol=0, atol=0)
    assert not found.memory.any()


def test_a_problem_without_regulariser_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"regulariser(?s:.*)None(?s:.*)Dirichlet"):
        step()(start(), InverseProblem(RAY, normal(2, 1, 4, 9, seed=5)))


@pytest.mark.parametrize(
    "problem",
    [
        linear(),
        InverseProblem(RAY, normal(2, 1, 4, 9, seed=5), regulariser=TotalVariation(smoothing=0.1)),
        photons(LeastSquares()),
        photons(KullbackLeibler()),
    ],
)
def test_the_conformance_kit(problem: InverseProblem) -> None:
    check_step(step(), start(), problem)
