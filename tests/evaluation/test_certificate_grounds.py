"""What a certificate rests on: it refuses what it does not know, and what is contradicted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Dense as Matrix
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, LearnedReconError
from learnedrecon.evaluation.certificate import ContractionCertificate, certify
from learnedrecon.evaluation.certificate_attack import attack, measured_contraction
from learnedrecon.evaluation.certificate_operator import _has_null_space, examine
from learnedrecon.functionals.fidelities import (
    Huber,
    KullbackLeibler,
    LeastSquares,
    WeightedLeastSquares,
)
from learnedrecon.models.equilibrium import GradientEquilibrium
from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.networks.lipschitz import LipschitzNet, LipschitzSpec
from learnedrecon.operators.imaging.shapes import RealToComplex
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from learnedrecon.functionals.base import Fidelity

SPACE = Space((5, 4), torch.float64)


class Dense(LinearOperator):
    """A matrix, with an adjoint and a bound that may be wrong by a factor."""

    def __init__(self, matrix: Tensor, adjoint: float = 1.0, bound: float = 1.0) -> None:
        super().__init__(SPACE, Space((len(matrix),), torch.float64))
        self.register_buffer("matrix", matrix)
        self.factors = adjoint, bound

    def evaluate(self, u: Tensor) -> Tensor:
        return u.flatten(-2) @ self.get_buffer("matrix").T

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.factors[0] * (v @ self.get_buffer("matrix")).unflatten(-1, SPACE.shape)

    def norm_bound(self) -> float:
        return self.factors[1] * float(torch.linalg.matrix_norm(self.get_buffer("matrix"), 2))


def network(epsilon: float = 0.5) -> NearIdentity:
    torch.manual_seed(0)
    return NearIdentity(LipschitzNet(LipschitzSpec((1, 4, 1))), epsilon).double()


def step() -> GradientEquilibrium:
    return GradientEquilibrium(network(), 0.3).double()


def proof(model: nn.Module, operator: LinearOperator, mu: float = 0.0) -> ContractionCertificate:
    return certify(model, operator, fidelity=LeastSquares(), smallest=mu)


def matrix(rows: int, smallest: float = 0.2) -> Tensor:
    """With singular values from ``smallest`` to 1."""
    left = torch.linalg.qr(normal(rows, rows))[0]
    right = torch.linalg.qr(normal(20, 20, seed=1))[0]
    count = min(rows, 20)
    values = torch.linspace(smallest, 1, count, dtype=torch.float64)
    return left[:, :count] * values @ right[:count]


@pytest.mark.parametrize("rows", [12, 20, 30])
def test_the_evidence_is_that_of_the_singular_values(rows: int) -> None:
    found = examine(Dense(matrix(rows)))
    assert found.defect < 1e-13
    assert 0.97 < found.norm <= 1 + 1e-12
    expected = 0.0 if rows < 20 else 0.04
    assert found.smallest == pytest.approx(expected, abs=1e-10)


def test_the_evidence_of_complex_images() -> None:
    space = Space((3, 4), torch.complex128)
    diagonal = torch.linspace(0.3, 2, 12, dtype=torch.float64).reshape(3, 4)
    found = examine(Diagonal(space, diagonal * torch.exp(1j * diagonal)))
    assert found.defect < 1e-13
    assert found.norm == pytest.approx(2, rel=1e-4)
    assert found.smallest == pytest.approx(0.09, rel=1e-8)


def test_every_ground_is_named() -> None:
    operator = Dense(matrix(20))
    certificate = proof(step(), operator, 0.03)
    bases = {ground.part: ground.basis for ground in certificate.grounds}
    assert bases == {
        "data term": "proved",
        "adjoint": "checked",
        "norm": "proved",
        "μ": "given",
        "network": "proved",
        "step size": "proved",
        "solver": "given",
    }
    text = str(certificate)
    for part, statement, basis in certificate.grounds:
        assert f"  {part:<16}{statement} ({basis})" in text.splitlines()
    statements = {ground.part: ground.statement for ground in certificate.grounds}
    assert "LeastSquares" in statements["data term"]
    assert "T*T ≥ 0.03; ‖Tu‖²/‖u‖² = 0.04 was found" in statements["μ"]
    for name in ("NearIdentity", "LipschitzNet", "BoundedConv"):
        assert name in statements["network"]
    zero = {ground.part: ground for ground in proof(step(), operator).grounds}
    assert zero["μ"].basis == "proved"


@pytest.mark.parametrize(("bound", "said"), [(1.0, "exact"), (1.01, "at most 1.0e-02 above ‖T‖")])
def test_how_far_the_bound_is_from_the_norm_is_said(bound: float, said: str) -> None:
    isometry = Dense(matrix(20, 1.0), bound=bound)
    norm = next(ground for ground in proof(step(), isometry).grounds if ground.part == "norm")
    assert norm.statement == f"‖T‖ ≤ {bound:.6g} by Dense.norm_bound, {said}"


@pytest.mark.parametrize(
    "fidelity",
    [KullbackLeibler(), Huber(0.1), WeightedLeastSquares(torch.ones(1))],
    ids=lambda one: type(one).__name__,
)
def test_other_data_terms_have_no_certificate(fidelity: Fidelity) -> None:
    found = certify(step(), Dense(matrix(20)), fidelity=fidelity)
    assert f"not for {type(fidelity).__name__}" in found.reason
    assert found.factor is found.stability is None
    assert found.grounds == ()


def test_a_step_of_kullback_and_leibler_expands_indeed() -> None:
    """The same step, certified for least squares, moves pairs apart."""
    positive = Diagonal(SPACE, 0.1 + normal(5, 4).abs() / 4)
    one = step().requires_grad_(requires_grad=False)
    assert proof(one, positive).holds
    given = InverseProblem(positive, normal(1, 1, 5, 4).abs(), KullbackLeibler())
    assert measured_contraction(one, given, pairs=2, ascents=5) > 10


class Louder(LeastSquares):
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return 3 * super().gradient(v, y)


def test_a_kind_of_least_squares_is_another_data_term() -> None:
    assert "not for Louder" in certify(step(), Dense(matrix(20)), fidelity=Louder()).reason


@pytest.mark.parametrize("factor", [0.5, 1 + 1e-8, -1.0])
def test_a_wrong_adjoint_is_no_ground(factor: float) -> None:
    assert "adjoint of Dense is wrong" in proof(step(), Dense(matrix(20), factor)).reason


@pytest.mark.parametrize("factor", [0.5, 0.9])
def test_a_bound_below_what_the_operator_does_is_no_ground(factor: float) -> None:
    assert "of ‖T‖ is wrong" in proof(step(), Dense(matrix(20), bound=factor)).reason


def test_far_sources_whose_adjoint_is_wrong_have_no_certificate() -> None:
    """They are refused, either as a geometry or, where the adjoint is wrong, as a ground."""
    for distance in (1e5, 1e16, 1e18):
        try:
            scan = FanBeam((40, 37), AngleRange(9), FlatDetector(60, 0.9), distance, 100.0)
            operator = RayTransform(scan, torch.float64)
        except LearnedReconError:
            assert distance > 1e5
            continue
        wrong = examine(operator).defect > 1e-10
        assert ("adjoint of RayTransform is wrong" in proof(step(), operator).reason) == wrong


@pytest.mark.parametrize("rows", [12, 20])
def test_a_mu_that_some_image_contradicts_is_refused(rows: int) -> None:
    for mu in (0.0401, 0.5, 1.0):
        with pytest.raises(ConfigError, match="for some u"):
            proof(step(), Dense(matrix(rows)), mu)
    for mu in (-0.1, math.nan, math.inf, 1.1):
        with pytest.raises(ConfigError, match="0 ≤ μ ≤"):
            proof(step(), Dense(matrix(rows)), mu)
    if rows == 20:
        assert proof(step(), Dense(matrix(rows)), 0.04).holds


class Twice(NearIdentity):
    def forward(self, u: Tensor) -> Tensor:
        return 2 * super().forward(u)


class Tripled(LipschitzNet):
    def forward(self, u: Tensor) -> Tensor:
        return 3 * super().forward(u)


def test_bounds_are_not_inherited_by_other_maps() -> None:
    inner = LipschitzNet(LipschitzSpec((1, 4, 1))).double()
    tripled = Tripled(LipschitzSpec((1, 4, 1))).double()
    for net, name in (
        (Twice(inner, 0.5), "Twice"),
        (NearIdentity(tripled, 0.5), "Tripled"),
    ):
        found = proof(GradientEquilibrium(net, 0.3).double(), Dense(matrix(20)))
        assert f"{name} inherits a proof" in found.reason


def test_hooks_and_replaced_methods_change_what_a_proof_is_for() -> None:
    operator = Dense(matrix(20))
    for attach in ("register_forward_hook", "register_forward_pre_hook"):
        hooked = step()
        assert isinstance(hooked.network, NearIdentity)
        handle = getattr(hooked.network.network, attach)(lambda *given: given[-1])
        assert "hooks of LipschitzNet" in proof(hooked, operator).reason
        handle.remove()
        assert proof(hooked, operator).holds
    replaced = step()
    replaced.network.forward = lambda u: 5 * u
    assert "forward of a NearIdentity was replaced" in proof(replaced, operator).reason


def test_an_attack_needs_something_to_attack() -> None:
    operator = Dense(matrix(20))
    certificate = proof(step(), operator)
    for values in ({"pairs": 0}, {"ascents": 0}, {"ascents": -3}):
        with pytest.raises(ConfigError, match="at least one pair"):
            attack(certificate, step(), operator, fidelity=LeastSquares(), **values)
    with pytest.raises(ConfigError, match="a certificate that holds"):
        attack(ContractionCertificate(reason="none"), step(), operator, fidelity=LeastSquares())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_attack_leaves_the_model_as_it_is(dtype: torch.dtype) -> None:
    operator, model = Dense(matrix(20)), step().to(dtype)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = attack(
        proof(model, operator), model, operator, fidelity=LeastSquares(), pairs=2, ascents=5
    )
    assert not found.refuted
    assert 0.3 < found.share <= 1
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_an_attack_runs_the_data_term_of_the_model() -> None:
    """What was proved of least squares is refuted for the step that is run."""
    positive = Diagonal(SPACE, 0.1 + normal(5, 4).abs() / 4)
    certificate = proof(step(), positive)
    found = attack(certificate, step(), positive, fidelity=KullbackLeibler(), ascents=5)
    assert found.refuted
    assert not attack(certificate, step(), positive, fidelity=LeastSquares(), ascents=5).refuted


@pytest.mark.parametrize(
    ("kind", "rows", "columns", "expected"),
    [(torch.float64, 4, 6, True), (torch.complex128, 4, 6, True), (torch.complex128, 6, 4, False)],
)
def test_complex_numbers_count_twice_where_a_null_space_is_seen(
    kind: torch.dtype, rows: int, columns: int, expected: bool
) -> None:
    assert _has_null_space(Matrix(normal(rows, columns, dtype=kind))) == expected


def test_real_images_of_few_complex_data_may_be_unique() -> None:
    """Six real unknowns, four complex data: eight equations."""
    operator = Matrix(normal(4, 6, dtype=torch.complex128)) @ RealToComplex(
        Space((6,), torch.float64)
    )
    assert not _has_null_space(operator)
