"""Learned proximal descent: in numpy, and the algorithms that it contains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers import Dense, normal
from tests.in_numpy import IMAGE, RAY, C, T, data, number, scaled_data
from tests.models.derivatives import assert_derivatives
from tests.models.linear_networks import set_pointwise
from tests.models.test_unrolled import network
from torch import Tensor

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.constraints import NonNegative
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.functionals.norms import L1
from learnedrecon.models.learned_proximal import LearnedProximal, LearnedProximalStep
from learnedrecon.models.like import Like
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Chain, Repeat
from learnedrecon.solvers.fista import fista
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.testing.steps import perturb

THRESHOLD, ETA = 0.3, 0.9
MATRIX = normal(30, 6, seed=4)
MATRIX = MATRIX / torch.linalg.matrix_norm(MATRIX, 2)
Y = normal(1, 1, 30, seed=5)


def built(**changes: Any) -> LearnedProximal:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "iterations": 3,
        "hidden": 5,
        "start": "adjoint",
        "image_scale": C,
        "step": 0.7,
    }
    model = LearnedProximal(**(arguments | changes)).double()
    perturb(model, seed=0)
    return model


def repeated(first: Tensor, bias: Tensor, last: Tensor, times: int) -> Tensor:
    """The iterate of a step with a pointwise network, from 0."""
    model = LearnedProximal(1, 4, shared=True, step=ETA, like=Like(1, 1, 1)).double()
    assert isinstance(model.scheme, Repeat)
    step = model.scheme.step
    assert isinstance(step, LearnedProximalStep)
    set_pointwise(step.network, first, bias, last)
    zero = Image(torch.zeros(1, 1, 6, dtype=torch.float64))
    with torch.no_grad():
        step.log_step.copy_(torch.tensor(ETA, dtype=torch.float64).log())
        return model.scheme.with_times(times)(zero, InverseProblem(Dense(MATRIX), Y)).image


@pytest.mark.parametrize("shared", [False, True])
def test_every_iterate_in_numpy(shared: bool) -> None:
    model, y = built(shared=shared), scaled_data()
    found = [estimate.image for estimate in model.iterates(InverseProblem(RAY, data()))]
    assert isinstance(model.scheme, Chain | Repeat)
    steps = model.scheme.elements()
    assert len(found) == len(steps) == 3
    u = T.T @ y
    for step, image in zip(steps, found, strict=True):
        v = u - number(step, "log_step") * (T.T @ (T @ u - y))
        u = v + network(step, v)
        expected = C * u.reshape(1, 1, *IMAGE)
        np.testing.assert_allclose(image.detach().numpy(), expected, rtol=1e-9, atol=1e-10)


def test_sizes() -> None:
    one = 1 * 9 * 32 + 32 + 32 * 9 * 32 + 32 + 32 * 9 + 1 + 1
    assert count_parameters(LearnedProximal()) == 98_580 == 10 * one
    assert count_parameters(LearnedProximal(shared=True)) == 9_858 == one


def test_weights_of_zero_are_gradient_descent() -> None:
    """u_N = (I - (I - ηT*T)^N) T⁺y from 0, by the singular values of T."""
    times, none = 7, torch.zeros(4, 1)
    found = repeated(none, torch.zeros(4), none.T, times)
    left, values, right = np.linalg.svd(MATRIX.numpy(), full_matrices=False)
    shares = (1 - (1 - ETA * values**2) ** times) / values
    expected = right.T @ (shares * (left.T @ Y.numpy().ravel()))
    np.testing.assert_allclose(found.numpy().ravel(), expected, rtol=1e-10, atol=1e-12)


def test_soft_thresholding_as_the_network_is_ista() -> None:
    """N(v) = S(v) - v converges to the minimiser of ½‖Tu - y‖² + α‖u‖₁, that of FISTA."""
    first = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    bias = torch.tensor([0.0, 0.0, -ETA * THRESHOLD, -ETA * THRESHOLD], dtype=torch.float64)
    last = torch.tensor([[-1.0, 1.0, 1.0, -1.0]])
    found = repeated(first, bias, last, 300)
    expected = fista(
        FunctionalOf(Misfit(LeastSquares(), Y), Dense(MATRIX)),
        FunctionalMultiple(L1(), THRESHOLD),
        torch.zeros_like(found),
        lipschitz=1.0,
        tolerance=1e-12,
        max_iterations=5000,
    ).solution
    assert 0 < int((found.abs() > 1e-9).sum()) < found.numel()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_a_rectifier_as_the_network_is_projected_gradient_descent() -> None:
    first, last = torch.tensor([[1.0], [-1.0]]), torch.tensor([[0.0, 1.0]])
    found = repeated(first, torch.zeros(2), last, 5)
    u, touched = torch.zeros(6, dtype=torch.float64), False
    for _ in range(5):
        v = u - ETA * (MATRIX.T @ (MATRIX @ u - Y.ravel()))
        touched |= bool((v < 0).any())
        u = NonNegative().prox(v, ETA)
    assert touched
    torch.testing.assert_close(found.ravel(), u, rtol=1e-10, atol=1e-12)


def test_derivatives_by_finite_differences() -> None:
    assert_derivatives(LearnedProximal(2, 2, start="adjoint", like=Like(1, 1, 1)))


def test_it_sees_the_gradient_of_any_data_term() -> None:
    problem = InverseProblem(RAY, data().abs())
    other = InverseProblem(RAY, data().abs(), KullbackLeibler())
    assert not torch.allclose(built()(problem).image, built()(other).image)


def test_it_costs_one_gradient_for_each_step() -> None:
    cost = Cost()
    built(start="zero")(Counted(InverseProblem(RAY, data()), cost))
    assert (cost.forward, cost.adjoint) == (3, 3)


@pytest.mark.parametrize(
    ("field", "value"), [("iterations", 0), ("hidden", 0), ("step", 0.0), ("image_scale", 0.0)]
)
def test_fields_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"Expected '{field}' of LearnedProximal"):
        built(**{field: value})
