"""The operator-recurrent network: layers in numpy, Landweber's iteration, the Neumann series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.helpers import Dense, complex_normal, normal, relative
from tests.in_numpy import IMAGE, RAY, C, T, data, scaled_data
from tests.models.derivatives import assert_derivatives
from tests.models.test_formulas import layers

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.like import Like
from learnedrecon.models.operator_recurrent import (
    AffineMap,
    OperatorRecurrent,
    OperatorRecurrentStep,
)
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import NoScaling
from learnedrecon.schemes.step import Chain
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from tests.in_numpy import Array

    from learnedrecon.problem import Problem


def iterates(model: Any) -> list[Array]:
    problem = InverseProblem(RAY, data())
    return [e.image.detach().numpy().reshape(IMAGE) / C for e in model.iterates(problem)]


def test_every_iterate() -> None:
    torch.manual_seed(0)
    model: Any = OperatorRecurrent(3, 3, image_scale=C).double()
    perturb(model, seed=0)
    h = np.stack([(T.T @ scaled_data()).reshape(IMAGE)] * 3)
    for step, found in zip(model.scheme, iterates(model), strict=True):
        multiplied = np.stack([(T.T @ (T @ each.ravel())).reshape(IMAGE) for each in h])
        both = np.concatenate([h, multiplied])
        bent = np.maximum(layers(step.bent.layers, both), 0)
        assert 0 < np.count_nonzero(bent) < bent.size
        h = layers(step.straight.layers, both) + bent
        np.testing.assert_allclose(found, h[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("is_complex", [False, True])
def test_untrained_and_without_relu_it_is_the_landweber_iteration(is_complex: bool) -> None:
    """For one and for three channels, real and complex."""
    random = complex_normal if is_complex else normal
    operator, y = Dense(random(8, 6, seed=1)), random(2, 3, 8, seed=2)
    model = OperatorRecurrent(4, 3, like=Like.of(operator, channels=3)).double()
    for name, p in model.named_parameters():
        if ".bent." in name:
            torch.nn.init.zeros_(p)
    matrix = operator.matrix / operator.norm()
    back = y / operator.norm() @ matrix.conj()
    u = back
    for found in model.iterates(InverseProblem(operator, y)):
        u = u + back - u @ (matrix.mH @ matrix).mT
        assert relative(found.image.detach(), u) < 1e-10


def test_it_contains_the_neumann_series_of_its_own_operator() -> None:
    """Dense layers h ← b - Xh in X = T give Σ_{j≤N} (-X)ʲb, by the powers of the matrix."""
    n, depth = 6, 5
    x, b = normal(2, 1, n, n, seed=1) / 8, normal(n, seed=2)
    steps = []
    for _ in range(depth):
        straight, bent = AffineMap((2, n), (1, n)), AffineMap((2, n), (1, n))
        for p in (straight.linear.weight, *bent.parameters()):
            torch.nn.init.zeros_(p)
        with torch.no_grad():
            straight.linear.bias.copy_(b)
            straight.linear.weight[:, n:] = -torch.eye(n)
        steps.append(OperatorRecurrentStep(straight, bent, features=1, normal=False))
    model = Iterative(Chain(steps), _data, NoScaling()).double()
    found = model(InverseProblem(Dense(x), b.expand(2, 1, n).clone())).image
    series = torch.zeros(2, n, dtype=torch.float64)
    for j in range(depth + 1):
        series += torch.stack([torch.linalg.matrix_power(-each, j) @ b for each in x[:, 0]])
    torch.testing.assert_close(found[:, 0].detach(), series, rtol=1e-6, atol=1e-6)


def _data(problem: Problem) -> torch.Tensor:
    return problem.data


def test_derivatives_by_finite_differences() -> None:
    assert_derivatives(OperatorRecurrent(2, 2, like=Like(1, 1, 1)))


def test_parameters() -> None:
    assert count_parameters(OperatorRecurrent()) == 10 * 2 * (16 * 9 * 8 + 8) == 23_200
    complex_ = OperatorRecurrent(2, like=Like(image_complex=True))
    assert count_parameters(complex_) == 2 * 2 * (32 * 9 * 16 + 16)


def test_it_costs_one_evaluation_of_each_for_each_layer_and_image() -> None:
    cost = Cost()
    model = OperatorRecurrent(3, 2, like=Like(1, 1, 1)).double()
    model(Counted(InverseProblem(Dense(normal(5, 4)), normal(1, 1, 5)), cost))
    assert (cost.forward, cost.adjoint) == (2 * 3, 2 * 3 + 1)


def test_one_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="features"):
        OperatorRecurrent(features=1)
