"""ADMM and PDHG as equilibrium steps: dense formulas, equal fixed points, proofs and their lack."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.evaluation.certificate import (
    ContractionCertificate,
    certify,
)
from learnedrecon.evaluation.certificate_attack import measured_contraction
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.equilibrium import FixedPointSolver, ProximalEquilibrium
from learnedrecon.models.equilibrium_splitting import (
    AdmmEquilibrium,
    EquilibriumADMM,
    ImageAndMultiplier,
    PrimalDualEquilibrium,
)
from learnedrecon.models.learned_primal_dual import PrimalDual
from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import Implicit
from learnedrecon.schemes.state import Image
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing import check_step, dense_matrix

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.problem import Problem

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))
RAY = RayTransform(SCAN, torch.float64)
T = RAY / float(RAY.norm())
DENSE = dense_matrix(T)
SPACE = Space((4, 5), torch.float64)
EXACT = Anderson(1e-13, 400)
SOLVER = NormalSolver(1e-13)


def regulariser(epsilon: float = 0.3) -> NearIdentity:
    torch.manual_seed(0)
    return NearIdentity(LipschitzNet(LipschitzSpec((1, 4, 1))), epsilon).double()


def proof(model: nn.Module, operator: LinearOperator, mu: float = 0.0) -> ContractionCertificate:
    return certify(model, operator, fidelity=LeastSquares(), smallest=mu)


def admm(penalty: float = 0.7, epsilon: float = 0.3) -> AdmmEquilibrium:
    return AdmmEquilibrium(regulariser(epsilon), penalty).double()


def well_posed() -> Diagonal:
    return Diagonal(SPACE, 0.8 + 0.2 * normal(4, 5, seed=5).tanh())


def test_a_step_of_admm_in_dense_matrices() -> None:
    step, y = admm(), normal(2, 1, 6, 7)
    z, w = normal(2, 1, 4, 5, seed=1), normal(2, 1, 4, 5, seed=2)
    found = step(ImageAndMultiplier(z, w), InverseProblem(T, y, solver=SOLVER))
    penalty = float(step.log_penalty.detach().exp())
    right = (z - w).flatten(1) + penalty * y.flatten(1) @ DENSE
    matrix = torch.eye(20, dtype=torch.float64) + penalty * DENSE.T @ DENSE
    x = torch.linalg.solve(matrix, right.T).T.reshape(2, 1, 4, 5)
    image = step.network(x + w)
    torch.testing.assert_close(found.image, image, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.multiplier, w + x - image, rtol=1e-10, atol=1e-10)


def test_a_step_of_pdhg_in_dense_matrices() -> None:
    step = PrimalDualEquilibrium(regulariser(), 0.8, product=0.6).double()
    u, h, y = normal(2, 1, 4, 5), normal(2, 1, 6, 7, seed=1), normal(2, 1, 6, 7, seed=2)
    found = step(PrimalDual(u, h), InverseProblem(T, y))
    image = step.network(u - 0.8 * (h.flatten(1) @ DENSE).reshape(2, 1, 4, 5))
    ahead = ((2 * image - u).flatten(1) @ DENSE.T).reshape(2, 1, 6, 7)
    sigma = 0.6 / 0.8
    torch.testing.assert_close(found.primal, image, rtol=1e-6, atol=1e-7)
    dual = (h + sigma * ahead - sigma * y) / (1 + sigma)
    torch.testing.assert_close(found.dual, dual, rtol=1e-6, atol=1e-7)


def test_all_three_have_the_same_fixed_points() -> None:
    operator, y = well_posed(), normal(1, 1, 4, 5)
    given, zero = InverseProblem(operator, y), torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    proximal = ProximalEquilibrium(regulariser(), 0.7)
    primal_dual = PrimalDualEquilibrium(regulariser(), 0.7).double()
    with torch.no_grad():
        first = FixedPoint(proximal, EXACT)(Image(zero), given).image
        second = FixedPoint(admm(), EXACT)(ImageAndMultiplier(zero, zero), given)
        third = FixedPoint(primal_dual, EXACT)(PrimalDual(zero, zero), given)
    torch.testing.assert_close(second.image, first, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(third.primal, first, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(third.dual, operator(first) - y, rtol=1e-6, atol=1e-6)
    multiplier = -0.7 * operator.adjoint(operator(first) - y)
    torch.testing.assert_close(second.multiplier, multiplier, rtol=1e-6, atol=1e-6)


class DenseAdmm(AdmmEquilibrium):
    """The data step of a diagonal T by a division."""

    def forward(self, state: ImageAndMultiplier, problem: Problem) -> ImageAndMultiplier:
        z, w = state
        penalty = self.log_penalty.exp()
        assert isinstance(problem, InverseProblem)
        diagonal = dict(problem.operator.named_buffers(recurse=True))
        (d,) = (value for name, value in diagonal.items() if name.endswith("diagonal"))
        x = (z - w + penalty * d * problem.data) / (1 + penalty * d.square())
        image = self.network(x + w)
        return ImageAndMultiplier(image, x + w - image)


class WithoutClosedForm(Diagonal):
    """A diagonal whose normal equations are left to conjugate gradients."""

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> None:
        del b, weight


@pytest.mark.parametrize("kind", [Diagonal, WithoutClosedForm])
def test_gradients_reach_every_leaf_of_the_data_step(kind: type[Diagonal]) -> None:
    results = []
    for step in (admm(), DenseAdmm(regulariser(), 0.7).double()):
        diagonal = (0.8 + 0.2 * normal(4, 5, seed=5).tanh()).requires_grad_()
        y = normal(2, 1, 4, 5).requires_grad_()
        zero = torch.zeros(2, 1, 4, 5, dtype=torch.float64)
        fixed = FixedPoint(step, EXACT, Implicit(EXACT))
        end = fixed(
            ImageAndMultiplier(zero, zero), InverseProblem(kind(SPACE, diagonal), y, solver=SOLVER)
        )
        loss = (end.image * normal(2, 1, 4, 5, seed=3)).sum() + end.multiplier.square().sum()
        results.append(torch.autograd.grad(loss, [*step.parameters(), diagonal, y]))
    for found, expected in zip(*results, strict=True):
        assert float(expected.norm()) > 1e-6
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_the_steps_pass_the_kit() -> None:
    given = InverseProblem(T, normal(2, 1, 6, 7), solver=SOLVER)
    image, dual = normal(2, 1, 4, 5), normal(2, 1, 6, 7, seed=1)
    check_step(admm(), ImageAndMultiplier(image, normal(2, 1, 4, 5, seed=2)), given)
    check_step(PrimalDualEquilibrium(regulariser()).double(), PrimalDual(image, dual), given)


@pytest.mark.parametrize("penalty", [0.3, 1.0, 4.0])
def test_no_attack_gets_past_the_factor_of_admm(penalty: float) -> None:
    operator, step = well_posed(), admm(penalty, 0.1)
    step.requires_grad_(requires_grad=False)
    smallest = float(operator.diagonal.abs().min()) ** 2
    certificate = proof(FixedPoint(step), operator, mu=smallest)
    assert certificate.holds, certificate.reason
    assert certificate.factor is not None
    given = InverseProblem(operator, normal(1, 1, 4, 5))
    worst = measured_contraction(step, given, pairs=4, ascents=60)
    assert 0.5 * certificate.factor < worst <= certificate.factor < 1
    assert "A contraction of x + w" in str(certificate)


def test_iterations_and_stability_of_admm() -> None:
    operator, step = well_posed(), admm(1.0, 0.2)
    smallest = float(operator.diagonal.abs().min()) ** 2
    certificate = proof(step, operator, mu=smallest)
    number = certificate.iterations(1e-3)
    assert number is not None
    assert certificate.stability is not None
    zero = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    start = ImageAndMultiplier(zero, zero)
    y, other = normal(1, 1, 4, 5), normal(1, 1, 4, 5, seed=1)
    with torch.no_grad():
        ends = [
            FixedPoint(step, EXACT)(start, InverseProblem(operator, data)) for data in (y, other)
        ]
        gap = float((ends[0].image - ends[1].image).norm())
        assert gap <= certificate.stability * float((y - other).norm())
        limit, state = step.read(ends[0]), step(start, InverseProblem(operator, y))
        first = float((step.read(state) - limit).norm())
        for _ in range(number):
            state = step(state, InverseProblem(operator, y))
        assert float((step.read(state) - limit).norm()) <= 1e-3 * first


def test_why_there_is_no_certificate() -> None:
    assert "averaged at best" in proof(admm(), T).reason
    pdhg = PrimalDualEquilibrium(regulariser()).double()
    found = proof(FixedPoint(pdhg), well_posed(), mu=0.3)
    assert "averaged at best" in found.reason
    assert found.factor is found.stability is None
    assert "τσ" not in found.reason
    longer = math.sqrt(1.5) * Diagonal(SPACE, _ones())
    assert "τσ‖T‖² ≤ 1.35 is not below 1" in proof(pdhg, longer).reason
    assert "τσ‖T‖² ≤ 3.6 is not below 1" in proof(pdhg, 2 * Diagonal(SPACE, _ones())).reason


def _ones() -> Tensor:
    return torch.ones(4, 5, dtype=torch.float64)


def test_pdhg_has_no_factor_below_one_even_where_proximal_descent_has() -> None:
    """The norm of its linear part, with R = Id, exceeds 1 in the plain norm."""
    step = PrimalDualEquilibrium(regulariser(0.0), 0.9, product=0.81).double()
    step.requires_grad_(requires_grad=False)
    given = InverseProblem(Diagonal(SPACE, _ones()), torch.zeros(1, 1, 4, 5, dtype=torch.float64))
    pairs = torch.eye(2, dtype=torch.float64)[:, :, None, None, None, None].expand(2, 2, 1, 1, 4, 5)
    columns = [step(PrimalDual(*pair), given) for pair in pairs]
    matrix = torch.tensor([[float(field[0, 0, 0, 0]) for field in end] for end in columns]).T
    assert float(torch.linalg.matrix_norm(matrix, 2)) > 1
    assert float(torch.linalg.eigvals(matrix).abs().max()) < 1


def test_a_data_step_that_does_not_converge_is_said(caplog: pytest.LogCaptureFixture) -> None:
    model = EquilibriumADMM(5.0, solver=FixedPointSolver(0.1, 2), data_step=NormalSolver(1e-12, 2))
    with caplog.at_level(logging.WARNING, "learnedrecon"), torch.no_grad():
        model.double()(InverseProblem(T, normal(1, 1, 6, 7)))
    assert "(T*T + λI)x = b is not as exact as asked for" in caplog.text


def test_refusals() -> None:
    for build in (
        lambda: AdmmEquilibrium(regulariser(), 0.0),
        lambda: PrimalDualEquilibrium(regulariser(), math.inf),
        lambda: PrimalDualEquilibrium(regulariser(), product=1.0),
    ):
        with pytest.raises(ConfigError, match="Expected"):
            build()
    photons = TransmissionCT(Transmission(SCAN, 0.05), torch.float64)
    given = InverseProblem(photons, normal(1, 1, 6, 7).abs())
    image = normal(1, 1, 4, 5)
    with pytest.raises(GeometryError, match="nonlinear"):
        admm()(ImageAndMultiplier(image, image), given)
    pdhg = PrimalDualEquilibrium(regulariser()).double()
    with pytest.raises(GeometryError, match="nonlinear"):
        pdhg(PrimalDual(image, normal(1, 1, 6, 7)), given)
