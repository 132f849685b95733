"""ODL's operators as ours, with the weights of its inner products; ours through its diagnostics."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import numpy as np
import odl
import pylops
import pytest
import torch
from odl.core.diagnostics import OperatorTest

from learnedrecon.errors import DtypeError, GeometryError, PropertyError
from learnedrecon.operators.adapters.odl import from_odl, to_odl
from learnedrecon.operators.adapters.pylops import from_pylops
from learnedrecon.operators.base import Operator
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.testing import check_operator, dense_matrix

if TYPE_CHECKING:
    from learnedrecon.operators.adapters.checks import Theirs

GEOMETRY = ParallelBeam((9, 8), AngleRange(7), FlatDetector(13, 0.9, axis_offset=0.4))
RAY = RayTransform(GEOMETRY, torch.float64)
RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((6, 20))


class Integral(odl.Operator):  # type: ignore[misc]
    """(Kf)_i = Σ_j K_ij f_j between spaces of different cells, and ODL's adjoint of it."""

    def __init__(self, domain: Theirs, range: Theirs, matrix: Theirs) -> None:  # noqa: A002 - ODL's name
        super().__init__(domain, range, linear=True)
        self.matrix = matrix

    def _call(self, x: Theirs) -> Theirs:
        return self.range.element((self.matrix @ x.asarray().ravel()).reshape(self.range.shape))

    @property
    def adjoint(self) -> Theirs:
        weights = np.asarray(self.range.weighting.weight) / np.asarray(self.domain.weighting.weight)
        if weights.ndim:
            raise NotImplementedError
        return Integral(self.range, self.domain, weights * self.matrix.T)


class Wrong(LinearOperator):
    """The identity with an adjoint that is not one."""

    def evaluate(self, u: torch.Tensor) -> torch.Tensor:
        return u.clone()

    def evaluate_adjoint(self, v: torch.Tensor) -> torch.Tensor:
        return 1.001 * v


def diagnosed(theirs: Theirs) -> str:
    """What ODL's test of an operator prints: all cases, the failed ones marked."""
    with redirect_stdout(io.StringIO()) as text:
        if theirs.is_linear:
            OperatorTest(theirs, verbose=True).run_tests()
        else:
            OperatorTest(theirs, operator_norm=1.0, verbose=True).derivative()
    return text.getvalue()


def require_passed(report: str, tests: int) -> None:
    """ODL prints its failures and goes on; a missing adjoint or derivative too."""
    assert report.count("Completed all test cases") == tests, report
    for word in ("FAILED", "ERROR", "has no", "not linear", "not a linear", "Should be 0.0"):
        assert word not in report, report


OURS: dict[str, LinearOperator] = {
    "ray transform": RAY,
    "its adjoint": RAY.H,
    "gradient": FiniteDifference(Space((4, 5), torch.float64)),
    "composition": FiniteDifference(RAY.codomain) @ (0.3 * RAY),
    "complex gradient": FiniteDifference(Space((4, 5), torch.complex128)),
    "real to complex": from_pylops(pylops.signalprocessing.FFT2D((6, 5), real=True), torch.float64),
}


@pytest.mark.parametrize("name", OURS)
def test_the_diagnostics_of_odl_pass(name: str) -> None:
    """Homogeneity, additivity, the adjoint's definition, and the adjoint's adjoint."""
    theirs = to_odl(OURS[name])
    assert theirs.is_linear
    require_passed(diagnosed(theirs), tests=4)


def test_the_diagnostics_of_odl_pass_for_a_nonlinear_operator() -> None:
    theirs = to_odl(TransmissionCT(Transmission(GEOMETRY, 0.1), torch.float64))
    assert not theirs.is_linear
    require_passed(diagnosed(theirs), tests=1)


def test_the_diagnostics_of_odl_can_fail() -> None:
    space = Space((5, 4), torch.float64)
    report = diagnosed(to_odl(Wrong(space, space)))
    assert "*** FAILED" in report
    with pytest.raises(AssertionError):
        require_passed(report, tests=4)


def test_values_and_spaces_are_ours() -> None:
    theirs = to_odl(RAY)
    assert theirs.domain == odl.rn((9, 8))
    assert theirs.range == odl.rn((7, 13))
    image = RNG.standard_normal((9, 8))
    np.testing.assert_allclose(
        theirs(image).asarray(), RAY(torch.from_numpy(image)), rtol=0, atol=1e-12
    )
    assert to_odl(RayTransform(GEOMETRY)).domain.dtype == np.float32


def test_conjugate_gradients_of_odl_solve_with_ours() -> None:
    theirs = to_odl(RAY)
    normal = theirs.adjoint @ theirs + odl.IdentityOperator(theirs.domain)
    matrix = dense_matrix(RAY).numpy()
    right, found = RNG.standard_normal(72), theirs.domain.zero()
    odl.solvers.conjugate_gradient(normal, found, theirs.domain.element(right.reshape(9, 8)), 100)
    expected = np.linalg.solve(matrix.T @ matrix + np.eye(72), right)
    np.testing.assert_allclose(found.asarray().ravel(), expected, rtol=0, atol=1e-8)


def test_the_adjoint_between_different_cells_is_the_transposed_matrix() -> None:
    """Cells of 0.3 and of 2: ODL's own adjoint is 6.67 times the transposed matrix."""
    domain, range_ = odl.uniform_discr([0, 0], [2, 3], (4, 5)), odl.uniform_discr(0, 12, 6)
    theirs = Integral(domain, range_, KERNEL)
    assert "FAILED" not in diagnosed(theirs)
    ours = from_odl(theirs)
    assert isinstance(ours, LinearOperator)
    np.testing.assert_allclose(dense_matrix(ours).numpy(), KERNEL, rtol=0, atol=1e-13)
    np.testing.assert_allclose(dense_matrix(ours.H).numpy(), KERNEL.T, rtol=0, atol=1e-12)
    check_operator(ours)
    uncorrected = theirs.adjoint(range_.one()).asarray().ravel()
    np.testing.assert_allclose(uncorrected, KERNEL.sum(0) / 0.15, rtol=1e-12)


@pytest.mark.parametrize("upper", [(2.0, 3.0), (40.0, 0.5)])
def test_the_gradient_becomes_a_leading_axis(upper: tuple[float, float]) -> None:
    space = odl.uniform_discr([0, 0], upper, (4, 5))
    ours = from_odl(odl.Gradient(space, method="forward", pad_mode="symmetric"))
    assert ours.codomain.shape == (2, 4, 5)
    sides = torch.tensor(upper, dtype=torch.float64) / torch.tensor([4.0, 5.0])
    u = torch.randn(3, 4, 5, dtype=torch.float64)
    expected = FiniteDifference(ours.domain)(u) / sides[:, None, None]
    torch.testing.assert_close(ours(u), expected, rtol=1e-12, atol=1e-12)
    check_operator(ours)


def test_an_adjoint_that_odl_gets_wrong_is_refused() -> None:
    weighted = odl.MatrixOperator(
        RNG.random((4, 3)), domain=odl.rn(3, weighting=2.0), range=odl.rn(4)
    )
    assert "FAILED" in diagnosed(weighted)
    with pytest.raises(PropertyError, match="ODL operator"):
        from_odl(weighted)
    coarse, fine = (odl.uniform_discr([0, 0], [2, 3], (n, n + 1)) for n in (4, 8))
    with pytest.raises(PropertyError, match="Resampling"):
        from_odl(odl.Resampling(coarse, fine, interp="nearest"))


def test_a_nonlinear_operator_and_its_derivatives() -> None:
    """u ↦ u³ on cells of 0.3: T'(u)*v = 3u²v, whose derivative along w is 6uvw."""
    ours = from_odl(odl.PowerOperator(odl.uniform_discr([0, 0], [2, 3], (4, 5)), 3))
    assert not isinstance(ours, LinearOperator)
    u, v, w = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    value, derivative = ours.linearise(u)
    torch.testing.assert_close(value, u**3)
    torch.testing.assert_close(derivative(w), 3 * u**2 * w)
    torch.testing.assert_close(derivative.adjoint(v), 3 * u**2 * v)
    point = u.clone().requires_grad_()
    pulled = ours.linearise(point)[1].adjoint(v)
    (second,) = torch.autograd.grad(pulled, point, w)
    torch.testing.assert_close(second, 6 * u * v * w, rtol=1e-8, atol=1e-8)
    pushed = ours.linearise(point)[1](w)
    (second,) = torch.autograd.grad(pushed, point, v)
    torch.testing.assert_close(second, 6 * u * v * w, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("wrong", [None, np.eye(3), RAY])
def test_other_things_are_refused(wrong: object) -> None:
    with pytest.raises(DtypeError, match=r"odl\.Operator(?s:.*)What to do"):
        from_odl(wrong)
    if not isinstance(wrong, Operator):
        with pytest.raises(DtypeError, match="an operator of learnedrecon"):
            to_odl(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "theirs",
    [
        odl.functionals.L1Norm(odl.rn(3)),
        odl.IdentityOperator(odl.ProductSpace(odl.rn(3), odl.rn(4))),
        odl.IdentityOperator(odl.rn(3, exponent=1.0)),
        odl.IdentityOperator(odl.ProductSpace(odl.rn(3), 2, exponent=1.0)),
        odl.IdentityOperator(odl.tensor_space(3, dtype="int64")),
    ],
)
def test_spaces_without_a_diagonal_inner_product_are_refused(theirs: Theirs) -> None:
    with pytest.raises(GeometryError, match=r"exponent 2(?s:.*)What to do"):
        from_odl(theirs)


def test_operators_without_adjoint_or_derivative_are_refused() -> None:
    weighted = odl.rn(20, weighting=np.full(20, 2.0))
    with pytest.raises(DtypeError, match="with adjoint"):
        from_odl(Integral(weighted, odl.rn(6), KERNEL))

    class Absolute(odl.Operator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(odl.rn(3), odl.rn(3), linear=False)

        def _call(self, x: Theirs) -> Theirs:
            return self.range.element(np.abs(x.asarray()))

    with pytest.raises(DtypeError, match="with derivative"):
        from_odl(Absolute())
