"""LISTA and its relatives: their formulas in numpy, ISTA before training, and their theorem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from learnedrecon.errors import ConfigError, GeometryError, ShapeError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.functionals.norms import L1
from learnedrecon.models import ALISTA, LISTA, LISTACP, LISTACPSS, Support
from learnedrecon.models.alista import analytic_weight
from learnedrecon.models.lista_coupled import shrink_unselected
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Chain
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Iterative

Array: TypeAlias = NDArray[np.float64]
F64 = torch.float64
M, N, C, THETA = 6, 9, 0.5, 0.05
SIZE: dict[str, Any] = {"rows": M, "columns": N, "image_scale": C, "threshold": THETA}
HALF = Support(20.0, 50.0)


def matrix(m: int = M, n: int = N, seed: int = 0) -> torch.Tensor:
    a = torch.randn(m, n, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return a / a.norm(dim=0)


A = matrix()
T = MatrixOperator(A)
NORM = T.norm()
Y = torch.randn(3, 1, M, generator=torch.Generator().manual_seed(1), dtype=F64)
PROBLEM = InverseProblem(T, Y)


def soft(v: Array, threshold: float, kept: int = 0) -> Array:
    """Entry by entry: the ``kept`` largest ones above the threshold stay as they are."""
    order = np.argsort(-np.abs(v))
    out = np.sign(v) * np.maximum(np.abs(v) - threshold, 0)
    for i in order[:kept]:
        if abs(v[i]) > threshold:
            out[i] = v[i]
    return out


def weights(model: Iterative, name: str) -> list[Array]:
    assert isinstance(model.scheme, Chain)
    found = (step.get_parameter(name) for step in model.scheme)
    return [p.detach().numpy() for p in found]


def thresholds(model: Iterative) -> list[float]:
    return [float(np.exp(p)) for p in weights(model, "log_threshold")]


def test_lista_is_the_formula() -> None:
    model = LISTA(4, like=T, **SIZE).double()
    perturb(model, seed=2)
    a = A.numpy() / NORM
    first, *others = weights(model, "network.matrix")
    images = model(PROBLEM).image
    for y, image in zip(Y[:, 0].numpy() / (C * NORM), images[:, 0], strict=True):
        drive = (a.T + first) @ y
        x = np.zeros(N)
        for k, theta in enumerate(thresholds(model)):
            w2 = np.eye(N) - a.T @ a + (others[k - 1] if k else 0)
            x = soft(drive + w2 @ x, theta)
        np.testing.assert_allclose(image.detach(), C * x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("support", [None, HALF])
def test_coupled_lista_is_the_formula(support: Support | None) -> None:
    kind = LISTACP if support is None else LISTACPSS
    chosen: dict[str, Any] = {} if support is None else {"support": support}
    model: Iterative = kind(4, like=T, **SIZE, **chosen)
    perturb(model.double(), seed=2)
    a = A.numpy() / NORM
    for y, image in zip(Y[:, 0].numpy() / (C * NORM), model(PROBLEM).image[:, 0], strict=True):
        x = np.zeros(N)
        steps = zip(weights(model, "network.matrix"), thresholds(model), strict=True)
        for k, (v, theta) in enumerate(steps, 1):
            kept = 0 if support is None else int(min(20 * k, 50) / 100 * N)
            x = soft(x + (a.T + v) @ (y - a @ x), theta, kept)
        np.testing.assert_allclose(image.detach(), C * x, rtol=1e-12, atol=1e-14)


def test_alista_is_the_formula() -> None:
    """W by the pseudo-inverse of numpy, T and y without any norm."""
    model = ALISTA(4, support=HALF, threshold=THETA, image_scale=C, like=T).double()
    perturb(model, seed=2)
    a = A.numpy()
    inverse = np.linalg.pinv(a)
    w = inverse.T / np.diag(inverse @ a)
    gammas = [float(p) for p in weights(model, "step_size")]
    for y, image in zip(Y[:, 0].numpy() / C, model(PROBLEM).image[:, 0], strict=True):
        x = np.zeros(N)
        for k, (gamma, theta) in enumerate(zip(gammas, thresholds(model), strict=True), 1):
            x = soft(x - gamma * w.T @ (a @ x - y), theta, int(min(20 * k, 50) / 100 * N))
        np.testing.assert_allclose(image.detach(), C * x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [LISTA, LISTACP])
def test_before_training_they_are_ista(kind: Any) -> None:
    """Gradient steps 1/‖T‖² of our functionals, and the proximal map of ours with λ = cθ‖T‖²."""
    model = kind(5, like=T, **SIZE | {"threshold": 0.3}).double()
    smooth = FunctionalOf(Misfit(LeastSquares(), Y), T)
    simple = FunctionalMultiple(L1(), C * 0.3 * NORM**2)
    x = torch.zeros(3, 1, N, dtype=F64)
    for found in model.iterates(PROBLEM):
        x = simple.prox(x - smooth.gradient(x) / NORM**2, 1 / NORM**2)
        torch.testing.assert_close(found.image, x, rtol=1e-6, atol=1e-8)  # θ was float32
    assert 0 < int((x == 0).sum()) < x.numel()


def test_their_sizes() -> None:
    assert count_parameters(LISTA()) == 3_875_016 == 250 * 500 + 15 * 500**2 + 16
    assert count_parameters(LISTACP()) == 2_000_016 == 16 * (250 * 500 + 1)
    assert count_parameters(LISTACPSS()) == 2_000_016
    assert count_parameters(ALISTA()) == 32


def test_the_weight_minimises_the_coherence() -> None:
    """Against projected gradients; WᵀT has ones, and another W with ones is worse."""
    damping = 0.3
    for delta in (0.0, damping):
        found = analytic_weight(T, delta)
        w = A.clone()
        size = A @ A.T + delta * NORM**2 * torch.eye(M, dtype=F64)
        rate = 1 / torch.linalg.matrix_norm(size, 2)
        for _ in range(2000):
            w = w - rate * size @ w
            w = w + A * (1 - (w * A).sum(0)) / A.square().sum(0)
        torch.testing.assert_close(found, w, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close((found * A).sum(0), torch.ones(N, dtype=F64))
    assert float((analytic_weight(T).T @ A).norm()) < float((A.T @ A).norm())


def test_the_weight_is_computed_again_after_a_change_in_place() -> None:
    operator = MatrixOperator(A.clone())
    first = analytic_weight(operator)
    assert analytic_weight(operator) is first
    operator.matrix.copy_(matrix(seed=5))
    torch.testing.assert_close(
        analytic_weight(operator), analytic_weight(MatrixOperator(matrix(seed=5)))
    )


@pytest.mark.parametrize("name", ["cp", "alista"])
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_no_false_positives_and_linear_convergence(name: str, share: float) -> None:
    """Theorem 1 of Liu et al.: θ_k = μ E_k with E_k ≥ ‖x_k - x*‖₁ and E_{k+1} = (2s - 1) μ E_k.

    With a tenth of these thresholds there are false positives, so that the test can fail.
    """
    a, s, steps = matrix(60, 70), 2, 8
    operator, w = MatrixOperator(a), analytic_weight(MatrixOperator(a))
    coherence = w.T @ a
    mu = float((coherence - torch.diag(coherence.diag())).abs().max())
    assert (2 * s - 1) * mu < 1
    generator = torch.Generator().manual_seed(3)
    truth = torch.zeros(20, 1, 70, dtype=F64)
    for each in truth:
        each[0, torch.randperm(70, generator=generator)[:s]] = torch.tensor([1.0, -0.7], dtype=F64)
    errors = [s * ((2 * s - 1) * mu) ** k for k in range(steps + 1)]
    model: Iterative
    if name == "alista":
        model = ALISTA(steps, support=Support(0, 0), like=operator).double()
    else:
        model = LISTACP(steps, 60, 70, like=operator).double()
    assert isinstance(model.scheme, Chain)
    with torch.no_grad():
        for step, error in zip(model.scheme, errors, strict=False):
            step.get_parameter("log_threshold").fill_(np.log(share * mu * error))
            if name == "cp":
                ours = w.T * operator.norm() - a.T / operator.norm()
                step.get_parameter("network.matrix").copy_(ours)
        iterates = [
            each.image for each in model.iterates(InverseProblem(operator, operator(truth)))
        ]
    false = [int(((x != 0) & (truth == 0)).sum()) for x in iterates]
    if share < 1:
        assert max(false) > 0
        return
    assert max(false) == 0
    for x, error in zip(iterates, errors[1:], strict=True):
        assert float((x - truth).abs().sum(-1).max()) <= error * (1 + 1e-9)


def test_what_is_selected_is_not_shrunk() -> None:
    v = torch.tensor([[[3.0, -2.0, 1.0, 0.2, -0.1]]], dtype=F64)
    found = shrink_unselected(v, torch.tensor(0.5, dtype=F64), 0.4)
    assert found.tolist() == [[[3.0, -2.0, 0.5, 0.0, 0.0]]]
    everything = shrink_unselected(v, torch.tensor(0.5, dtype=F64), 1.0)
    assert everything.tolist() == [[[3.0, -2.0, 1.0, 0.0, 0.0]]]


@pytest.mark.parametrize("kind", [LISTA, LISTACP, LISTACPSS, ALISTA])
def test_gradients_by_finite_differences(kind: Any) -> None:
    size = {} if kind is ALISTA else {"rows": M, "columns": N}
    model = kind(3, like=T, threshold=THETA, **size).double()
    perturb(model, seed=4)
    names = [name for name, _ in model.named_parameters()]

    def images(data: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, values, strict=True))
        problem = InverseProblem(T, data)
        found = torch.func.functional_call(model, given, (problem,))
        image: torch.Tensor = found.image
        return image

    data = Y[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(images, (data, *model.parameters()), fast_mode=True)


def test_what_alista_refuses() -> None:
    unseen = A.clone()
    unseen[:, 2:4] = 0
    nearly = A.clone()
    nearly[-1] = nearly[-2] + 1e-9 * nearly[-1]
    lead = T.with_tensors({"matrix": A.expand(2, 1, M, N).clone()})
    for operator, words in (
        (MatrixOperator(unseen), r"sees every coefficient.*2 of 9 columns of zeros"),
        (MatrixOperator(nearly), r"singular values.*damping=1e-3"),
        (lead, r"one operator for all samples"),
    ):
        with pytest.raises(GeometryError, match=words):
            ALISTA(2, like=operator).double()(InverseProblem(operator, Y[:2]))
    assert bool(analytic_weight(MatrixOperator(nearly), 1e-3).isfinite().all())


def test_wrong_sizes_and_arguments_are_named() -> None:
    with pytest.raises(ShapeError, match=r"\(5, 9\).*6 data and 9.*rows=6, columns=9"):
        LISTA(2, 5, 9, like=T).double()(PROBLEM)
    with pytest.raises(ConfigError, match="percent"):
        Support(-1.0)
    with pytest.raises(ConfigError, match="damping"):
        ALISTA(damping=-1.0)
    with pytest.raises(ConfigError, match="rows"):
        LISTACP(rows=0)


def test_a_matrix_that_no_memory_holds_is_refused_before_it_is_made() -> None:
    """It takes an identity of n² numbers, however few data there are."""
    wide = MatrixOperator(torch.ones(1, 300_000, dtype=F64))
    with pytest.raises(ConfigError, match="1 x 300000"):
        analytic_weight(wide)
