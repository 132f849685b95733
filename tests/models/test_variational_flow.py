"""The learned stopping time: the identity for its derivative, and the flow that it discretises."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import Dense, complex_normal, normal

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.variational_flow import FlowStep, VariationalFlow
from learnedrecon.networks.experts import Experts
from learnedrecon.problem import InverseProblem

SMALL = Experts(3, 3, 7, 1.5, 0.3)


def model_of(operator: Dense, iterations: int, time: float) -> tuple[VariationalFlow, FlowStep]:
    torch.manual_seed(2)
    model = VariationalFlow(iterations, time, SMALL, start="zero", like=operator).double()
    (step,) = (m for m in model.modules() if isinstance(m, FlowStep))
    with torch.no_grad():
        step.experts.weights.copy_(normal(3, 7, seed=3))
    return model, step


def test_parameters() -> None:
    """One step's filters and activations, whatever the number of steps, and T."""
    assert count_parameters(VariationalFlow()) == 24 * (25 + 31) + 1 == 1345
    assert count_parameters(VariationalFlow(40)) == 1345


@pytest.mark.parametrize("is_complex", [False, True])
def test_the_derivative_in_the_time_is_that_of_the_adjoint_states(is_complex: bool) -> None:
    """dJ/dT = 1/T Σ_s ⟨p_{s+1}, u_{s+1} - u_s⟩ with p_s = dJ/du_s; and by finite differences."""
    random = complex_normal if is_complex else normal
    operator = Dense(random(8, 6, seed=1))
    model, step = model_of(operator, 4, 3.0)
    problem, target = InverseProblem(operator, random(2, 1, 8, seed=4)), random(2, 1, 6, seed=5)
    scaled, _ = model.scaled(problem)
    start = model.initial(scaled)
    states = [state.image for state in model.scheme.iterates(start, scaled)]
    loss = (states[-1] - target).abs().square().sum()
    adjoints = torch.autograd.grad(loss, states, retain_graph=True)
    before = [start.image, *states[:-1]]
    terms = [
        (p.conj() * (b - a)).real.sum() for p, a, b in zip(adjoints, before, states, strict=True)
    ]
    time = step.log_step.detach().exp()
    identity = torch.stack(terms).sum() / time
    (by_autograd,) = torch.autograd.grad(loss, [step.log_step])
    torch.testing.assert_close(by_autograd / time, identity)

    def loss_at(moved: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            step.log_step.copy_(moved.log())
            return (model(problem).image - target).abs().square().sum()

    difference = (loss_at(time + 1e-5) - loss_at(time - 1e-5)) / 2e-5
    torch.testing.assert_close(difference, identity.detach(), rtol=1e-6, atol=0)


def test_without_activations_it_tends_to_the_flow_of_least_squares() -> None:
    """u(T) = (I - exp(-T A*A)) A⁺y, with an error in proportion to 1/S."""
    operator, y = Dense(normal(9, 5, seed=6)), normal(1, 1, 9, seed=7)
    a = operator.matrix / operator.norm()
    solution = torch.linalg.pinv(operator.matrix) @ y[0, 0]
    flow = solution - torch.linalg.matrix_exp(-3.0 * a.T @ a) @ solution
    errors = []
    for steps in (50, 100, 200):
        model, step = model_of(operator, steps, 3.0)
        with torch.no_grad():
            step.experts.weights.zero_()
            errors.append(float((model(InverseProblem(operator, y)).image[0, 0] - flow).norm()))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.05)


def test_the_log_has_the_time() -> None:
    model, _ = model_of(Dense(normal(3, 4, seed=8)), 2, 2.5)
    assert model.diagnostics() == {"step.time": pytest.approx(2.5)}


def test_a_time_is_positive() -> None:
    with pytest.raises(ConfigError, match="time"):
        VariationalFlow(time=0.0)
