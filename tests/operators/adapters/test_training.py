"""Our schemes train on other libraries' operators: the loss falls, and the gradient is exact."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import odl
import pylops
import pytest
import scipy.sparse
import torch

from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.operators.adapters.odl import from_odl
from learnedrecon.operators.adapters.pylops import from_pylops
from learnedrecon.operators.adapters.scipy import from_scipy
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.schemes.reconstructor import Reconstructor

SHAPE = (12, 10)


def pylops_blur() -> Operator:
    kernel = np.outer([1.0, 3, 1], [1.0, 2, 3, 2, 1])
    return from_pylops(
        pylops.signalprocessing.Convolve2D(SHAPE, kernel / kernel.sum(), offset=(1, 2))
    )


def odl_gradient() -> Operator:
    return from_odl(odl.Gradient(odl.uniform_discr([0, 0], [6, 10], SHAPE)))


def odl_cube() -> Operator:
    """Nonlinear, on cells of 0.5: u ↦ (u + 0.5)³."""
    space = odl.uniform_discr([0, 0], [6, 10], SHAPE)
    shifted = odl.IdentityOperator(space) - odl.ConstantOperator(-0.5 * space.one())
    return from_odl(odl.PowerOperator(space, 3) @ shifted)


def scipy_sampling() -> Operator:
    """Sixty random sums of 120 pixels."""
    matrix = scipy.sparse.random(60, 120, 0.2, random_state=0, format="csr")
    return from_scipy(matrix, SHAPE)


def gradient_scheme() -> Reconstructor:
    return LearnedGradient(iterations=3, memory=2, hidden=8, start="adjoint").double()


def primal_dual_scheme() -> Reconstructor:
    return LearnedPrimalDual(iterations=3, primal=2, dual=2, hidden=8).double()


def problem(operator: Operator) -> tuple[InverseProblem, torch.Tensor]:
    """Smooth images and their data."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(4, 1, 3, 3, generator=generator, dtype=torch.float64)
    truth = torch.nn.functional.interpolate(coarse, SHAPE, mode="bilinear")
    return InverseProblem(operator, operator(truth).detach()), truth


TRAINED: dict[str, tuple[Callable[[], Operator], Callable[[], Reconstructor]]] = {
    "PyLops, primal-dual": (pylops_blur, primal_dual_scheme),
    "PyLops, gradient": (pylops_blur, gradient_scheme),
    "ODL, gradient": (odl_gradient, gradient_scheme),
    "ODL nonlinear, gradient": (odl_cube, gradient_scheme),
    "SciPy, gradient": (scipy_sampling, gradient_scheme),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_scheme_trains(name: str) -> None:
    make_operator, make_scheme = TRAINED[name]
    measured, truth = problem(make_operator())
    model = make_scheme()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = (model(measured).image - truth).square().mean()
        loss.backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses


class Dense(LinearOperator):
    """The same T as a matrix that autograd sees through."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.matrix = dense_matrix(operator)
        self.size = operator.norm()

    def evaluate(self, u: torch.Tensor) -> torch.Tensor:
        return (u.flatten(2) @ self.matrix.T).reshape(*u.shape[:2], *self.codomain.shape)

    def evaluate_adjoint(self, v: torch.Tensor) -> torch.Tensor:
        return (v.flatten(2) @ self.matrix).reshape(*v.shape[:2], *self.domain.shape)

    def compute_norm(self) -> float:
        return float(self.size)


class Cube(Operator):
    """u ↦ (u + 0.5)³ in torch."""

    def evaluate(self, u: torch.Tensor) -> torch.Tensor:
        return (u + 0.5) ** 3

    def linearise(self, u: torch.Tensor) -> tuple[torch.Tensor, LinearOperator]:
        return self(u), Diagonal(self.domain, 3 * (u + 0.5) ** 2)


@pytest.mark.parametrize("name", TRAINED)
def test_the_gradient_in_the_weights_is_that_of_torch(name: str) -> None:
    make_operator, make_scheme = TRAINED[name]
    measured, truth = problem(make_operator())
    operator = measured.operator
    twin: Operator = Cube(operator.domain, operator.codomain)
    if isinstance(operator, LinearOperator):
        twin = Dense(operator)
    model = make_scheme()
    gradients = []
    for one in (measured, replace(measured, operator=twin)):
        loss = (model(one).image - truth).square().mean()
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
