"""The ray transform in 3D: the fan beam in its plane, exact integrals."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch

import learnedrecon as lr
from learnedrecon.data.phantoms.ellipsoids import Ellipsoid, draw_ellipsoids, ellipsoid_lines
from learnedrecon.errors import GeometryError, ShapeError
from learnedrecon.operators.ray.autograd import ray_forward
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.testing import dense_matrix
from learnedrecon.testing.numbers import push_forward

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry3d import Geometry3D

TURN = 2 * math.pi
FULL = AngleRange(4, arc=TURN)
PANEL = FlatPanel(5, 7, (1.6, 1.3), 0.4, -0.3)
SHAPE, PIXEL = (4, 5, 6), (1.2, 1.0, 0.8)
SCANS: dict[str, Geometry3D] = {
    "cone": ConeBeam(SHAPE, FULL, PANEL, 30.0, 20.0, PIXEL),
    "helix": ConeBeam(
        SHAPE, AngleRange(5, -TURN, 2 * TURN), PANEL, 30.0, 20.0, PIXEL, Orbit(2.5, 0.3)
    ),
    "laminography": ConeBeam(SHAPE, FULL, PANEL, 30.0, 20.0, PIXEL, Orbit(tilt=1.1)),
    "parallel": ParallelBeam3D(SHAPE, AngleRange(4, 0.1), PANEL, PIXEL),
    "parallel along the axes": ParallelBeam3D((3, 4, 4), (0.0, math.pi / 2), FlatPanel(3, 4)),
    "parallel laminography": ParallelBeam3D(SHAPE, FULL, PANEL, PIXEL, -0.9),
    "poses": ConeBeam(SHAPE, (0.3, 2.0), PANEL, 12.0, 9.0, PIXEL).to_vectors(),
}


@pytest.mark.parametrize("offset", [0.0, 1.3, -12.0])
def test_the_plane_of_a_cone_beam_is_the_fan_beam(offset: float) -> None:
    panel = FlatPanel(1, 60, (1.0, 1.1), offset)
    angles = AngleRange(40, 0.1, TURN)
    for scan in (
        ConeBeam((1, 20, 24), angles, panel, 60.0, 40.0, (1.0, 1.0, 0.8)),
        ParallelBeam3D((1, 20, 24), angles, panel, (1.0, 1.0, 0.8)),
    ):
        solid, flat = RayTransform3D(scan), RayTransform(scan.mid_plane())
        u = torch.randn(2, 1, 1, 20, 24, dtype=torch.float64)
        v = flat(u[:, :, 0])
        torch.testing.assert_close(solid(u)[..., 0, :], v, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            solid.adjoint(v[..., None, :])[:, :, 0], flat.adjoint(v), rtol=0, atol=1e-11
        )


def test_parallel_rows_are_slices() -> None:
    """With rows as high as slices, every row is the two-dimensional scan of its slice."""
    scan = ParallelBeam3D((4, 9, 8), AngleRange(5), FlatPanel(4, 13, (0.7, 1.1)), (0.7, 1.0, 1.0))
    u = torch.randn(4, 9, 8, dtype=torch.float64)
    expected = RayTransform(scan.mid_plane())(u)
    torch.testing.assert_close(RayTransform3D(scan)(u), expected.transpose(0, 1))


def test_a_shift_of_the_volume_is_a_shift_of_the_source() -> None:
    """One slice up is the same as source and panel one slice down."""
    u = torch.randn(1, 7, 8, dtype=torch.float64)
    low, high = (torch.cat(parts) for parts in ([u, 0 * u], [0 * u, u]))
    panel = FlatPanel(3, 9, 1.5)

    def data(volume: torch.Tensor, height: float) -> torch.Tensor:
        scan = ConeBeam((2, 7, 8), FULL, panel, 30.0, 9.0, 1.0, Orbit(0.0, height))
        return RayTransform3D(scan)(volume)

    torch.testing.assert_close(data(high, 0.5), data(low, -0.5))
    assert (data(high, 0.5) - data(high, -0.5)).abs().max() > 0.1


def test_a_helix_is_a_circle_at_every_height() -> None:
    helix = ConeBeam(SHAPE, (0.3, 2.0), PANEL, 30.0, 20.0, PIXEL, Orbit(2.5, 0.3))
    u = torch.randn(SHAPE, dtype=torch.float64)
    for view, theta in enumerate(helix.angle_values):
        level = Orbit(0.0, 0.3 + 2.5 * theta / TURN)
        circle = replace(helix, angles=(theta,), orbit=level)
        torch.testing.assert_close(RayTransform3D(helix)(u)[view], RayTransform3D(circle)(u)[0])


ORBITS = {"circle": Orbit(), "helix": Orbit(3.0, -1.0), "laminography": Orbit(tilt=0.6)}


@pytest.mark.parametrize("orbit", ORBITS)
def test_line_integrals_of_an_ellipsoid_converge(orbit: str) -> None:
    """At first order: chords of length √h at the rim are wrong in a share h of all rays."""
    egg = Ellipsoid(0.7, (5.0, 3.5, 4.0), (1.0, -0.5, 0.5), 0.4)
    errors = []
    for factor in (1, 2, 4):
        scan = ConeBeam(
            (12 * factor,) * 3, FULL, FlatPanel(9, 11, 2.0), 40.0, 20.0, 1 / factor, ORBITS[orbit]
        )
        exact = ellipsoid_lines([egg], scan.rays())
        found = RayTransform3D(scan)(draw_ellipsoids([egg], scan, samples=4).double())
        errors.append(float((found - exact).norm() / exact.norm()))
    assert errors[-1] < 0.03
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2, rel=0.1)


def test_subset_and_norm() -> None:
    scan = SCANS["cone"]
    operator = RayTransform3D(scan, torch.float64)
    assert operator.row_axis == -3
    u = operator.domain.random()
    torch.testing.assert_close(operator.subset([3, 1])(u), operator(u)[[3, 1]])
    singular = torch.linalg.svdvals(dense_matrix(operator))
    assert operator.norm() == pytest.approx(singular[0].item(), rel=1e-8)
    assert operator.norm() <= singular[0].item() * (1 + 1e-9)


def test_derivatives() -> None:
    operator = RayTransform3D(ConeBeam((2, 3, 2), (0.2, 1.5), FlatPanel(2, 3, 2.0), 9.0, 5.0))
    u = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    v = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(operator, u)
    assert torch.autograd.gradgradcheck(operator, u)
    assert torch.autograd.gradcheck(operator.adjoint, v)
    du = torch.randn_like(u.detach())
    torch.testing.assert_close(push_forward(operator, u.detach(), du), operator(du))
    torch.testing.assert_close(torch.func.vmap(operator)(du), operator(du))


def test_the_compiled_gradient() -> None:
    """Another scan of the same sizes is served by the same code."""
    helix = SCANS["helix"]
    scans = [helix, helix.subset([4, 3, 2, 1, 0])]
    operators = [RayTransform3D(scan, torch.float64) for scan in scans]
    compilations = []

    def count(module: torch.fx.GraphModule, _: object) -> torch.fx.GraphModule:
        compilations.append(module)
        return module

    @torch.compile(backend=count, fullgraph=True)
    def energy(u: torch.Tensor, operator: RayTransform3D) -> torch.Tensor:
        return ray_forward(u, operator.vectors, operator.sizes).square().sum() / 2

    for operator in operators:
        u = operator.domain.random(leading=(2, 1)).requires_grad_()
        (gradient,) = torch.autograd.grad(energy(u, operator), u)
        torch.testing.assert_close(gradient, operator.adjoint(operator(u.detach())))
    assert len(compilations) == 1


def test_moving_keeps_the_poses_in_double_precision() -> None:
    operator = RayTransform3D(SCANS["cone"]).to(torch.float32)
    assert operator.vectors.dtype == torch.float64
    assert not operator.state_dict()


def test_a_small_panel_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    scan = ConeBeam((6, 6, 8), FULL, FlatPanel(4, 11, 0.375), 20.0, 20.0)
    with caplog.at_level("WARNING", logger="learnedrecon"):
        RayTransform3D(SCANS["cone"])
        assert not caplog.records
        operator = RayTransform3D(scan)
        operator.subset([0, 2])
        RayTransform3D(scan, torch.float64)
    (record,) = caplog.records
    message = record.getMessage()
    assert "covers 3 % of the volume's shadow" in message
    assert all(part in message for part in ("Expected", "Found", "What to do"))


def test_a_measured_problem_in_3d() -> None:
    operator = RayTransform3D(SCANS["cone"], torch.float64)
    truth = operator.domain.random(leading=(2, 1))
    problem = lr.InverseProblem(operator, operator(truth))
    assert problem.gradient(truth).abs().max() < 1e-12
    part = problem.subset([0, 2])
    assert part.data.shape == (2, 1, 2, 5, 7)
    torch.testing.assert_close(part.forward(truth), part.data)


def test_networks_for_images_refuse_volumes() -> None:
    operator = RayTransform3D(SCANS["cone"])
    problem = lr.InverseProblem(operator, operator.codomain.zeros((1, 1)))
    model = lr.models.LearnedPrimalDual(iterations=1)
    with pytest.raises(ShapeError, match=r"real 2D images.*Found real 3D images"):
        model(problem)


def test_total_variation_of_a_volume() -> None:
    ball = Ellipsoid(1.0, (3.0, 3.0, 3.0))
    scan = ConeBeam((10, 10, 10), AngleRange(12, arc=TURN), FlatPanel(16, 16, 1.5), 40.0, 20.0)
    operator = RayTransform3D(scan)
    volume = draw_ellipsoids([ball], scan)[None, None]
    problem = lr.InverseProblem(operator, operator(volume))
    image = lr.models.TV(weight=0.05, gap=1e-2)(problem).image
    assert (image - volume).norm() < 0.1 * volume.norm()


def test_only_volumes_are_taken() -> None:
    with pytest.raises(GeometryError, match=r"RayTransform3D\(ConeBeam"):
        RayTransform3D(SCANS["cone"].mid_plane())  # type: ignore[union-attr, arg-type]
    with pytest.raises(ShapeError, match="last axes"):
        RayTransform3D(SCANS["cone"])(torch.zeros(5, 6))
    assert isinstance(SCANS["poses"], RayVectors3D)
    assert "RayVectors3D" in repr(RayTransform3D(SCANS["poses"]))
