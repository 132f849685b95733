"""The standard problem: gradients, subsets, moves, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import DtypeError, GeometryError, ShapeError
from learnedrecon.functionals.base import Fidelity, Regulariser, per_sample
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.saturation import Saturation
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))
LINEAR = RayTransform(SCAN, torch.float64)
CURVED = TransmissionCT(Transmission(SCAN, 0.1), torch.float64)


@pytest.mark.parametrize(
    ("operator", "fidelity"),
    [(LINEAR, LeastSquares()), (CURVED, LeastSquares()), (CURVED, KullbackLeibler())],
    ids=["linear", "nonlinear", "Poisson"],
)
def test_gradient_is_that_of_the_data_term(operator: Operator, fidelity: Fidelity) -> None:
    u = normal(2, 1, 4, 5).exp().requires_grad_()
    problem = InverseProblem(operator, normal(2, 1, 6, 7, seed=1).exp(), fidelity)
    value = fidelity(problem.forward(u), problem.data).sum()
    (expected,) = torch.autograd.grad(value, u)
    torch.testing.assert_close(problem.gradient(u).detach(), expected)


def test_gradient_of_poisson_transmission_has_the_short_form() -> None:
    """-μP*(T(u) - y), Adler, Öktem 2017, section 5.2."""
    u, y = normal(2, 1, 4, 5).abs(), normal(2, 1, 6, 7, seed=1).abs()
    problem = InverseProblem(CURVED, y, KullbackLeibler())
    expected = -0.1 * LINEAR.adjoint(CURVED(u) - y)
    torch.testing.assert_close(problem.gradient(u), expected)


@pytest.mark.parametrize("attenuation", [150.0, 300.0, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_gradient_survives_matter_that_lets_nothing_through(
    attenuation: float, dtype: torch.dtype
) -> None:
    """There exp(-μPu) underflows, to subnormal numbers or to 0, and y/T(u) overflows."""
    u = torch.full((1, 1, 4, 5), attenuation, dtype=dtype)
    y = normal(1, 1, 6, 7, seed=1).abs().to(dtype)
    problem = InverseProblem(CURVED, y, KullbackLeibler())
    assert torch.exp(-0.1 * LINEAR(u)).min() < 1e-25
    expected = -0.1 * LINEAR.adjoint(CURVED(u) - y)
    torch.testing.assert_close(problem.gradient(u), expected)
    assert problem.fidelity(problem.forward(u), y).isfinite().all()
    assert KullbackLeibler().gradient(torch.zeros_like(y), 1000 * y).isfinite().all()


def test_adjoint_of_a_nonlinear_operator_needs_a_place() -> None:
    problem = InverseProblem(CURVED, normal(1, 1, 6, 7))
    u, v = normal(1, 1, 4, 5), normal(1, 1, 6, 7, seed=1)
    expected = CURVED.linearise(u)[1].adjoint(v)
    assert torch.equal(problem.adjoint(v, at=u), expected)
    with pytest.raises(GeometryError, match=r"problem\.adjoint\(v, at=u\)"):
        problem.adjoint(v)


def test_adjoint_of_a_linear_operator_ignores_the_place() -> None:
    problem = InverseProblem(LINEAR, normal(1, 1, 6, 7))
    v = normal(1, 1, 6, 7, seed=1)
    assert torch.equal(problem.adjoint(v, at=normal(1, 1, 4, 5)), LINEAR.adjoint(v))


def test_subset_restricts_operator_and_data_alike() -> None:
    problem = InverseProblem(
        LINEAR, normal(2, 1, 6, 7).abs(), KullbackLeibler(), Dirichlet(), draws=(3, 1)
    )
    part = problem.subset([4, 0])
    assert torch.equal(part.data, problem.data[:, :, [4, 0]])
    matrix = dense_matrix(LINEAR).reshape(6, 7, 20)[[4, 0]].reshape(14, 20)
    assert isinstance(part.operator, RayTransform)
    torch.testing.assert_close(dense_matrix(part.operator), matrix)
    assert part.fidelity is problem.fidelity
    assert part.regulariser is problem.regulariser
    assert part.draws == (3, 1)


def test_gradients_of_parts_add_up() -> None:
    problem = InverseProblem(LINEAR, normal(2, 1, 6, 7))
    u = normal(2, 1, 4, 5)
    parts = [problem.subset(range(k, 6, 2)).gradient(u) for k in range(2)]
    torch.testing.assert_close(sum(parts), problem.gradient(u))


def test_a_nonlinear_problem_has_subsets() -> None:
    """Σ over parts of [∂T_k(u)]*(T_k(u) - y_k) is the whole gradient."""
    saturated = Saturation(CURVED.codomain, 0.7) @ CURVED
    u = normal(2, 1, 4, 5).abs()
    for operator in (CURVED, saturated):
        problem = InverseProblem(operator, normal(2, 1, 6, 7, seed=1).abs())
        parts = [problem.subset(range(k, 6, 2)) for k in range(2)]
        assert torch.equal(parts[1].data, problem.data[:, :, 1::2])
        torch.testing.assert_close(sum(p.gradient(u) for p in parts), problem.gradient(u))


def test_only_operators_with_rows_have_subsets() -> None:
    for operator in (LINEAR.H @ CURVED, LINEAR.H):
        shape = operator.codomain.shape
        with pytest.raises(GeometryError, match=type(operator).__name__):
            InverseProblem(operator, normal(1, 1, *shape)).subset([0])


@pytest.mark.parametrize("shape", [(6, 7), (1, 6, 7), (1, 1, 7, 6)])
def test_data_must_have_batch_and_channel(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="data"):
        InverseProblem(LINEAR, torch.zeros(shape))


def test_data_must_be_floats() -> None:
    with pytest.raises(DtypeError, match=r"torch\.int32"):
        InverseProblem(LINEAR, torch.zeros(1, 1, 6, 7, dtype=torch.int32))


class Weighted(Regulariser):
    """½w‖u‖² with a weight in a buffer, and another in a parameter."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.own = nn.Parameter(torch.ones(()))

    def forward(self, u: Tensor) -> Tensor:
        return per_sample(0.5 * self.weight * self.own * u.square())

    def gradient(self, u: Tensor) -> Tensor:
        return self.weight * self.own * u


def test_moving_moves_everything_and_leaves_the_old_problem() -> None:
    diagonal = Diagonal(LINEAR.domain, normal(4, 5)) @ Diagonal(LINEAR.domain, normal(4, 5))
    problem = InverseProblem(diagonal, normal(1, 1, 4, 5), regulariser=Weighted(torch.ones(())))
    moved = problem.to("meta")
    assert moved.data.device.type == "meta"
    assert moved.regulariser is not None
    inside = (*moved.operator.buffers(), *moved.regulariser.parameters())
    assert len(inside) == 3
    for tensor in (*inside, *moved.regulariser.buffers()):
        assert tensor.device.type == "meta"
    for module in (problem.operator, problem.regulariser):
        assert module is not None
        for tensor in (*module.buffers(), *module.parameters()):
            assert tensor.device.type == "cpu"
    assert problem.gradient(problem.data).device.type == "cpu"


def test_gradients_flow_through_a_move() -> None:
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    problem = InverseProblem(LINEAR, normal(1, 1, 6, 7), regulariser=Weighted(weight)).to("cpu")
    assert problem.regulariser is not None
    u = normal(1, 1, 4, 5)
    (gradient,) = torch.autograd.grad(problem.regulariser(u).sum(), weight)
    torch.testing.assert_close(gradient, 0.5 * u.square().sum())


def test_problems_are_values() -> None:
    problem = InverseProblem(LINEAR, normal(1, 1, 6, 7))
    with pytest.raises(AttributeError):
        problem.draws = (1,)  # type: ignore[misc]
    other = replace(problem, draws=(1,))
    assert (problem.draws, other.draws) == ((), (1,))
    assert other.operator is problem.operator
    assert isinstance(problem.fidelity, LeastSquares)
    assert problem.regulariser is None


def test_what_is_not_an_operator_is_named() -> None:
    with pytest.raises(
        GeometryError, match=r"an operator T\. .*ParallelBeam.*InverseProblem\(T, y\)"
    ):
        InverseProblem(SCAN, normal(1, 1, 6, 7))  # type: ignore[arg-type]
