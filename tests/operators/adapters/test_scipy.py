"""SciPy's operators as ours and ours as SciPy's, against matrices and SciPy's own solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.sparse.linalg import LinearOperator as SciPyOperator
from scipy.sparse.linalg import cg, lsqr, svds

from learnedrecon.errors import DtypeError, PropertyError, ShapeError
from learnedrecon.operators.adapters.scipy import from_scipy, to_scipy
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.operators.adapters.checks import Theirs

GEOMETRY = ParallelBeam((6, 5), AngleRange(7), FlatDetector(9, 1.1))
RAY = RayTransform(GEOMETRY, torch.float64)
RNG = np.random.default_rng(0)
REAL = RNG.standard_normal((12, 20))
COMPLEX = REAL + 1j * RNG.standard_normal((12, 20))


class Conjugate(LinearOperator):
    """z ↦ conj z, linear over the reals alone."""

    def evaluate(self, u: Tensor) -> Tensor:
        return u.conj()

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v.conj()


class RealPart(LinearOperator):
    """z ↦ Re z."""

    def evaluate(self, u: Tensor) -> Tensor:
        return u.real

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return torch.complex(v, torch.zeros_like(v))


def entries(theirs: Theirs) -> NDArray[Any]:
    """Column by column."""
    return np.asarray(theirs.matmat(np.eye(theirs.shape[1], dtype=theirs.dtype)))


@pytest.mark.parametrize("kind", ["csr_array", "coo_matrix", "dense", "operator"])
def test_the_matrix_is_that_of_scipy(kind: str) -> None:
    made = {"dense": REAL, "operator": scipy.sparse.linalg.aslinearoperator(REAL)}
    theirs = made[kind] if kind in made else getattr(scipy.sparse, kind)(REAL)
    ours = from_scipy(theirs, (4, 5), (3, 4))
    assert ours.domain == Space((4, 5), torch.float64)
    np.testing.assert_allclose(dense_matrix(ours).numpy(), REAL, rtol=0, atol=1e-14)


def test_a_complex_matrix_over_the_reals() -> None:
    expected = np.block([[COMPLEX.real, -COMPLEX.imag], [COMPLEX.imag, COMPLEX.real]])
    found = dense_matrix(from_scipy(COMPLEX)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    on_real_images = dense_matrix(from_scipy(COMPLEX, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(on_real_images, expected[:, :20], rtol=0, atol=1e-14)


def test_leading_axes_are_columns() -> None:
    ours = from_scipy(REAL, (4, 5), (3, 4))
    u = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = np.einsum("ij,abj->abi", REAL, u.numpy().reshape(2, 3, 20)).reshape(2, 3, 3, 4)
    np.testing.assert_allclose(ours(u).numpy(), expected, rtol=0, atol=1e-13)


def test_values_have_the_precision_of_the_argument_and_memory_of_their_own() -> None:
    single = from_scipy(scipy.sparse.eye_array(6, dtype=np.float32))
    u = torch.randn(6, dtype=torch.float64)
    value = single(u)
    assert value.dtype == torch.float64
    assert torch.equal(value, u.float().double())
    value.zero_()
    assert bool(u.any())


@pytest.mark.parametrize("wrong", [None, 3, "matrix", RAY, torch.eye(3)])
def test_other_things_are_refused(wrong: object) -> None:
    with pytest.raises(DtypeError, match=r"LinearOperator(?s:.*)What to do"):
        from_scipy(wrong)


def test_shapes_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"domain_shape of 20(?s:.*)21"):
        from_scipy(REAL, (3, 7))
    with pytest.raises(ShapeError, match=r"codomain_shape of 12(?s:.*)10"):
        from_scipy(REAL, (4, 5), (10,))


def test_an_operator_without_adjoint_is_refused() -> None:
    theirs = SciPyOperator(REAL.shape, matvec=REAL.__matmul__, dtype=np.float64)
    with pytest.raises(DtypeError, match=r"adjoint(?s:.*)rmatvec"):
        from_scipy(theirs)


@pytest.mark.parametrize("wrong", [2 * REAL.T, -REAL.T, REAL.T[::-1]])
def test_a_wrong_adjoint_is_refused(wrong: NDArray[Any]) -> None:
    theirs = SciPyOperator(
        REAL.shape, matvec=REAL.__matmul__, rmatvec=wrong.__matmul__, dtype=np.float64
    )
    with pytest.raises(PropertyError, match="a deviation of"):
        from_scipy(theirs)


def test_ours_has_the_same_entries() -> None:
    matrix = dense_matrix(RAY).numpy()
    theirs = to_scipy(RAY)
    assert theirs.shape == matrix.shape
    assert theirs.dtype == np.float64
    np.testing.assert_allclose(entries(theirs), matrix, rtol=0, atol=1e-14)
    np.testing.assert_allclose(entries(theirs.H), matrix.T, rtol=0, atol=1e-12)
    vector = RNG.standard_normal(30)
    np.testing.assert_allclose(theirs @ vector, matrix @ vector, rtol=0, atol=1e-12)


def test_complex_operators_stay_complex() -> None:
    slope = FiniteDifference(Space((3, 4), torch.complex128))
    theirs = to_scipy(1.5 * slope)
    assert theirs.dtype == np.complex128
    matrix = 1.5 * dense_matrix(FiniteDifference(Space((3, 4), torch.float64))).numpy()
    np.testing.assert_allclose(entries(theirs), matrix, rtol=0, atol=1e-14)
    np.testing.assert_allclose(entries(theirs.H), matrix.T, rtol=0, atol=1e-14)


def test_real_to_complex_acts_on_real_and_imaginary_parts() -> None:
    ours = from_scipy(COMPLEX, (4, 5), dtype=torch.float64)
    theirs = to_scipy(ours)
    assert (theirs.shape, theirs.dtype) == ((24, 20), np.float64)
    expected = np.concatenate([COMPLEX.real, COMPLEX.imag])
    np.testing.assert_allclose(entries(theirs), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(entries(theirs.H), expected.T, rtol=0, atol=1e-14)


def test_complex_to_real_acts_on_real_and_imaginary_parts() -> None:
    ours = RealPart(Space((3,), torch.complex128), Space((3,), torch.float64))
    expected = np.concatenate([np.eye(3), np.zeros((3, 3))], axis=1)
    np.testing.assert_array_equal(entries(to_scipy(ours)), expected)


def test_what_is_only_real_linear_is_refused_unless_stacked() -> None:
    space = Space((3,), torch.complex128)
    with pytest.raises(DtypeError, match=r"iT\(u\)(?s:.*)stacked=True"):
        to_scipy(Conjugate(space, space))
    stacked = entries(to_scipy(Conjugate(space, space), stacked=True))
    np.testing.assert_array_equal(stacked, np.diag([1.0, 1, 1, -1, -1, -1]))


@pytest.mark.parametrize("wrong", [REAL, TransmissionCT(Transmission(GEOMETRY)), None])
def test_only_linear_operators_of_ours_are_handed_over(wrong: Theirs) -> None:
    with pytest.raises(DtypeError, match=r"a linear operator of learnedrecon(?s:.*)linearise"):
        to_scipy(wrong)


def test_lsqr_of_scipy_solves_with_ours() -> None:
    matrix = dense_matrix(RAY).numpy()
    data = RNG.standard_normal(matrix.shape[0])
    found = lsqr(to_scipy(RAY), data, atol=1e-13, btol=1e-13, iter_lim=2000)[0]
    expected = np.linalg.lstsq(matrix, data, rcond=None)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_cg_of_scipy_solves_with_ours() -> None:
    """On T*T + 0.1·I, both made of our operators."""
    identity = from_scipy(scipy.sparse.eye_array(30), (6, 5), (6, 5))
    normal = RAY.H @ RAY + 0.1 * identity
    right = RNG.standard_normal(30)
    found, status = cg(to_scipy(normal), right, rtol=1e-12, maxiter=1000)
    assert status == 0
    expected = np.linalg.solve(dense_matrix(normal).numpy(), right)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_lsqr_of_scipy_on_complex_data() -> None:
    theirs = to_scipy(from_scipy(np.concatenate([COMPLEX, COMPLEX.conj()[:, ::-1]])))
    data = RNG.standard_normal(24) + 1j * RNG.standard_normal(24)
    found = lsqr(theirs, data, atol=1e-13, btol=1e-13, iter_lim=2000)[0]
    expected = np.linalg.lstsq(entries(theirs), data, rcond=None)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_the_norm_is_the_singular_value_that_scipy_finds() -> None:
    values = svds(to_scipy(RAY), k=1, return_singular_vectors=False, rng=np.random.default_rng(0))
    assert RAY.norm() == pytest.approx(float(values[0]), rel=1e-6)
    wrapped = from_scipy(to_scipy(RAY), (6, 5), (7, 9))
    assert wrapped.norm() == pytest.approx(RAY.norm(), rel=1e-6)
