"""PDHG with a denoiser: every step in numpy, PDHG as its special case, a denoiser trained alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tests.helpers import Dense, normal, relative
from tests.in_numpy import IMAGE, RAY, C, T, data, scaled_data
from tests.models.derivatives import assert_derivatives
from tests.models.linear_networks import set_pointwise
from tests.models.test_formulas import layers
from torch import Tensor, nn

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.combined import FunctionalMultiple, Misfit
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.functionals.norms import L1
from learnedrecon.models.denoiser_pdhg import DenoiserPDHG, DenoiserPDHGStep
from learnedrecon.models.like import Like
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.pdhg import Term, pdhg
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from tests.in_numpy import Array

ALPHA, GAMMA = 0.2, 0.7


def test_every_iterate() -> None:
    torch.manual_seed(0)
    model: Any = DenoiserPDHG(3, 3, 4, step=GAMMA, start="adjoint", image_scale=C).double()
    perturb(model, seed=0)
    gamma = float(model.scheme.step.log_step.detach().exp())
    tau, y = 0.99 / (2 * gamma), scaled_data()
    u: Array = T.T @ y
    ahead, h, g = u, np.zeros_like(y), np.zeros_like(u)
    for found in model.iterates(InverseProblem(RAY, data())):
        h = (h + gamma * (T @ ahead - y)) / (1 + gamma)
        v = g / gamma + ahead
        denoised = v - layers(model.denoiser.network.layers, v.reshape(1, *IMAGE))[0].ravel()
        g = g + gamma * ahead - gamma * denoised
        before, u = u, u - tau * (T.T @ h + g)
        ahead = 2 * u - before
        np.testing.assert_allclose(
            found.image.detach().numpy().ravel() / C, u, rtol=1e-9, atol=1e-9
        )


def problem_of() -> tuple[InverseProblem, Tensor]:
    matrix = normal(12, 6, seed=1)
    operator = Dense(matrix / torch.linalg.matrix_norm(matrix, 2))
    return InverseProblem(operator, normal(2, 1, 12, seed=2)), operator.matrix


def limit(step: DenoiserPDHGStep, problem: InverseProblem, iterations: int) -> Tensor:
    state = step.double().begin(problem.back, problem)
    with torch.no_grad():
        for _ in range(iterations):
            state = step(state, problem)
    return state.image


def test_with_the_identity_it_is_pdhg_for_least_squares() -> None:
    problem, matrix = problem_of()
    found = limit(DenoiserPDHGStep(nn.Identity(), GAMMA), problem, 20_000)
    solution = torch.linalg.lstsq(matrix, problem.data[:, 0].T).solution.T
    assert relative(found[:, 0], solution) < 1e-6


class Soft(nn.Module):
    """The proximal map of α/γ ‖·‖₁."""

    def forward(self, v: Tensor) -> Tensor:
        return v - v.clamp(-ALPHA / GAMMA, ALPHA / GAMMA)


def test_with_an_exact_proximal_map_it_has_the_minimiser_of_pdhg() -> None:
    problem, _ = problem_of()
    found = limit(DenoiserPDHGStep(Soft(), GAMMA), problem, 3000)
    terms = [
        Term(Misfit(LeastSquares(), problem.data), problem.operator),  # type: ignore[arg-type]
        Term(FunctionalMultiple(L1(), ALPHA), Identity(problem.operator.domain)),
    ]
    expected = pdhg(terms, None, torch.zeros_like(found), tolerance=1e-10, max_iterations=20_000)
    assert bool(expected.converged.all())
    assert 0 < int((expected.solution.abs() < 1e-8).sum()) < found.numel()
    torch.testing.assert_close(found, expected.solution, rtol=0, atol=1e-7)


def test_the_network_contains_this_proximal_map() -> None:
    """N(v) = clip(v, -t, t) = -t + relu(v + t) - relu(v - t)."""
    t = ALPHA / GAMMA
    model = DenoiserPDHG(2, 3, 4, like=Like(1, 1, 1)).double()
    set_pointwise(
        model.denoiser, torch.tensor([[1.0], [1.0], [0.0]]), torch.tensor([t, -t, t]),
        torch.tensor([[1.0, -1.0, -1.0]]),
    )  # fmt: skip
    v = normal(3, 1, 9, seed=4)
    torch.testing.assert_close(model.denoiser(v).detach(), Soft()(v), rtol=1e-6, atol=1e-7)


def test_a_denoiser_trained_alone_is_that_of_the_scheme() -> None:
    torch.manual_seed(0)
    model = DenoiserPDHG(4, 3, 8, start="adjoint", like=Like(1, 1, 1)).double()
    truth = normal(64, 1, 16, seed=5).cumsum(-1) / 4
    noisy = truth + 0.5 * normal(64, 1, 16, seed=6)
    problem, _ = problem_of()
    before = model(problem).image
    optimiser = torch.optim.Adam(model.denoiser.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = (model.denoiser(noisy) - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * 0.25 < losses[0]
    assert relative(model(problem).image.detach(), before.detach()) > 1e-3


def test_derivatives_by_finite_differences() -> None:
    assert_derivatives(DenoiserPDHG(2, 2, 3, start="adjoint", like=Like(1, 1, 1)))


def test_parameters() -> None:
    assert count_parameters(DenoiserPDHG()) == 2 * 9 * 64 + 3 * 64 * 9 * 64 + 4 * 64 + 2 == 112_002
    assert count_parameters(DenoiserPDHG(3)) == 112_002


def test_it_costs_one_evaluation_of_each_for_each_step() -> None:
    cost = Cost()
    model = DenoiserPDHG(3, 2, 2, start="zero", like=Like(1, 1, 1)).double()
    model(Counted(InverseProblem(Dense(normal(5, 4)), normal(1, 1, 5)), cost))
    assert (cost.forward, cost.adjoint) == (3, 3)
