"""FDK: the fan beam in its plane, balls that are known exactly, transposes, units, refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

import learnedrecon as lr
from learnedrecon.data.phantoms.ellipsoids import Ellipsoid, draw_ellipsoids, ellipsoid_lines
from learnedrecon.errors import ConfigError, GeometryError, ShapeError
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D, RotatingBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.solvers.direct.fdk import fdk
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse
from learnedrecon.solvers.direct.voxel_backprojection import VoxelBackprojection

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry3d import Geometry3D

TURN = 2 * math.pi
SHORT = math.pi + 2 * math.atan(30 / 100)


def cone(arc: float = TURN, start: float = 0.1, offset: float = 0.0, rows: int = 1) -> ConeBeam:
    panel = FlatPanel(rows, 60, (1.3, 1.1), offset)
    shape, pixel = (rows, 20, 24), (1.0, 1.0, 0.8)
    return ConeBeam(shape, AngleRange(40, start, arc), panel, 60.0, 40.0, pixel)


PLANES: dict[str, RotatingBeam3D] = {
    "full turn": cone(),
    "offset": cone(offset=1.7),
    "displaced": cone(offset=-22.0),
    "displaced the other way": cone(offset=22.0),
    "short scan": cone(SHORT),
    "backwards": cone(-TURN),
    "parallel": ParallelBeam3D((1, 20, 24), AngleRange(30), FlatPanel(1, 50), (1.0, 1.0, 0.8)),
    "parallel offset": ParallelBeam3D((1, 20, 24), AngleRange(30), FlatPanel(1, 50, 1.0, 3.3)),
}


@pytest.mark.parametrize("window", ["ram-lak", "hann"])
@pytest.mark.parametrize("name", PLANES)
def test_one_row_is_the_filtered_backprojection_of_the_plane(name: str, window: str) -> None:
    scan = PLANES[name]
    data = normal(2, *scan.data_shape)
    expected = fbp(RayTransform(scan.mid_plane()), data[..., 0, :], window=window, bandwidth=0.9)  # type: ignore[arg-type]
    volume = fdk(RayTransform3D(scan), data, window=window, bandwidth=0.9)  # type: ignore[arg-type]
    torch.testing.assert_close(volume[..., 0, :, :], expected, rtol=0, atol=1e-12)
    assert expected.abs().max() > 0.1


def test_the_middle_of_an_odd_panel_is_the_plane_too() -> None:
    scan = cone(rows=5)
    data = normal(*scan.data_shape)
    torch.testing.assert_close(
        fdk(RayTransform3D(scan), data)[2], fbp(RayTransform(scan.mid_plane()), data[:, 2])
    )


def test_the_height_of_the_source() -> None:
    """A source 2 mm up sees in slice 4 what one at 0 sees in slice 2."""
    scan = cone(rows=5)
    data = normal(*scan.data_shape)
    high = fdk(RayTransform3D(replace(scan, orbit=Orbit(height=2.0))), data)
    torch.testing.assert_close(high[2:], fdk(RayTransform3D(scan), data)[:3])


@pytest.mark.parametrize("shift", [-1, 2])
def test_a_vertical_offset_by_whole_rows_shifts_the_rows(shift: int) -> None:
    scan = cone(rows=5)
    data = torch.zeros(scan.data_shape, dtype=torch.float64)
    data[:, 2] = normal(40, 60)
    panel = replace(scan.detector, vertical_offset=1.3 * shift)
    moved = fdk(RayTransform3D(replace(scan, detector=panel)), data.roll(shift, 1))
    torch.testing.assert_close(moved, fdk(RayTransform3D(scan), data))


def test_parallel_rows_are_slices() -> None:
    """With rows as high as slices, every slice is the two-dimensional image of its row."""
    panel = FlatPanel(4, 31, (0.7, 1.1), 0.4)
    scan = ParallelBeam3D((4, 20, 24), AngleRange(30), panel, (0.7, 1.0, 1.0))
    data = normal(2, *scan.data_shape)
    expected = fbp(RayTransform(scan.mid_plane()), data.transpose(1, 2))
    torch.testing.assert_close(fdk(RayTransform3D(scan), data), expected)


BALL = Ellipsoid(0.02, (9.0, 9.0, 9.0), (2.0, -3.0, 1.0))


def ball_scan(factor: int, arc: float = TURN, offset: float = 0.0) -> ConeBeam:
    """28 mm of volume, seen with a half cone angle of 13 degrees."""
    panel = FlatPanel(36 * factor, 44 * factor, 1.8 / factor, offset)
    angles = AngleRange(45 * factor, 0.2, arc)
    shape = (24 * factor, 28 * factor, 28 * factor)
    return ConeBeam(shape, angles, panel, 60.0, 60.0, 1 / factor)


def distance_from_centre(scan: Geometry3D) -> Tensor:
    z, y, x = (
        (torch.arange(n) - (n - 1) / 2) * d for n, d in zip(scan.shape, scan.pixel, strict=True)
    )
    cx, cy, cz = BALL.centre
    return ((z - cz)[:, None, None] ** 2 + (y - cy)[:, None] ** 2 + (x - cx) ** 2).sqrt()


@pytest.mark.parametrize(("arc", "offset"), [(TURN, 0.0), (TURN, 28.0), (SHORT + 0.3, 0.0)])
def test_a_ball_comes_out_at_its_value(arc: float, offset: float) -> None:
    scan = ball_scan(2, arc, offset)
    volume = fdk(RayTransform3D(scan), ellipsoid_lines([BALL], scan.rays())) / BALL.value
    distance = distance_from_centre(scan)
    inside = volume[distance < 7]
    assert inside.mean().item() == pytest.approx(1.0, abs=0.01)
    assert (inside - 1).abs().max() < 0.06
    assert volume[distance > 11].abs().mean() < 0.035
    plane, distance = volume[23:25], distance[23:25]
    assert plane[distance < 7].mean().item() == pytest.approx(1.0, abs=0.001)
    assert (plane[distance < 7] - 1).abs().max() < 0.01


def test_a_column_is_the_same_at_every_height() -> None:
    """FDK is exact for what does not change along the axis, as its authors show."""
    scan = ball_scan(1)
    column = Ellipsoid(0.02, (9.0, 6.0, 1e6), (2.0, -3.0, 0.0), 0.5)
    volume = fdk(RayTransform3D(scan), ellipsoid_lines([column], scan.rays())) / column.value
    y, x = (torch.arange(28) - 13.5)[:, None] + 3, torch.arange(28) - 13.5 - 2
    inside = volume[:, torch.hypot(x, y) < 4.5]
    assert inside.mean().item() == pytest.approx(1.0, abs=3e-3)
    torch.testing.assert_close(inside, inside[12].expand_as(inside), rtol=0, atol=2e-3)


def test_the_error_falls_with_the_resolution() -> None:
    errors = []
    for factor in (1, 2):
        scan = ball_scan(factor)
        volume = fdk(RayTransform3D(scan), ellipsoid_lines([BALL], scan.rays()).float())
        truth = draw_ellipsoids([BALL], scan, samples=4)
        middle = slice(10 * factor, 14 * factor)
        gap = (volume - truth)[middle].norm() / truth[middle].norm()
        errors.append(gap.item())
    assert errors[1] < 0.065
    assert errors[1] < 0.75 * errors[0]


def test_the_compiled_transform_gives_the_same_volume() -> None:
    """From T of a drawn ball instead of exact integrals."""
    scan = ball_scan(1)
    exact = fdk(RayTransform3D(scan), ellipsoid_lines([BALL], scan.rays()))
    drawn = draw_ellipsoids([BALL], scan, samples=4).double()
    found = pseudo_inverse(RayTransform3D(scan), RayTransform3D(scan)(drawn))
    assert (found - exact).norm() < 0.12 * exact.norm()


@pytest.mark.parametrize("name", ["cone", "parallel"])
def test_backprojection_and_its_transpose(name: str) -> None:
    panel = FlatPanel(6, 7, (1.3, 1.7), 0.6, -0.4)
    common = ((5, 4, 6), AngleRange(5, 0.1, TURN), panel)
    scans: dict[str, RotatingBeam3D] = {
        "cone": ConeBeam(*common, 20.0, 9.0, (1.1, 1.0, 0.9), Orbit(height=0.7)),
        "parallel": ParallelBeam3D(*common, (1.1, 1.0, 0.9)),
    }
    kernel = VoxelBackprojection(scans[name])
    v, u = normal(2, 5, 6, 7), normal(2, 5, 4, 6)
    torch.testing.assert_close(
        (kernel.forward(v) * u).sum(), (v * kernel.adjoint(u)).sum(), rtol=1e-12, atol=0
    )
    units = torch.eye(210, dtype=torch.float64).reshape(210, 5, 6, 7)
    matrix = kernel.forward(units).flatten(1)
    spikes = torch.eye(120, dtype=torch.float64).reshape(120, 5, 4, 6)
    torch.testing.assert_close(kernel.adjoint(spikes).flatten(1), matrix.T)
    assert matrix.abs().max() > 0.5


def test_blocks_and_chunks_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = cone(rows=5)
    v, u = normal(3, *scan.data_shape), normal(3, *scan.shape)
    kernel = VoxelBackprojection(scan)
    whole = kernel.forward(v), kernel.adjoint(u), fdk(RayTransform3D(scan), v)
    monkeypatch.setattr("learnedrecon.kernels.oracle_voxels._BLOCK", 7 * 3 * 5)
    monkeypatch.setattr("learnedrecon.solvers.direct.fdk._FILTERED_TOGETHER", 7 * 3 * 5 * 60)
    torch.testing.assert_close(
        (kernel.forward(v), kernel.adjoint(u), fdk(RayTransform3D(scan), v)), whole
    )


@pytest.mark.parametrize("orbit", [Orbit(), Orbit(height=1.5)])
def test_centimetres_change_only_the_unit(orbit: Orbit) -> None:
    in_mm = replace(cone(SHORT, offset=1.7, rows=5), orbit=orbit)
    panel = FlatPanel(5, 60, (0.13, 0.11), 0.17)
    level = Orbit(height=orbit.height / 10)
    in_cm = ConeBeam(in_mm.shape, in_mm.angles, panel, 6.0, 4.0, (0.1, 0.1, 0.08), level)
    data = normal(*in_mm.data_shape)
    torch.testing.assert_close(
        fdk(RayTransform3D(in_cm), data), 10 * fdk(RayTransform3D(in_mm), data)
    )


def test_leading_axes_and_float32() -> None:
    scan = cone(rows=3)
    data = normal(2, 3, *scan.data_shape)
    volumes = fdk(RayTransform3D(scan), data)
    assert volumes.shape == (2, 3, *scan.shape)
    torch.testing.assert_close(volumes[1, 2], fdk(RayTransform3D(scan), data[1, 2]))
    single = fdk(RayTransform3D(scan), data.float())
    assert single.dtype == torch.float32
    assert (single - volumes).norm() < 1e-5 * volumes.norm()


@pytest.mark.parametrize("lead", [(0,), (0, 1)])
def test_an_empty_batch_gives_an_empty_volume(lead: tuple[int, ...]) -> None:
    scan = cone(rows=3)
    data = torch.zeros(*lead, *scan.data_shape, requires_grad=True)
    volume = fdk(RayTransform3D(scan), data)
    assert volume.shape == (*lead, *scan.shape)
    volume.sum().backward()


def test_fdk_is_differentiable_in_the_data() -> None:
    scan = ConeBeam((2, 3, 2), AngleRange(3, arc=TURN), FlatPanel(2, 4, 1.5), 9.0, 5.0)
    data = normal(1, 3, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: fdk(RayTransform3D(scan), y), data)
    assert torch.autograd.gradgradcheck(lambda y: fdk(RayTransform3D(scan), y), data)


def test_the_method_fbp_takes_volumes() -> None:
    operator = RayTransform3D(cone(rows=3))
    data = normal(1, 1, *operator.codomain.shape).float()
    volume = fdk(operator, data)
    torch.testing.assert_close(lr.models.FBP()(lr.InverseProblem(operator, data)).image, volume)
    torch.testing.assert_close(pseudo_inverse(operator * 0.5, data), 2 * volume)


def test_errors_say_what_to_do() -> None:
    scan = cone(rows=3)
    data = normal(*scan.data_shape)
    others: list[Geometry3D] = [
        replace(scan, orbit=Orbit(helical_pitch=3.0)),
        replace(scan, orbit=Orbit(tilt=0.1)),
        ParallelBeam3D(scan.shape, scan.angles, scan.detector, 1.0, 0.1),
        ParallelBeam3D(scan.shape, scan.angles, scan.detector).to_vectors(),
    ]
    for other in others:
        with pytest.raises(GeometryError, match="which have a filtered backprojection"):
            fdk(RayTransform3D(other), data)
    with pytest.raises(GeometryError, match="Found the operator RayTransform"):
        fdk(RayTransform(scan.mid_plane()), data)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="line integrals"):
        fdk(RayTransform3D(scan), data[:, 0])
    with pytest.raises(ConfigError, match="bandwidth"):
        fdk(RayTransform3D(scan), data, bandwidth=1.5)
