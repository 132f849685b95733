"""Variational networks: their sizes, their formula, their energy, and what they reduce to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import Dense, complex_normal, normal
from tests.models.test_every_operator import OPERATORS, built, given
from torch import Tensor

from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.like import Like
from learnedrecon.models.variational import VariationalNetwork, VariationalStep
from learnedrecon.networks.experts import Experts
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.linear import LinearOperator

SMALL = Experts(3, 3, 7, 1.5, 0.3)
COMPLEX = Like(image_complex=True, data_complex=True)


def model_of(operator: LinearOperator | None = None, iterations: int = 3) -> VariationalNetwork:
    """With random activations and λ of their own."""
    torch.manual_seed(2)
    model = VariationalNetwork(iterations, SMALL, start="zero", like=operator).double()
    for k, step in enumerate(steps_of(model)):
        with torch.no_grad():
            step.experts.weights.copy_(normal(3, 7, seed=k))
            step.log_step.fill_(0.1 * k - 0.3)
    return model


def steps_of(model: VariationalNetwork) -> list[VariationalStep]:
    return [m for m in model.modules() if isinstance(m, VariationalStep)]


def analysis(step: VariationalStep, n: int) -> NDArray[np.float64]:
    """K on signals of n pixels, (filters, n, channels, n), by numpy's padding."""
    filters = step.experts.filters().detach().numpy()
    found = np.zeros((len(filters), n, filters.shape[1], n))
    for pixel in range(n):
        wide = np.pad(np.eye(n)[pixel], 1, "symmetric")
        for k, channels in enumerate(filters):
            for c, kernel in enumerate(channels):
                found[k, :, c, pixel] = np.correlate(wide, kernel, "valid")
    return found


def activated(step: VariationalStep, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of Gaussians of every filter, one after the other."""
    x = s[..., None] * 3 / SMALL.reach - np.arange(-3, 4)
    w = step.experts.weights.detach().numpy()
    bank = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    return np.einsum("kpj,kj->kp", bank, w)


@pytest.mark.parametrize(
    ("iterations", "experts", "like", "shown"),
    [
        (5, Experts(24, 5), None, 6_720),
        (5, Experts(48, 7), None, 19_200),
        (10, Experts(48, 11), COMPLEX, 131_050 - 10),
    ],
)
def test_parameters(iterations: int, experts: Experts, like: Like | None, shown: int) -> None:
    """Those of filters and activations, and one λ a step."""
    model = VariationalNetwork(iterations, experts, like=like)
    assert count_parameters(model) == shown + iterations


def test_the_default_is_the_smaller_denoiser() -> None:
    assert VariationalNetwork().spec == VariationalNetwork(5, Experts(24, 5, 31)).spec


@pytest.mark.parametrize("is_complex", [False, True])
def test_it_is_the_formula(is_complex: bool) -> None:
    """In numpy: dense T and K; complex images by a pair of real filters."""
    random = complex_normal if is_complex else normal
    operator = Dense(random(8, 6, seed=1))
    model = model_of(operator)
    y = operator(random(1, 1, 6, seed=3))
    matrix = operator.matrix.numpy() / operator.norm()
    data = y.numpy()[0, 0] / operator.norm()
    u = np.zeros(6, matrix.dtype)
    for step in steps_of(model):
        k = analysis(step, 6)
        parts = np.stack([u.real, u.imag]) if is_complex else u[None]
        response = activated(step, np.einsum("kpcq,cq->kp", k, parts))
        force = np.einsum("kpcq,kp->cq", k, response) / SMALL.filters
        prior = force[0] + 1j * force[1] if is_complex else force[0]
        size = np.exp(float(step.log_step.detach()))
        u = u - size * (prior + matrix.conj().T @ (matrix @ u - data))
    found = model(InverseProblem(operator, y)).image.detach().numpy()[0, 0]
    np.testing.assert_allclose(found, u, rtol=0, atol=1e-12)


@pytest.mark.parametrize("column", OPERATORS)
def test_a_step_descends_along_the_gradient_of_its_energy(column: str) -> None:
    """(u - u⁺)/λ = ∇(R + D)(u), by autograd through the closed form, on every operator."""
    model = built("variational_network", column)
    assert isinstance(model, VariationalNetwork)
    problem, _ = model.scaled(given(column)[0])
    assert isinstance(problem, InverseProblem)
    state = model.initial(problem)
    for step in steps_of(model):
        u = state.image.detach().requires_grad_()
        energy = step.energy(u).sum() + problem.fidelity(problem.forward(u), problem.data).sum()
        (expected,) = torch.autograd.grad(energy, u)
        after = step(state, problem)
        found = (state.image - after.image) / step.log_step.exp()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
        state = after


def without_prior(model: VariationalNetwork) -> VariationalNetwork:
    with torch.no_grad():
        for step in steps_of(model):
            step.experts.weights.zero_()
    return model


def test_without_activations_it_is_gradient_descent() -> None:
    """From zero: u_N = (I - Π_t(I - λ_t T*T)) (T*T)⁻¹ T*y."""
    operator = Dense(normal(9, 5, seed=4))
    model = without_prior(model_of(operator))
    y = normal(2, 1, 9, seed=5)
    a = operator.matrix / operator.norm()
    left = torch.eye(5, dtype=torch.float64)
    for step in steps_of(model):
        left = left - step.log_step.detach().exp() * (left @ a.T @ a)
    solution = y @ torch.linalg.pinv(operator.matrix).T
    expected = solution - solution @ left.T
    torch.testing.assert_close(model(InverseProblem(operator, y)).image, expected)


def test_without_activations_a_denoiser_returns_its_data() -> None:
    operator = Identity(Space((6, 5), torch.float64))
    y = normal(2, 1, 6, 5, seed=6)
    model = without_prior(VariationalNetwork(2, SMALL, like=operator).double())
    torch.testing.assert_close(model(InverseProblem(operator, y)).image, y)


def test_with_linear_activations_it_is_gradient_descent_on_tikhonov() -> None:
    """½‖Tu-y‖² + a/2K Σ_k‖K_k u‖², in dense matrices."""
    operator = Dense(normal(9, 6, seed=7))
    model = VariationalNetwork(2, Experts(3, 3, 61, 20.0, 0.3), start="zero", like=operator)
    model = model.double()
    y = normal(1, 1, 9, seed=8)
    a = operator.matrix.numpy() / operator.norm()
    u = np.zeros(6)
    for step in steps_of(model):
        with torch.no_grad():
            step.experts.weights.copy_(0.3 * torch.linspace(-20, 20, 61, dtype=torch.float64))
        k = analysis(step, 6).reshape(-1, 6)
        u = u - 0.1 * k.T @ (k @ u) - a.T @ (a @ u - y.numpy()[0, 0] / operator.norm())
    found = model(InverseProblem(operator, y)).image.detach().numpy()[0, 0]
    np.testing.assert_allclose(found, u, rtol=1e-7)


def test_gradients_in_weights_and_data_by_finite_differences() -> None:
    operator = Dense(normal(5, 4, seed=9))
    model = model_of(operator, iterations=2)
    names = [name for name, _ in model.named_parameters()]

    def image(y: Tensor, *weights: Tensor) -> Tensor:
        given = dict(zip(names, weights, strict=True))
        estimate = torch.func.functional_call(model, given, InverseProblem(operator, y))
        found: Tensor = estimate.image
        return found

    weights = [p.detach().clone().requires_grad_() for p in model.parameters()]
    assert torch.autograd.gradcheck(image, (normal(1, 1, 5, seed=10).requires_grad_(), *weights))


def test_what_is_outside_the_nodes_is_reported() -> None:
    """The largest fraction of all steps, per sample, in the result and in the validation log."""
    operator = Identity(Space((8, 8), torch.float64))
    model = VariationalNetwork(2, Experts(4, 3, 9, 1.0), like=operator).double()
    perturb(model, seed=1)
    y = normal(3, 1, 8, 8, seed=11) * torch.tensor([1e-3, 1.0, 3.0])[:, None, None, None]
    problem = InverseProblem(operator, y)
    outside = model(problem).extra["outside"]
    first, last = (estimate.extra["outside"] for estimate in model.iterates(problem))
    assert torch.equal(outside, torch.maximum(first, last))
    assert outside[0] == 0 < outside[1] < outside[2] < 1
    assert model.diagnostics(problem)["outside"] == float(outside.max())
    assert "outside" not in model.diagnostics()
