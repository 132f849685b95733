"""Sources at 1e3 to 1e18 mm, pitches down to 1e-13: exact in 3D, exact or refused in 2D."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.errors import GeometryError
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator

ANGLES = AngleRange(4, 0.2, 2 * math.pi)
CONE = ConeBeam((3, 5, 6), ANGLES, FlatPanel(4, 7, 1.1), 1e3, 0.0, 0.9)
FAN = FanBeam((5, 6), ANGLES, FlatDetector(9, 1.1), 1e3, 0.0, 0.9)
ARC = CurvedFanBeam((5, 6), ANGLES, ArcDetector(9, 1.1e-3), 1e3, 0.9)
DECADES = range(3, 19)
PRECISIONS = {torch.float64: 1e-14, torch.float32: 1e-6}


def matrices(operator: LinearOperator, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """T by its columns and by its rows, (data, image)."""
    pixels, data = math.prod(operator.domain.shape), math.prod(operator.codomain.shape)
    images = torch.eye(pixels, dtype=dtype).reshape(pixels, *operator.domain.shape)
    rays = torch.eye(data, dtype=dtype).reshape(data, *operator.codomain.shape)
    return operator(images).reshape(pixels, -1).T, operator.adjoint(rays).reshape(data, -1)


def require_exact(operator: LinearOperator, dtype: torch.dtype) -> torch.Tensor:
    forward, transpose = matrices(operator, dtype)
    torch.testing.assert_close(forward, transpose, rtol=0, atol=PRECISIONS[dtype])
    largest = float(torch.linalg.matrix_norm(forward.double(), 2))
    assert math.isclose(float(operator.norm()), largest, rel_tol=1e-3)
    assert float(operator.norm_bound()) >= largest * (1 - 1e-5)  # type: ignore[arg-type]
    return forward.double()


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("decade", DECADES)
def test_cones_become_parallel_beams(decade: int, dtype: torch.dtype) -> None:
    found = require_exact(RayTransform3D(replace(CONE, source_origin=10.0**decade), dtype), dtype)
    limit = ParallelBeam3D(CONE.shape, ANGLES, CONE.detector, 0.9)
    expected, _ = matrices(RayTransform3D(limit, torch.float64), torch.float64)
    gap = float((found - expected).abs().max())
    assert gap < 30 * 10.0**-decade + PRECISIONS[dtype]


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("decade", range(14))
def test_panels_of_any_pitch(decade: int, dtype: torch.dtype) -> None:
    panel = FlatPanel(4, 7, 10.0**-decade, 0.3, -0.2)
    require_exact(RayTransform3D(replace(CONE, detector=panel), dtype), dtype)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("decade", DECADES)
def test_fans_are_exact_or_refused(decade: int, dtype: torch.dtype) -> None:
    scan = replace(FAN, source_origin=0.5 * 10.0**decade)
    if decade < 10:
        require_exact(RayTransform(scan, dtype), dtype)
        return
    with pytest.raises(GeometryError, match=r"within 1e\+09 pixels"):
        RayTransform(scan, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("decade", range(9))
def test_fine_pitches_are_exact_or_refused(decade: int, dtype: torch.dtype) -> None:
    scan = replace(FAN, detector=FlatDetector(9, 10.0**-decade))
    if decade < 6:
        require_exact(RayTransform(scan, dtype), dtype)
        return
    with pytest.raises(GeometryError, match="at least 1e-05 image pixels"):
        RayTransform(scan, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("decade", DECADES)
def test_arcs_are_exact(decade: int, dtype: torch.dtype) -> None:
    arc = ArcDetector(9, 1.1 * 10.0**-decade)
    scan = replace(ARC, detector=arc, source_origin=10.0**decade)
    require_exact(RayTransform(scan, dtype), dtype)
