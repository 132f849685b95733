"""Certificates: closed forms, what is refused, and attacks that never get past γ."""

from __future__ import annotations

import copy
import functools
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.attack import push_apart
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.evaluation.certificate import (
    ContractionCertificate,
    certified_step,
    certify,
)
from learnedrecon.evaluation.certificate_attack import measured_contraction
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.models.equilibrium import (
    EquilibriumGradient,
    FixedPointSolver,
    GradientEquilibrium,
    PotentialLayers,
    ProximalEquilibrium,
)
from learnedrecon.models.learned_gradient import WithRegulariser
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.state import Image
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.testing import check_step
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.contraction import CertifiedStep

SCAN = ParallelBeam((9, 9), AngleRange(6), FlatDetector(13))
RAY = RayTransform(SCAN, torch.float64)
T = RAY / float(RAY.norm())
SPACE = Space((9, 9), torch.float64)
SMALL: dict[str, Any] = {"network": PotentialLayers(2, 4, 6, 0.3)}


def proof(model: nn.Module, operator: Operator, mu: float = 0.0) -> ContractionCertificate:
    return certify(model, operator, fidelity=LeastSquares(), smallest=mu)


def regulariser(epsilon: float) -> NearIdentity:
    """Trained for a while to expand, so that the bound is put to use."""
    return NearIdentity(copy.deepcopy(_expanding()), epsilon).double()


@functools.cache
def _expanding() -> LipschitzNet:
    torch.manual_seed(0)
    net = LipschitzNet(LipschitzSpec((1, 6, 6, 1))).double()
    push_apart(net, (1, 9, 9))
    return net


def worst_contraction(step: CertifiedStep[Any], operator: LinearOperator) -> float:
    problem = InverseProblem(operator, normal(1, 1, *operator.codomain.shape))
    for parameter in step.parameters():
        parameter.requires_grad_(False)
    return measured_contraction(step, problem, pairs=4, ascents=100)


@pytest.mark.parametrize(("epsilon", "weight"), [(0.5, 0.2), (0.9, 1.0), (0.99, 0.05)])
def test_no_attack_gets_past_the_certified_factor(epsilon: float, weight: float) -> None:
    step = GradientEquilibrium(regulariser(epsilon), weight).double()
    certificate = proof(FixedPoint(step), T)
    assert certificate.holds
    assert certificate.factor is not None
    worst = worst_contraction(step, T)
    assert 0.5 * certificate.factor < worst <= certificate.factor < 1


def test_the_formulas() -> None:
    step = GradientEquilibrium(regulariser(0.5), 0.2, step=0.7).double()
    assert isinstance(step.network, NearIdentity)
    epsilon = step.network.deviation_bound()
    well_posed = Diagonal(SPACE, 0.9 + 0.1 * normal(9, 9).tanh())
    for operator, mu in ((T, 0.0), (well_posed, 0.1)):
        found = proof(step, operator, mu)
        norm = operator.norm_bound()
        assert norm is not None
        exact = float(torch.linalg.matrix_norm(_dense(operator), 2))
        assert exact <= norm <= exact * 1.01
        assert found.norm == pytest.approx(norm, rel=1e-9)
        assert found.largest == pytest.approx(norm**2, rel=1e-9)
        assert found.smallest == pytest.approx(mu, rel=1e-9)
        assert found.epsilon == epsilon <= 0.5
        gain = mu + 0.2 * (1 - epsilon)
        assert found.factor == pytest.approx(1 - 0.7 * gain, rel=1e-6)
        assert found.stability == pytest.approx(norm / gain, rel=1e-6)
        assert (found.eta, found.weight) == pytest.approx((0.7, 0.2), rel=1e-6)
        number = found.iterations(1e-3)
        assert number is not None
        assert found.factor is not None
        assert found.factor**number <= 1e-3 < found.factor ** (number - 1)


def _dense(operator: LinearOperator) -> Tensor:
    basis = torch.eye(operator.domain.size, dtype=torch.float64)
    return operator(basis.reshape(-1, *operator.domain.shape)).flatten(1)


def test_stability_and_iterations_hold_for_a_solved_problem() -> None:
    step = GradientEquilibrium(regulariser(0.6), 0.5).double()
    certificate = proof(step, T)
    assert certificate.stability is not None
    fixed = FixedPoint(step, Anderson(1e-12, 500))
    y, z = normal(1, 1, 6, 13), normal(1, 1, 6, 13, seed=1)
    start = Image(torch.zeros(1, 1, 9, 9, dtype=torch.float64))
    with torch.no_grad():
        u, v = (fixed(start, InverseProblem(T, data)).image for data in (y, z))
        assert float((u - v).norm()) <= certificate.stability * float((y - z).norm())
        number = certificate.iterations(1e-2)
        assert number is not None
        state = start
        for _ in range(number):
            state = step(state, InverseProblem(T, y))
    assert float((state.image - u).norm()) <= 1e-2 * float(u.norm())


def test_a_proximal_step_needs_a_positive_mu() -> None:
    well_posed = Diagonal(SPACE, 0.9 + 0.1 * normal(9, 9).tanh())
    step = ProximalEquilibrium(regulariser(0.1), 1.0)
    bound = well_posed.norm_bound()
    assert bound is not None
    smallest = float(well_posed.diagonal.abs().min()) ** 2
    certificate = proof(step, well_posed, mu=smallest)
    assert certificate.holds
    assert certificate.factor is not None
    assert worst_contraction(step, well_posed) <= certificate.factor < 1
    assert "needs T*T ≥ μ > 0" in proof(ProximalEquilibrium(regulariser(0.1)), T).reason


def test_the_attack_finds_the_norm_of_a_linear_step() -> None:
    """With R = Id and weight λ the step is affine: its factor is the norm of I - ηT*T - ηλ."""
    step = GradientEquilibrium(regulariser(0.0), 0.1, step=0.8).double()
    dense = _dense(T)
    matrix = torch.eye(81, dtype=torch.float64) * (1 - 0.8 * 0.1) - 0.8 * dense @ dense.T
    exact = float(torch.linalg.matrix_norm(matrix, 2))
    assert 0.97 * exact < worst_contraction(step, T) <= exact * (1 + 1e-12)
    found = proof(step, T).factor
    assert found is not None
    assert exact <= found + 1e-12


class Unbounded(LinearOperator):
    def __init__(self) -> None:
        super().__init__(SPACE, SPACE)

    def evaluate(self, u: Tensor) -> Tensor:
        return u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v


class WithBatchNorm(GradientEquilibrium):
    def __init__(self) -> None:
        super().__init__(regulariser(0.5), 0.2)
        self.norm = nn.BatchNorm2d(1)


def test_no_certificate_says_why() -> None:
    step = GradientEquilibrium(regulariser(0.5), 0.2).double()
    too_long = GradientEquilibrium(regulariser(0.5), 0.2, step=1.9)
    photons = TransmissionCT(Transmission(SCAN, 0.05), torch.float64)
    expanding = GradientEquilibrium(regulariser(1.5), 0.2)
    for model, operator, why in (
        (LearnedPrimalDual(), T, "Chain is no fixed point"),
        (FixedPoint(WithBatchNorm()), T, "BatchNorm"),
        (step, photons, "TransmissionCT is not linear"),
        (step, Unbounded(), "Unbounded has no upper bound"),
        (too_long, T, "step size 1.9 is outside"),
        (expanding, T, "is not below 1 + μ/λ = 1"),
    ):
        certificate = proof(model, operator)
        assert why in certificate.reason
        assert certificate.factor is None
        assert certificate.stability is None
        assert certificate.iterations(0.1) is None
        assert str(certificate).startswith("No certificate: ")


class Doubled(GradientEquilibrium):
    def forward(self, state: Image, problem: Problem) -> Image:
        return Image(2 * super().forward(state, problem).image)


def test_proofs_are_not_inherited_by_other_steps_nor_by_other_layers() -> None:
    assert "inherits a proof" in proof(Doubled(regulariser(0.5), 0.2), T).reason
    network = regulariser(0.5)
    assert isinstance(network.network, LipschitzNet)
    network.network.layers.append(nn.Conv2d(1, 1, 1))
    for step in (GradientEquilibrium(network, 0.2), ProximalEquilibrium(network)):
        assert "no known bound" in proof(step, T).reason


def test_the_scaling_of_a_model_is_part_of_its_certificate() -> None:
    """In millimetres ‖T‖ is not 1; the model divides by it and multiplies by its image scale."""
    solver = FixedPointSolver(tolerance=1e-12)
    model = EquilibriumGradient(0.5, 0.6, **SMALL, solver=solver, image_scale=0.02).double()
    for operator in (RAY, RAY / 1000, 50 * RAY):
        certificate = proof(model, operator)
        assert certificate.holds
        assert certificate.norm is not None
        assert 1 <= certificate.norm <= 1.002
        assert certificate.stability is not None
        y = operator(normal(1, 1, 9, 9))
        z = y + 0.1 * operator(normal(1, 1, 9, 9, seed=1))
        with torch.no_grad():
            u, v = (model(InverseProblem(operator, data)).image for data in (y, z))
        ratio = float((u - v).norm() / (y - z).norm())
        assert 0.02 * certificate.stability < ratio <= certificate.stability


def test_complex_images_are_certified_as_pairs_of_real_ones() -> None:
    torch.manual_seed(0)
    net = NearIdentity(LipschitzNet(LipschitzSpec((2, 6, 2))), 0.8).double()
    diagonal = Diagonal(Space((5, 4), torch.complex128), normal(5, 4).tanh())
    step = GradientEquilibrium(net, 0.5).double()
    certificate = proof(FixedPoint(step), diagonal)
    assert certificate.factor is not None
    step.requires_grad_(requires_grad=False)
    given = InverseProblem(diagonal, torch.complex(normal(1, 1, 5, 4), normal(1, 1, 5, 4, seed=1)))
    worst = measured_contraction(step, given, pairs=4, ascents=60)
    assert 0.5 * certificate.factor < worst <= certificate.factor < 1
    u = given.data
    pair = torch.cat([u.real, u.imag], dim=1)
    real = net(pair)
    torch.testing.assert_close(net(u), torch.complex(real[:, :1], real[:, 1:]))
    with pytest.raises(ShapeError, match="LipschitzNet"):
        regulariser(0.5)(u)


def test_mu_is_that_of_the_operator_that_is_given() -> None:
    model = EquilibriumGradient(**SMALL, weight=0.5).double()
    diagonal = Diagonal(SPACE, torch.full((9, 9), 4.0, dtype=torch.float64))
    certificate = proof(model, diagonal, mu=16.0)
    assert certificate.smallest == pytest.approx(1)
    assert certificate.smallest is not None
    assert certificate.smallest <= 1
    for wrong in (-1.0, 17.0, math.nan):
        with pytest.raises(ConfigError, match="μ"):
            proof(model, diagonal, mu=wrong)


def test_a_model_that_changes_its_problem_has_no_certificate() -> None:
    model = EquilibriumGradient(**SMALL).double()
    model.prepare = lambda problem: problem
    assert "changes its problem" in proof(model, T).reason
    model.prepare = WithRegulariser(Dirichlet())
    assert proof(model, T).holds


def test_the_weights_of_the_precision_in_use_are_certified() -> None:
    model = EquilibriumGradient(**SMALL, weight=0.3)
    found = certify(model, RAY, fidelity=LeastSquares())
    step = certified_step(model)
    assert isinstance(step, GradientEquilibrium)
    weight, eta = (float(torch.as_tensor(size).detach()) for size in step.sizes())
    assert found.weight == weight
    assert found.eta == eta
    assert found.epsilon is not None
    assert found.factor is not None
    assert found.factor >= 1 - eta * weight * (1 - found.epsilon)


def test_iterations_of_a_tolerance() -> None:
    for factor in (0.1, 0.5, 0.999, 0.99999):
        certificate = ContractionCertificate(factor=factor)
        for tolerance in (factor**3, factor**7, 1e-3, 1.0, 2.0):
            number = certificate.iterations(tolerance)
            assert number is not None
            assert factor**number <= tolerance
    with pytest.raises(ConfigError, match="tolerance > 0"):
        ContractionCertificate(factor=0.5).iterations(0.0)


def test_a_larger_epsilon_is_certified_where_mu_pays_for_it() -> None:
    expanding = GradientEquilibrium(regulariser(1.2), 0.2)
    identity = Diagonal(SPACE, torch.ones(9, 9, dtype=torch.float64))
    assert proof(expanding, identity, mu=1.0).holds


def test_the_model_is_certified_as_built_and_after_changes_of_its_weights() -> None:
    model = EquilibriumGradient(**SMALL, epsilon=0.8).double()
    first = certify(model, T, fidelity=LeastSquares())
    assert first.holds
    perturb(model, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    second = proof(model, T)
    assert second.holds
    assert second.epsilon is not None
    assert second.epsilon <= 0.8 * (1 + 2.0**-23), "the margin for ε in float32"
    assert math.isfinite(float(second.stability or math.inf))


def test_without_a_bound_there_is_a_certificate_until_the_weights_have_grown() -> None:
    """The twin of the model above: as built, then with weights five times as large."""
    network = PotentialLayers(2, 4, 6, 0.3, bound="none")
    model = EquilibriumGradient(0.5, 0.8, network=network).double()
    first = certify(model, T, fidelity=LeastSquares())
    assert first.holds
    assert first.epsilon == pytest.approx(0.8, rel=1e-5)
    step = certified_step(model)
    assert step is not None
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight") and parameter.ndim > 1:
                parameter.mul_(5)
    second = proof(model, T)
    assert "ε = " in second.reason
    assert "is not below 1 + μ/λ = 1" in second.reason
    assert second.factor is None
    assert second.epsilon is not None
    assert second.epsilon > 2
    assert worst_contraction(step, T) > 1


def test_the_steps_pass_the_kit() -> None:
    problem = InverseProblem(T, normal(2, 1, 6, 13))
    for step in (
        GradientEquilibrium(regulariser(0.5), 0.2).double(),
        ProximalEquilibrium(regulariser(0.5), 0.5),
    ):
        check_step(step, Image(normal(2, 1, 9, 9)), problem)
