"""PyLops' operators as ours, and ours through PyLops' own dot test and solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pylops
import pytest
import torch
from pylops.optimization.basic import cgls
from pylops.utils import dottest

from learnedrecon.errors import DtypeError
from learnedrecon.operators.adapters.pylops import from_pylops, to_pylops
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from learnedrecon.operators.adapters.checks import Theirs

PARALLEL = ParallelBeam((9, 8), AngleRange(7), FlatDetector(13, 0.9, axis_offset=0.4))
FAN = FanBeam((9, 8), AngleRange(7, arc=6.2), FlatDetector(16, 1.7), 40.0, 25.0)
RAY = RayTransform(PARALLEL, torch.float64)
FFT = pylops.signalprocessing.FFT2D((6, 5))
REAL_FFT = pylops.signalprocessing.FFT2D((6, 5), real=True)


class Wrong(LinearOperator):
    """The identity with a wrong adjoint."""

    def evaluate(self, u: torch.Tensor) -> torch.Tensor:
        return u.clone()

    def evaluate_adjoint(self, v: torch.Tensor) -> torch.Tensor:
        return 1.001 * v


OURS: dict[str, tuple[LinearOperator, int]] = {
    "parallel beam": (RAY, 0),
    "fan beam": (RayTransform(FAN, torch.float64), 0),
    "adjoint": (RAY.H, 0),
    "composition": (FiniteDifference(RAY.codomain) @ (0.3 * RAY), 0),
    "subset of angles": (RAY.subset([5, 1, 2]), 0),
    "finite difference": (FiniteDifference(Space((4, 5, 3), torch.float64)), 0),
    "complex": (FiniteDifference(Space((4, 5), torch.complex128)), 3),
    "complex Fourier": (from_pylops(FFT) @ from_pylops(FFT), 3),
    "real to complex": (from_pylops(REAL_FFT, torch.float64), 2),
    "complex to real": (from_pylops(REAL_FFT, torch.float64).H, 1),
}


@pytest.mark.parametrize("name", OURS)
def test_the_dot_test_of_pylops_passes(name: str) -> None:
    operator, complexflag = OURS[name]
    assert dottest(to_pylops(operator), complexflag=complexflag, rtol=1e-10, raiseerror=True)


def test_the_dot_test_of_pylops_in_single_precision() -> None:
    assert dottest(to_pylops(RayTransform(PARALLEL)), rtol=1e-4, raiseerror=True)


def test_the_dot_test_of_pylops_can_fail() -> None:
    space = Space((5, 4), torch.float64)
    with pytest.raises(AssertionError, match="Dot test failed"):
        dottest(to_pylops(Wrong(space, space)), raiseerror=True)


@pytest.mark.parametrize(
    "theirs",
    [
        pylops.FirstDerivative((5, 6), axis=0, edge=True),
        pylops.Gradient((5, 6)),
        pylops.VStack([pylops.Identity(6), pylops.Flip(6)]),
    ],
)
def test_the_matrix_is_that_of_pylops(theirs: Theirs) -> None:
    ours = from_pylops(theirs)
    assert (ours.domain.shape, ours.codomain.shape) == (tuple(theirs.dims), tuple(theirs.dimsd))
    np.testing.assert_allclose(dense_matrix(ours).numpy(), theirs.todense(), rtol=0, atol=1e-13)


def test_the_fourier_transform_is_numpys() -> None:
    u = torch.randn(2, 6, 5, dtype=torch.complex128)
    expected = np.fft.fft2(u.numpy(), norm="ortho")
    np.testing.assert_allclose(from_pylops(FFT)(u), expected, rtol=0, atol=1e-12)


def test_shapes_and_linearity_are_said() -> None:
    theirs = to_pylops(RAY)
    assert (tuple(theirs.dims), tuple(theirs.dimsd)) == ((9, 8), (7, 13))
    assert theirs.clinear
    assert not to_pylops(OURS["real to complex"][0]).clinear
    image = np.random.default_rng(0).standard_normal((9, 8))
    np.testing.assert_allclose(theirs @ image, RAY(torch.from_numpy(image)), rtol=0, atol=1e-12)


def test_least_squares_of_pylops_solve_with_ours() -> None:
    matrix = dense_matrix(RAY).numpy()
    data = np.random.default_rng(0).standard_normal(matrix.shape[0])
    found = cgls(to_pylops(RAY), data, np.zeros(72), niter=1000, tol=1e-24)[0]
    expected = np.linalg.lstsq(matrix, data, rcond=None)[0]
    np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=1e-6)


def test_it_composes_with_operators_of_pylops() -> None:
    stacked = pylops.VStack([to_pylops(RAY), 0.5 * pylops.Gradient((9, 8))])
    assert dottest(stacked, rtol=1e-10, raiseerror=True)


@pytest.mark.parametrize("wrong", [None, np.eye(3), RAY])
def test_other_things_are_refused(wrong: object) -> None:
    with pytest.raises(DtypeError, match=r"pylops\.LinearOperator(?s:.*)from_scipy"):
        from_pylops(wrong)
    if wrong is not RAY:
        with pytest.raises(DtypeError, match="a linear operator of learnedrecon"):
            to_pylops(wrong)  # type: ignore[arg-type]


def test_an_operator_without_adjoint_is_refused() -> None:
    class Half(pylops.LinearOperator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(dtype=np.dtype(np.float64), dims=(3,), dimsd=(3,))

        def _matvec(self, x: Theirs) -> Theirs:
            return x / 2

        def _rmatvec(self, x: Theirs) -> Theirs:
            raise NotImplementedError

    with pytest.raises(DtypeError, match="adjoint"):
        from_pylops(Half())
