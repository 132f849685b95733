"""Every operator of the library, in both precisions, through the public conformance kit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.operators.algebra import Diagonal, ScaledArgument
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.geometry import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray_transform import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.operators.transmission import Transmission, TransmissionCT
from learnedrecon.testing import check_operator

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.geometry import Geometry
    from learnedrecon.operators.linear import LinearOperator

DTYPES = (torch.float32, torch.float64)
FULL_TURN = AngleRange(6, arc=2 * math.pi)
GEOMETRIES: dict[str, Geometry] = {
    "parallel": ParallelBeam((10, 10), AngleRange(7), FlatDetector(15)),
    "parallel, axes": ParallelBeam((6, 6), (0.0, math.pi / 2, math.pi), FlatDetector(7)),
    "parallel, one ray": ParallelBeam((3, 5), (0.3,), FlatDetector(1)),
    "offset": ParallelBeam((9, 9), (2.0, -0.1, 0.4), FlatDetector(13, 0.9, axis_offset=1.7)),
    "rectangular": ParallelBeam((5, 12), AngleRange(6, start=0.2), FlatDetector(14, 1.1)),
    "anisotropic": ParallelBeam((8, 7), AngleRange(5), FlatDetector(11, 0.7), (0.5, 1.4)),
    "fan": FanBeam((10, 10), FULL_TURN, FlatDetector(16, 1.7), 40.0, 25.0),
    "fan, offset": FanBeam((7, 9), FULL_TURN, FlatDetector(12, 2.0, 1.3), 30.0, 0.0, (1.2, 0.8)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_ray_transform(name: str, dtype: torch.dtype) -> None:
    report = check_operator(RayTransform(GEOMETRIES[name], dtype))
    assert {finding.name for finding in report.skipped} <= {"another device gives the same"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_transmission(name: str, dtype: torch.dtype) -> None:
    report = check_operator(TransmissionCT(Transmission(GEOMETRIES[name], 0.07), dtype))
    assert {finding.name for finding in report.skipped} <= {"another device gives the same"}


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64, torch.complex128])
@pytest.mark.parametrize("shape", [(7,), (1, 4), (5, 6), (3, 1, 4)])
def test_finite_difference(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    check_operator(FiniteDifference(Space(shape, dtype)))


def combinations() -> dict[str, LinearOperator]:
    ray = RayTransform(GEOMETRIES["rectangular"], torch.float64)
    other = RayTransform(GEOMETRIES["rectangular"].subset(range(5, -1, -1)), torch.float64)
    slope = FiniteDifference(ray.domain)
    return {
        "adjoint": ray.H,
        "adjoint twice": ray.H.H,
        "multiple": -0.3 * ray,
        "sum": ray + 2 * other,
        "difference": ray - other,
        "composition": ray @ slope.H,
        "normal": ray.H @ ray,
        "subset": ray.subset([4, 0, 1]),
        "diagonal": Diagonal(ray.domain, ray.domain.random(torch.Generator().manual_seed(0))),
    }


@pytest.mark.parametrize("name", combinations())
def test_algebra(name: str) -> None:
    check_operator(combinations()[name])


def test_one_diagonal_per_sample() -> None:
    space = Space((4, 5), torch.float64)
    at = space.random(leading=(2, 1))
    report = check_operator(Diagonal(space, space.random(leading=(2, 1))), at=at)
    skipped = {finding.name for finding in report.skipped}
    assert skipped >= {"norm() is the largest singular value"}


def per_sample() -> torch.Tensor:
    return torch.tensor([0.5, 2.0], dtype=torch.float64).reshape(2, 1, 1, 1)


@pytest.mark.parametrize("scale", [3, 0.25, per_sample()], ids=["int", "float", "per sample"])
def test_scaled_argument(scale: torch.Tensor | float) -> None:
    inner = TransmissionCT(Transmission(GEOMETRIES["fan"], 0.02), torch.float64)
    at = inner.domain.random(leading=(2, 1))
    operator: Operator = ScaledArgument(inner, scale)
    check_operator(operator, at=at)
    torch.testing.assert_close(operator(at), inner(scale * at))


def test_a_large_operator_is_checked_without_its_matrix() -> None:
    geometry = ParallelBeam((64, 64), AngleRange(20), FlatDetector(95))
    report = check_operator(RayTransform(geometry, torch.float64))
    assert any("entry by entry" in finding.name for finding in report.skipped)
    assert report.measured("T* is adjoint: single pixels and data") < 1e-12
