"""The algebra of operators that are not linear, against dense Jacobians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import DtypeError, GeometryError, ShapeError
from learnedrecon.operators.base import Composition, Multiple, Sum
from learnedrecon.operators.imaging.inpaint import Inpaint
from learnedrecon.operators.linear import LinearComposition, LinearOperator, LinearSum
from learnedrecon.operators.magnitude import Magnitude, PhaseRetrieval
from learnedrecon.operators.pointwise import Diagonal, ScaledArgument
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.saturation import Saturation
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix
from learnedrecon.testing.numbers import as_real_rows

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))
RAY = RayTransform(SCAN, torch.float64)
CT = TransmissionCT(Transmission(SCAN, 0.1, scatter=0.05), torch.float64)
COMPLEX = Space((4, 5), torch.complex128)


def field() -> Diagonal:
    return Diagonal(COMPLEX, normal(4, 5, dtype=torch.complex128, seed=3))


def jacobian(operator: Operator, u: Tensor) -> Tensor:
    """∂T/∂u over the reals by autograd, real parts before imaginary ones."""

    def over_the_reals(x: Tensor) -> Tensor:
        if operator.domain.is_complex:
            x = torch.complex(*x.chunk(2))
        return as_real_rows(operator(x.reshape(operator.domain.shape))[None])[0]

    rows: Tensor = torch.autograd.functional.jacobian(over_the_reals, as_real_rows(u[None])[0])
    return rows


PAIRS: dict[str, tuple[Operator, Operator]] = {
    "both nonlinear": (Saturation(CT.codomain, 0.7), CT),
    "linear of nonlinear": (RAY.H, CT),
    "nonlinear of linear": (CT, RAY.H @ RAY),
    "complex inside": (Saturation(Space((4, 5), torch.float64), 0.5), PhaseRetrieval(field())),
    "real of complex of complex": (Magnitude(field(), 0.1), field()),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_chain_rule(name: str) -> None:
    """(F∘G)'(u) = F'(G(u)) G'(u) and (F∘G)'(u)* = G'(u)* F'(G(u))*."""
    F, G = PAIRS[name]
    both = F @ G
    u = normal(4, 5, dtype=G.domain.dtype, seed=1)
    value, derivative = both.linearise(u)
    torch.testing.assert_close(value, F(G(u)))
    outer, inner = F.linearise(G(u))[1], G.linearise(u)[1]
    product = dense_matrix(outer) @ dense_matrix(inner)
    torch.testing.assert_close(dense_matrix(derivative), product)
    torch.testing.assert_close(dense_matrix(derivative.H), product.T)
    torch.testing.assert_close(dense_matrix(derivative), jacobian(both, u))
    v = normal(*both.codomain.shape, seed=2)
    torch.testing.assert_close(derivative.adjoint(v), inner.adjoint(outer.adjoint(v)))


def test_sums_differences_and_multiples() -> None:
    u = normal(4, 5, seed=1)
    other = TransmissionCT(Transmission(SCAN, 0.3), torch.float64)
    a, b = jacobian(CT, u), jacobian(other, u)
    p = dense_matrix(RAY)
    for operator, value, expected in (
        (CT + other, CT(u) + other(u), a + b),
        (CT - other, CT(u) - other(u), a - b),
        (RAY + CT, RAY(u) + CT(u), p + a),
        (CT - RAY, CT(u) - RAY(u), a - p),
        (RAY - CT, RAY(u) - CT(u), p - a),
        (2.5 * CT, 2.5 * CT(u), 2.5 * a),
        (CT * torch.tensor(2.5), 2.5 * CT(u), 2.5 * a),  # type: ignore[operator]
        (CT / 4, CT(u) / 4, a / 4),
        (-CT, -CT(u), -a),
    ):
        found, derivative = operator.linearise(u)
        torch.testing.assert_close(operator(u), value)
        torch.testing.assert_close(found, value)
        torch.testing.assert_close(dense_matrix(derivative), expected)


def test_two_linear_operators_make_a_linear_one() -> None:
    assert isinstance(RAY.H @ RAY, LinearComposition)
    assert isinstance(RAY + RAY, LinearSum)
    for operator in (RAY.H @ CT, CT @ (RAY.H @ RAY), CT + RAY, RAY - CT, 2 * CT):
        assert isinstance(operator, Composition | Sum | Multiple)
        assert not isinstance(operator, LinearOperator)


class Rotated(PhaseRetrieval):
    """|u|² turned into the complex plane."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator)
        self.codomain = operator.codomain

    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u).to(u.dtype)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), Lifted(COMPLEX) @ super().linearise(u)[1]


class Lifted(LinearOperator):
    """Real numbers as complex ones."""

    def __init__(self, space: Space) -> None:
        super().__init__(Space(space.shape, torch.float64), space)

    def evaluate(self, u: Tensor) -> Tensor:
        return u.to(self.codomain.dtype)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v.real


def test_complex_multiples_of_a_nonlinear_operator() -> None:
    operator = (2 - 1j) * Rotated(field())
    u = normal(4, 5, dtype=torch.complex128)
    value, derivative = operator.linearise(u)
    torch.testing.assert_close(value, (2 - 1j) * field()(u).abs().square())
    torch.testing.assert_close(dense_matrix(derivative), jacobian(operator, u))
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = 1j * CT


ROWS = [4, 1]


@pytest.mark.parametrize(
    "operator",
    [
        CT,
        Saturation(CT.codomain, 0.7) @ CT,
        Diagonal(CT.codomain, normal(6, 7)) @ CT,
        Diagonal(CT.codomain, normal(6, 7)) @ RAY,
        Diagonal(CT.codomain, normal(6, 1)) @ RAY,
        Diagonal(CT.codomain, normal(1, 7)) @ RAY,
        Diagonal(CT.codomain, normal(7)) @ RAY,
        Saturation(CT.codomain, 0.7) @ Diagonal(CT.codomain, normal(6, 7)) @ CT,
        Inpaint(normal(6, 7) > 0, torch.float64) @ CT,
        (2 * Diagonal(CT.codomain, normal(6, 7))).H @ Diagonal(CT.codomain, normal(6, 1)) @ RAY,
        -(Saturation(CT.codomain, 0.7) + Diagonal(CT.codomain, normal(6, 7))) @ CT,
        (Diagonal(CT.codomain, normal(6, 7)) - Diagonal(CT.codomain, normal(7))) @ RAY,
        CT + RAY,
        3 * CT,
        CT @ (RAY.H @ RAY),
        ScaledArgument(CT, 2.0),
        PhaseRetrieval(RAY),
        Magnitude(RAY, 0.1),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_rows_of_a_combination(operator: Operator) -> None:
    u = normal(4, 5, seed=1)
    value, derivative = operator.linearise(u)
    part, slope = operator.subset(ROWS).linearise(u)
    torch.testing.assert_close(part, value[ROWS])
    whole = dense_matrix(derivative).reshape(6, 7, 20)
    torch.testing.assert_close(dense_matrix(slope), whole[ROWS].reshape(14, 20))


def test_what_has_no_rows_says_so() -> None:
    for operator in (RAY.H @ CT, Saturation(CT.codomain, 0.7), RAY.H @ RAY + RAY.H @ CT):
        with pytest.raises(GeometryError, match=r"with a row axis.*which has none"):
            operator.subset([0])


def test_what_is_pointwise() -> None:
    pointwise = Saturation(CT.codomain, 0.7)
    assert pointwise.pointwise
    assert (pointwise @ (2 * pointwise) + Diagonal(CT.codomain, normal(6, 7))).pointwise
    assert not any(T.pointwise for T in (CT, RAY, pointwise @ CT, pointwise + RAY @ RAY.H))
    with pytest.raises(GeometryError, match=r"a pointwise operator.*RayTransform"):
        RAY.at_rows((0,), -2)


def test_tensors_go_to_the_part_that_has_them() -> None:
    scatter = normal(2, 1, 6, 7, seed=5).abs()
    angles = torch.linspace(0.1, 3, 6).double()
    u = normal(2, 1, 4, 5)
    turned = CT.with_tensors({"scatter": scatter, "angles": angles})
    tensors = {"scatter": scatter, "angles": angles}
    for build in (
        lambda T: Saturation(T.codomain, 0.7) @ T,
        lambda T: 2 * T,
        lambda T: T + Saturation(T.codomain, 0.3) @ CT_WITHOUT_TENSORS,
        lambda T: ScaledArgument(T, 1.5),
        lambda T: RAY_WITHOUT_TENSORS.H @ T,
    ):
        torch.testing.assert_close(build(CT).with_tensors(tensors)(u), build(turned)(u))


class NoTensors(RayTransform):
    tensor_names = frozenset()


RAY_WITHOUT_TENSORS = NoTensors(SCAN, torch.float64)
CT_WITHOUT_TENSORS = PhaseRetrieval(RAY_WITHOUT_TENSORS)


def test_tensors_of_linear_combinations() -> None:
    angles = torch.linspace(0.1, 3, 6).double()
    turned = RAY.with_tensors({"angles": angles})
    d = Diagonal(RAY.codomain, normal(6, 7))
    for build in (
        lambda T: T.H,
        lambda T: d @ T,
        lambda T: T + RAY_WITHOUT_TENSORS,
        lambda T: 3 * T,
        lambda T: (d @ T).H,
    ):
        found = build(RAY).with_tensors({"angles": angles})
        torch.testing.assert_close(dense_matrix(found), dense_matrix(build(turned)))


def test_names_that_nobody_or_two_have_are_refused() -> None:
    angles = {"angles": torch.linspace(0.1, 3, 6).double()}
    for operator in (RAY.H @ RAY, RAY + RAY, RAY.H @ CT, CT + RAY):
        with pytest.raises(GeometryError, match=r"one of .*both have one of that name.*the parts"):
            operator.with_tensors(angles)
        with pytest.raises(GeometryError, match=r"angles, axis_offset, .*'mask'"):
            operator.with_tensors({"mask": angles["angles"]})
        assert torch.equal(operator.with_tensors({})(normal(4, 5)), operator(normal(4, 5)))
    plain = Diagonal(RAY.domain, normal(4, 5))
    with pytest.raises(GeometryError, match="they have none"):
        (plain @ plain).with_tensors(angles)


def test_spaces_must_agree() -> None:
    with pytest.raises(ShapeError, match="between two composed"):
        _ = CT @ CT
    with pytest.raises(ShapeError, match="codomains of a sum"):
        _ = CT + RAY.H @ CT
    with pytest.raises(ShapeError, match="domains of a sum"):
        _ = CT + Saturation(CT.codomain, 1.0)


def test_images_are_not_operators() -> None:
    with pytest.raises(DtypeError, match=r"T @ an operator.*T\(u\)"):
        CT @ normal(4, 5)  # type: ignore[operator]
    with pytest.raises(DtypeError, match=r"T \* a real number.*T\(u\)"):
        CT * normal(4, 5)  # type: ignore[operator]
    for other in ("a", None, [1.0]):
        with pytest.raises(TypeError, match="unsupported operand"):
            _ = CT + other  # type: ignore[operator]
