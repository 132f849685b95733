"""Learned primal: its size, in numpy, and the descent that it contains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers import Dense, normal
from tests.models.derivatives import assert_derivatives
from tests.models.linear_networks import set_linear
from tests.models.test_formulas import (
    DATA,
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
from tests.models.test_formulas import GEOMETRY as SCAN
from torch import nn

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.learned_primal import LearnedPrimal, LearnedPrimalStep
from learnedrecon.models.like import Like
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Chain
from learnedrecon.testing.counting import Cost, Counted


def test_ten_steps_have_125170_parameters() -> None:
    one = 6 * 9 * 32 + 32 + 32 * 9 * 32 + 32 + 32 * 9 * 5 + 5 + 2 * 32
    assert count_parameters(LearnedPrimal()) == 125_170 == 10 * one


@pytest.mark.parametrize("nonlinear", [False, True])
def test_it_is_the_formula(nonlinear: bool) -> None:
    model = with_random_weights(LearnedPrimal(iterations=3, hidden=8, image_scale=C))
    networks = [m for m in model.modules() if isinstance(m, nn.Sequential)]

    def scheme(y: Array) -> Array:
        u, seen = np.zeros((5, *IMAGE)), y if nonlinear else y / (C * NORM)
        for network in networks:
            if nonlinear:
                residual = np.exp(-MU * C * forward(u[1])) - seen
                back = -MU * C * transposed(np.exp(-MU * C * forward(u[0])) * residual)
            else:
                back = transposed(forward(u[1]) / NORM - seen) / NORM
            u = u + layers(network, np.stack([*u, back]))
        return C * u[0]

    if nonlinear:
        operator = TransmissionCT(Transmission(SCAN, MU), torch.float64)
        y = data(operator)
        found = images(model, y, operator)
    else:
        y = data()
        found = images(model, y)
    assert y.shape[2:] == DATA
    assert_close(found, [scheme(v[0]) for v in y.numpy()])


def test_gradient_descent_is_one_of_these_schemes() -> None:
    """Λ = -η times the last input, for both images, descends to the least squares solution."""
    model = LearnedPrimal(1, 2, 6, like=Like(1, 1, 1)).double()
    assert isinstance(model.scheme, Chain)
    step = model.scheme[0]
    assert isinstance(step, LearnedPrimalStep)
    set_linear(step.network, torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0]]))
    matrix, y = normal(20, 4, seed=1), normal(1, 1, 20, seed=2)
    matrix = matrix / torch.linalg.matrix_norm(matrix, 2)
    problem = InverseProblem(Dense(matrix), y)
    state = step.begin(torch.zeros(1, 1, 4, dtype=torch.float64), problem)
    with torch.no_grad():
        for _ in range(200):
            state = step(state, problem)
    expected = torch.linalg.lstsq(matrix, y[0, 0]).solution
    torch.testing.assert_close(step.image(state)[0, 0], expected, rtol=0, atol=1e-10)


def test_derivatives_by_finite_differences() -> None:
    assert_derivatives(LearnedPrimal(2, 2, 2, start="adjoint", like=Like(1, 1, 1)))


def test_it_costs_one_evaluation_of_each_for_each_step() -> None:
    cost = Cost()
    model = LearnedPrimal(3, hidden=2, like=Like(1, 1, 1)).double()
    model(Counted(InverseProblem(Dense(normal(5, 4)), normal(1, 1, 5)), cost))
    assert (cost.forward, cost.adjoint) == (3, 3)
