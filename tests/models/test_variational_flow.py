"""The learned stopping time: the identity for its derivative, and the flow that it discretises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import Dense, complex_normal, normal
from tests.models.derivatives import assert_derivatives

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.equilibrium_splitting import WithSolver
from learnedrecon.models.like import Like
from learnedrecon.models.variational_flow import FlowStep, SemiImplicitFlow, VariationalFlow
from learnedrecon.networks.experts import Experts
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = Experts(3, 3, 7, 1.5, 0.3)


Flow = VariationalFlow | SemiImplicitFlow
KINDS = (VariationalFlow, SemiImplicitFlow)
EXACT = NormalSolver(1e-14, 200)


def model_of(
    operator: Dense, iterations: int, time: float, kind: type[Flow] = VariationalFlow
) -> tuple[Flow, FlowStep]:
    torch.manual_seed(2)
    model = kind(iterations, time, SMALL, start="zero", like=operator).double()
    if kind is SemiImplicitFlow:
        model.prepare = WithSolver(EXACT)
    (step,) = (m for m in model.modules() if isinstance(m, FlowStep))
    with torch.no_grad():
        step.experts.weights.copy_(normal(3, 7, seed=3))
    return model, step


def test_parameters() -> None:
    """One step's filters and activations, whatever the number of steps, and T."""
    for kind in KINDS:
        assert count_parameters(kind()) == 24 * (25 + 31) + 1 == 1345
        assert count_parameters(kind(40)) == 1345


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_complex", [False, True])
def test_the_derivative_in_the_time_is_that_of_the_adjoint_states(
    is_complex: bool, kind: type[Flow]
) -> None:
    """dJ/dT = 1/T Σ_s ⟨p_{s+1}, B(u_{s+1} - u_s)⟩ with p_s = dJ/du_s; and by finite differences.

    B = I for explicit steps and (I + T/S A*A)⁻¹ for semi-implicit ones.
    """
    random = complex_normal if is_complex else normal
    operator = Dense(random(8, 6, seed=1))
    model, step = model_of(operator, 4, 3.0, kind)
    a = operator.matrix / operator.norm()
    factor = torch.eye(6, dtype=a.dtype)
    if kind is SemiImplicitFlow:
        factor = torch.linalg.inv(factor + 3.0 / 4 * a.mH @ a)
    problem, target = InverseProblem(operator, random(2, 1, 8, seed=4)), random(2, 1, 6, seed=5)
    scaled, _ = model.scaled(problem)
    start = model.initial(scaled)
    states = [state.image for state in model.scheme.iterates(start, scaled)]
    loss = (states[-1] - target).abs().square().sum()
    adjoints = torch.autograd.grad(loss, states, retain_graph=True)
    before = [start.image, *states[:-1]]
    terms = [
        (p.conj() * ((later - u) @ factor.mT)).real.sum()
        for p, u, later in zip(adjoints, before, states, strict=True)
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


@pytest.mark.parametrize("kind", KINDS)
def test_without_activations_it_tends_to_the_flow_of_least_squares(kind: type[Flow]) -> None:
    """u(T) = (I - exp(-T A*A)) A⁺y, with an error of c/S + O(1/S²): its ratios are 2 + O(1/S)."""
    operator, y = Dense(normal(9, 5, seed=6)), normal(1, 1, 9, seed=7)
    a = operator.matrix / operator.norm()
    solution = torch.linalg.pinv(operator.matrix) @ y[0, 0]
    flow = solution - torch.linalg.matrix_exp(-3.0 * a.T @ a) @ solution
    errors = []
    for steps in (50, 100, 200):
        model, step = model_of(operator, steps, 3.0, kind)
        with torch.no_grad():
            step.experts.weights.zero_()
            errors.append(float((model(InverseProblem(operator, y)).image[0, 0] - flow).norm()))
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.5 / 50)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.5 / 100)


def test_semi_implicit_steps_in_numpy() -> None:
    """With the force of the filters as the derivative of their energy, by finite differences."""
    operator, y = Dense(normal(7, 5, seed=9)), normal(1, 1, 7, seed=10)
    model, step = model_of(operator, 3, 4.0, SemiImplicitFlow)
    a = (operator.matrix / operator.norm()).numpy()
    back, size = a.T @ y[0, 0].numpy() / float(operator.norm()), 4.0 / 3
    u = np.zeros(5)
    for found in model.iterates(InverseProblem(operator, y)):
        force = np.array([slope(step, u, i) for i in range(5)])
        u = np.linalg.solve(np.eye(5) + size * a.T @ a, u + size * (back - force))
        np.testing.assert_allclose(found.image.detach().numpy()[0, 0], u, rtol=0, atol=1e-8)


def slope(step: FlowStep, u: NDArray[np.float64], index: int) -> float:
    """∂R(u)/∂u_i."""
    move = np.zeros_like(u)
    move[index] = 1e-5
    with torch.no_grad():
        high, low = (step.energy(torch.from_numpy(v)[None, None]) for v in (u + move, u - move))
    return float(high - low) / 2e-5


def test_semi_implicit_steps_are_stable_for_any_time() -> None:
    """One step of T = 10⁶ without filters is (I + T A*A)⁻¹ off least squares; explicit ones fly."""
    operator, y = Dense(normal(9, 5, seed=6)), normal(1, 1, 9, seed=7)
    solution = torch.linalg.pinv(operator.matrix) @ y[0, 0]
    a = operator.matrix / operator.norm()
    left = torch.linalg.solve(torch.eye(5, dtype=torch.float64) + 1e6 * a.T @ a, solution)
    errors = {}
    for kind in KINDS:
        model, step = model_of(operator, 1, 1e6, kind)
        with torch.no_grad():
            step.experts.weights.zero_()
            errors[kind] = float((model(InverseProblem(operator, y)).image[0, 0] - solution).norm())
    assert errors[SemiImplicitFlow] == pytest.approx(float(left.norm()), rel=1e-5)
    assert errors[VariationalFlow] > 1e3


def test_derivatives_by_finite_differences() -> None:
    experts = Experts(2, 3, 5, 1.5, 0.3)
    kind = Like(1, 1, 1)
    assert_derivatives(
        SemiImplicitFlow(2, 2.0, experts, data_step=EXACT, start="adjoint", like=kind)
    )


def test_the_log_has_the_time() -> None:
    model, _ = model_of(Dense(normal(3, 4, seed=8)), 2, 2.5)
    assert model.diagnostics() == {"step.time": pytest.approx(2.5)}


def test_a_time_is_positive() -> None:
    with pytest.raises(ConfigError, match="time"):
        VariationalFlow(time=0.0)
