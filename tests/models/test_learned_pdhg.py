"""Learned PDHG: its size, in numpy, and the PDHG that it contains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers import Dense, normal
from tests.models.derivatives import assert_derivatives
from tests.models.linear_networks import set_linear
from tests.models.test_formulas import (
    DATA,
    GEOMETRY,
    IMAGE,
    MU,
    NORM,
    Array,
    C,
    assert_close,
    data,
    forward,
    images,
    layers,
    transposed,
    with_random_weights,
)
from torch import nn

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.learned_pdhg import Extrapolated, LearnedPDHG, LearnedPDHGStep
from learnedrecon.models.like import Like
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Repeat
from learnedrecon.testing.counting import Cost, Counted

WEIGHT, DUAL_STEP, PRIMAL_STEP = 0.1, 0.8, 1.2


def step_of(model: LearnedPDHG) -> LearnedPDHGStep:
    assert isinstance(model.scheme, Repeat)
    step = model.scheme.step
    assert isinstance(step, LearnedPDHGStep)
    return step


def test_it_has_20133_parameters_for_any_number_of_steps() -> None:
    dual = 2 * 9 * 32 + 32 + 32 * 9 * 32 + 32 + 32 * 9 + 1 + 2 * 32
    assert count_parameters(LearnedPDHG()) == 20_133 == 2 * dual - 9 * 32 + 3
    assert count_parameters(LearnedPDHG(iterations=3)) == 20_133


@pytest.mark.parametrize("nonlinear", [False, True])
def test_it_is_the_formula(nonlinear: bool) -> None:
    model = LearnedPDHG(iterations=3, hidden=8, image_scale=C)
    with_random_weights(model)
    gamma, lam = (m for m in model.modules() if isinstance(m, nn.Sequential))
    sigma, tau, theta = (float(p.detach()) for p in list(step_of(model).parameters())[:3])

    def evaluated(u: Array) -> Array:
        return np.exp(-MU * C * forward(u)) if nonlinear else forward(u) / NORM

    def adjoint(v: Array, at: Array) -> Array:
        if nonlinear:
            return -MU * C * transposed(evaluated(at) * v)
        return transposed(v) / NORM

    def scheme(y: Array) -> Array:
        seen = y if nonlinear else y / (C * NORM)
        u, ahead, h = np.zeros(IMAGE), np.zeros(IMAGE), np.zeros(DATA)
        for _ in range(3):
            h = h + layers(gamma, np.stack([h + sigma * evaluated(ahead), seen]))[0]
            new = u + layers(lam, (u - tau * adjoint(h, u))[None])[0]
            u, ahead = new, new + theta * (new - u)
        return C * u

    operator = TransmissionCT(Transmission(GEOMETRY, MU), torch.float64) if nonlinear else None
    y = data() if operator is None else data(operator)
    found = images(model, y) if operator is None else images(model, y, operator)
    assert_close(found, [scheme(v[0]) for v in y.numpy()])


def test_pdhg_for_a_quadratic_is_one_of_these_schemes() -> None:
    """Every iterate, with the proximal maps of the textbook, and the solution of T*T + μ."""
    matrix, y = normal(8, 5, seed=1), normal(1, 1, 8, seed=2)
    matrix = matrix / torch.linalg.matrix_norm(matrix, 2)
    problem = InverseProblem(Dense(matrix), y)
    step = step_of(LearnedPDHG(hidden=4, like=Like(1, 1, 1)).double())
    s, t = DUAL_STEP, PRIMAL_STEP
    a = s / (1 + s)
    set_linear(step.dual_network, torch.tensor([[-a, a]], dtype=torch.float64))
    set_linear(
        step.primal_network,
        torch.tensor([[-t * WEIGHT / (1 + t * WEIGHT)]], dtype=torch.float64),
    )
    with torch.no_grad():
        step.sigma.fill_(1.0)
        step.tau.fill_(1 / WEIGHT)
    state = step.begin(torch.zeros(1, 1, 5, dtype=torch.float64), problem)
    u = ahead = torch.zeros(5, dtype=torch.float64)
    h = torch.zeros(8, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(300):
            state = step(state, problem)
            h = (h + s * (matrix @ ahead - y[0, 0])) / (1 + s)
            new = (u - t * matrix.T @ h) / (1 + t * WEIGHT)
            u, ahead = new, 2 * new - u
            torch.testing.assert_close(state.image[0, 0], u, rtol=0, atol=1e-12)
            torch.testing.assert_close(state.dual[0, 0], -h, rtol=0, atol=1e-12)
    normal_matrix = matrix.T @ matrix + WEIGHT * torch.eye(5, dtype=torch.float64)
    expected = torch.linalg.solve(normal_matrix, matrix.T @ y[0, 0])
    torch.testing.assert_close(u, expected, rtol=0, atol=1e-10)


def test_networks_of_zero_keep_image_and_dual() -> None:
    step = step_of(LearnedPDHG(hidden=2, like=Like(1, 1, 1)).double())
    for network in (step.dual_network, step.primal_network):
        for p in network.parameters():
            nn.init.zeros_(p)
    image, dual = normal(2, 1, 4, seed=1), normal(2, 1, 5, seed=2)
    problem = InverseProblem(Dense(normal(5, 4)), normal(2, 1, 5, seed=3))
    found = step(Extrapolated(image, image + 1, dual), problem)
    torch.testing.assert_close(found, Extrapolated(image, image, dual), rtol=0, atol=0)


def test_derivatives_by_finite_differences() -> None:
    assert_derivatives(LearnedPDHG(2, 4, start="adjoint", like=Like(1, 1, 1)))


def test_it_costs_one_evaluation_of_each_for_each_step() -> None:
    cost = Cost()
    model = LearnedPDHG(3, 2, like=Like(1, 1, 1)).double()
    model(Counted(InverseProblem(Dense(normal(5, 4)), normal(1, 1, 5)), cost))
    assert (cost.forward, cost.adjoint) == (3, 3)
