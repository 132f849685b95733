"""Which operators have a pseudo-inverse, what it is, and how one's own joins."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.errors import DtypeError, GeometryError
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.imaging.inpaint import Inpaint
from learnedrecon.operators.imaging.shapes import Crop, Identity, RealToComplex
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.fourier import CentredFFT
from learnedrecon.operators.pointwise import Diagonal, ScaledArgument
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.solvers.direct.fdk import fdk
from learnedrecon.solvers.direct.gridding import gridding
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse, pseudo_inverse

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.linear import LinearOperator

DOUBLE, COMPLEX = torch.float64, torch.complex128
SCAN = ParallelBeam((8, 8), AngleRange(6), FlatDetector(13))
RAY = RayTransform(SCAN, DOUBLE)
CONE = ConeBeam((2, 3, 4), AngleRange(5, arc=2 * math.pi), FlatPanel(4, 6, 1.5), 20.0, 10.0)
SPACE = Space((6, 4), DOUBLE)
PATTERN = (torch.arange(4) % 2 == 0).double().expand(6, 4)

ISOMETRIES: dict[str, LinearOperator] = {
    "identity": Identity(SPACE),
    "real to complex": RealToComplex(SPACE),
    "real part": RealToComplex(SPACE).H,
    "crop": Crop(SPACE, (4, 2)),
    "padding by zeros": Crop(SPACE, (4, 2)).H,
    "FFT": CentredFFT(Space((6, 4), COMPLEX)),
    "inverse FFT": CentredFFT(Space((6, 4), COMPLEX)).H,
    "wavelets": Wavelet(WaveletBasis((8, 8), "haar", 2), DOUBLE),
    "mask": Inpaint(PATTERN, DOUBLE),
    "soft mask": Inpaint(PATTERN * normal(6, 4), DOUBLE),
    "diagonal": Diagonal(SPACE, PATTERN * normal(6, 4)),
    "complex diagonal": Diagonal(Space((6, 4), COMPLEX), normal(6, 4, dtype=COMPLEX)),
    "masked FFT of a crop": CartesianMRI(Cartesian((6, 4)), PATTERN, dtype=COMPLEX),
    "a multiple": -2.5 * Crop(SPACE, (4, 2)),
    "an imaginary multiple": 2j * CentredFFT(Space((6, 4), COMPLEX)),
    "k-space of a real image": CentredFFT(Space((6, 4), COMPLEX)) @ RealToComplex(SPACE),
}
WITHOUT: dict[str, Operator] = {
    "differences": FiniteDifference(SPACE),
    "adjoint of a ray transform": RAY.H,
    "zero": 0.0 * RAY,
    "zero for one sample": Identity(SPACE).multiple(torch.tensor([[0.0], [2.0]], dtype=DOUBLE)),
    "differences of a diagonal": FiniteDifference(SPACE) @ Diagonal(SPACE, PATTERN),
    "diagonal of a matrix": Diagonal(Space((5,), DOUBLE), normal(5)) @ Dense(normal(5, 4)),
    "helix": RayTransform3D(replace(CONE, orbit=Orbit(helical_pitch=3.0))),
    "poses of its own": RAY.with_tensors({"angles": normal(2, 1, 6)}),
    "trained offset": RAY.with_tensors(
        {"axis_offset": torch.tensor(0.3, dtype=DOUBLE, requires_grad=True)}
    ),
}


@pytest.mark.parametrize("name", ISOMETRIES)
def test_it_is_that_of_the_dense_matrix(name: str) -> None:
    """Moore and Penrose's, from the singular values, over the real numbers."""
    operator = ISOMETRIES[name]
    assert has_pseudo_inverse(operator)
    data = normal(2, 1, *operator.codomain.shape, dtype=operator.codomain.dtype)
    found = pseudo_inverse(operator, data)
    assert found.dtype == operator.domain.dtype

    def flat(x: Tensor, space: Space) -> Tensor:
        real = torch.view_as_real(x) if space.is_complex else x
        return real.reshape(2, -1)

    columns = []
    for unit in torch.eye(operator.domain.size, dtype=DOUBLE):
        image = unit.reshape(operator.domain.shape).to(operator.domain.dtype)
        for turn in (1, 1j) if operator.domain.is_complex else (1,):
            column = operator(turn * image)
            real = torch.view_as_real(column) if column.is_complex() else column
            columns.append(real.flatten())
    inverse = torch.linalg.pinv(torch.stack(columns, dim=1), rtol=1e-10)
    expected = flat(data, operator.codomain) @ inverse.T
    torch.testing.assert_close(flat(found, operator.domain), expected)


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_none_is_said_before_and_when_it_is_asked(name: str) -> None:
    operator = WITHOUT[name]
    assert not has_pseudo_inverse(operator)
    data = normal(2, 1, *operator.codomain.shape)
    if name == "trained offset":
        return
    with pytest.raises(GeometryError):
        pseudo_inverse(operator, data)


def test_ray_transforms_and_what_is_built_of_them_have_one() -> None:
    cone, transmission = RayTransform3D(CONE, DOUBLE), TransmissionCT(Transmission(SCAN, 0.1))
    fan = RayTransform(FanBeam((8, 8), AngleRange(9, arc=6.28), FlatDetector(15), 30.0, 5.0))
    for operator in (RAY, fan, cone, transmission, ScaledArgument(transmission, 0.02), RAY / 3):
        assert has_pseudo_inverse(operator)
    data, volume = normal(6, 13), normal(*CONE.data_shape)
    expected = fbp(RAY, data, window="hann", bandwidth=0.5)
    soft = RAY @ Diagonal(RAY.domain, torch.full((8, 8), 4.0, dtype=DOUBLE))
    assert has_pseudo_inverse(soft)
    found = pseudo_inverse(soft, data, window="hann", bandwidth=0.5)
    torch.testing.assert_close(found, expected / 4)
    torch.testing.assert_close(pseudo_inverse(2 * cone, volume), fdk(cone, volume) / 2)


def test_every_sample_is_divided_by_its_own_number() -> None:
    """1 among them, which is no 0."""
    numbers = torch.tensor([[1.0], [-2.0]], dtype=DOUBLE)
    data = normal(2, 1, 6, 4)
    operator = Identity(SPACE).multiple(numbers)
    assert has_pseudo_inverse(operator)
    torch.testing.assert_close(pseudo_inverse(operator, data), data / numbers[:, :, None, None])


def test_kinds_of_ones_own_join() -> None:
    class Mine(Dense):
        pass

    operator = Mine(normal(4, 4))
    assert not has_pseudo_inverse(operator)

    @pseudo_inverse.register(Mine)
    def _of_mine(
        operator: Mine, data: Tensor, *, window: str = "", bandwidth: float = 1.0
    ) -> Tensor:
        del window, bandwidth
        return torch.linalg.solve(operator.matrix, data)

    assert has_pseudo_inverse(operator)
    assert not has_pseudo_inverse(Dense(normal(4, 4)))
    data = normal(4)
    for wrapped, factor in ((operator, 1.0), (3 * operator, 3.0)):
        found = pseudo_inverse(wrapped, factor * data)
        torch.testing.assert_close(found, torch.linalg.solve(operator.matrix, data))


@pytest.mark.parametrize("function", [fbp, fdk, gridding, pseudo_inverse])
def test_arguments_in_another_order_are_named(function: Callable[..., Tensor]) -> None:
    data, name = normal(6, 13), function.__name__
    with pytest.raises(GeometryError, match=rf"swap the two: {name}\(operator, data\)"):
        function(data, RAY)
    for arguments in ((SCAN, data), (data, SCAN)):
        with pytest.raises(GeometryError, match=rf"{name}\(RayTransform\(geometry\), data\)"):
            function(*arguments)
    with pytest.raises(GeometryError, match=r"3D\(geometry\)"):
        function(CONE, data)
    if function is not gridding:
        with pytest.raises(DtypeError, match="data"):
            function(RAY if function is not fdk else RayTransform3D(CONE), [1.0, 2.0])


def test_fbp_is_for_ray_transforms_of_its_dimension() -> None:
    with pytest.raises(GeometryError, match=r"RayTransform3D.*pseudo_inverse\(T, y\)"):
        fbp(RayTransform3D(CONE), normal(*CONE.data_shape))  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match=r"the operator RayTransform\."):
        fdk(RAY, normal(6, 13))  # type: ignore[arg-type]


@pytest.mark.parametrize("complex_values", [False, True])
def test_a_division_is_differentiated_where_the_divisor_is_zero(complex_values: bool) -> None:
    """Its derivative is 1/d, and 0 where d is: y/0 would leave NaN in the gradient."""
    d = torch.tensor([2.0, 0.0, -0.5, 0.0], dtype=COMPLEX if complex_values else DOUBLE)
    d = d * (0.6 + 0.8j) if complex_values else d
    y = normal(2, 4, dtype=d.dtype).requires_grad_()
    operator = Diagonal(Space((4,), d.dtype), d)
    image = pseudo_inverse(operator, y)
    assert image[:, [1, 3]].count_nonzero() == 0
    torch.testing.assert_close(
        (operator(image) - y)[:, [0, 2]].detach(), torch.zeros_like(y[:, :2])
    )
    assert torch.autograd.gradcheck(lambda data: pseudo_inverse(operator, data), (y,))
