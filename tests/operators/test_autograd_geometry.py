"""Derivatives of the ray transform in its geometry, against differences and closed forms."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import DifferentiationError
from learnedrecon.kernels import moments
from learnedrecon.operators.ray.autograd import ray_adjoint, ray_forward
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.testing.numbers import push_forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.ray.geometry2d import Geometry

ANGLES = tuple(0.13 + 0.7 * k for k in range(9))  # rays along rows and along columns
SCANS: dict[str, Geometry] = {
    "parallel": ParallelBeam((9, 12), ANGLES, FlatDetector(11, 1.1, 0.3), (1.2, 0.8)),
    "fan": FanBeam((9, 12), ANGLES, FlatDetector(11, 1.7, -0.3), 30.0, 5.0, (1.2, 0.8)),
}
STEP = 1e-6


@pytest.fixture(params=SCANS)
def operator(request: pytest.FixtureRequest) -> RayTransform:
    return RayTransform(SCANS[request.param], torch.float64)


def pose(operator: RayTransform) -> tuple[Tensor, Tensor]:
    """The angles and the axis offset as leaves."""
    assert not isinstance(operator.geometry, RayVectors2D)
    angles = torch.tensor(operator.geometry.angle_values, dtype=torch.float64)
    offset = torch.tensor(operator.geometry.detector.axis_offset, dtype=torch.float64)
    return angles.requires_grad_(), offset.requires_grad_()


def posed(operator: RayTransform, angles: Tensor, offset: Tensor) -> RayTransform:
    return operator.with_tensors({"angles": angles, "axis_offset": offset})


def quotient(function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor) -> Tensor:
    """Central differences; T is piecewise smooth and these points are away from its kinks."""
    at = at.detach()
    return (function(at + STEP * direction) - function(at - STEP * direction)) / (2 * STEP)


def test_angles_and_offset_of_t_and_its_adjoint(operator: RayTransform) -> None:
    """Every partial derivative of ⟨Tu, v⟩ and ⟨u, T*v⟩, which are one function."""
    u, v = normal(2, 9, 12), normal(2, 9, 11)
    angles, offset = pose(operator)

    def forward(angles: Tensor, offset: Tensor) -> Tensor:
        return (posed(operator, angles, offset)(u) * v).sum()

    def adjoint(angles: Tensor, offset: Tensor) -> Tensor:
        return (posed(operator, angles, offset).adjoint(v) * u).sum()

    assert torch.autograd.gradcheck(forward, (angles, offset), eps=STEP, atol=1e-6)
    assert torch.autograd.gradcheck(adjoint, (angles, offset), eps=STEP, atol=1e-6)
    gradients = [
        torch.autograd.grad(f(angles, offset), (angles, offset)) for f in (forward, adjoint)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own
def test_vectors(operator: RayTransform) -> None:
    """All six numbers of every angle, backwards and forwards."""
    u, v = normal(9, 12), normal(9, 11)
    leaf = operator.vectors.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda vectors: ray_forward(u, vectors, operator.sizes),
        (leaf,),
        eps=STEP,
        atol=1e-6,
        check_forward_ad=True,
    )
    assert torch.autograd.gradcheck(
        lambda vectors: ray_adjoint(v, vectors, operator.sizes), (leaf,), eps=STEP, atol=1e-6
    )


def test_forward_mode_in_image_and_geometry_at_once(operator: RayTransform) -> None:
    u, du = normal(2, 9, 12), normal(2, 9, 12, seed=1)
    angles, offset = (leaf.detach() for leaf in pose(operator))
    turn, shift = normal(9, seed=2), normal(seed=3)

    def moved(t: Tensor) -> Tensor:
        return posed(operator, angles + t * turn, offset + t * shift)(u + t * du)

    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    torch.testing.assert_close(
        push_forward(moved, zero, one), quotient(moved, zero, one), rtol=1e-6, atol=1e-6
    )


def test_a_smooth_bump_has_the_derivative_of_its_integrals() -> None:
    """exp(-|x - c|²/2w²) integrates to √(2π) w exp(-d²/2w²), d = ⟨c, along⟩ - s."""
    n, width, centre = 160, 12.0, torch.tensor([9.0, -5.0], dtype=torch.float64)
    geometry = ParallelBeam((n, n), AngleRange(12, start=0.05), FlatDetector(101, 1.3, 2.0))
    grid = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    bump = torch.exp(
        -((grid[:, None] - centre[1]).square() + (grid - centre[0]).square()) / (2 * width**2)
    )
    operator, v = RayTransform(geometry, torch.float64), normal(12, 101)
    angles, offset = pose(operator)
    along = torch.stack([angles.cos(), angles.sin()], 1)
    position = (torch.arange(101).double() - 50) * 1.3 - offset
    distance = (along @ centre)[:, None] - position
    exact = math.sqrt(2 * math.pi) * width * torch.exp(-distance.square() / (2 * width**2))
    expected = torch.autograd.grad((exact * v).sum(), (angles, offset))
    found = torch.autograd.grad((posed(operator, angles, offset)(bump) * v).sum(), (angles, offset))
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() < 0.01 * other.norm()


def test_single_precision(operator: RayTransform) -> None:
    """Images, angles and offsets of float32 get gradients of float32."""
    u, v = normal(9, 12), normal(9, 11)
    found = []
    for dtype in (torch.float32, torch.float64):
        leaves = [t.detach().float().to(dtype).requires_grad_() for t in (u, *pose(operator))]
        data = posed(operator, *leaves[1:])(leaves[0])
        found.append(torch.autograd.grad((data * v.to(dtype)).sum(), leaves))
        assert all(part.dtype == dtype for part in found[-1])
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 1e-5 * other.norm()


def test_geometries_of_their_own_equal_a_loop_over_the_samples(operator: RayTransform) -> None:
    u, v = normal(3, 2, 9, 12), normal(3, 2, 9, 11)
    angles = (pose(operator)[0].detach() + 0.1 * normal(3, 1, 9)).requires_grad_()
    offset = normal(3, 1).requires_grad_()
    together = posed(operator, angles, offset)
    image, data = u.clone().requires_grad_(), v.clone().requires_grad_()
    value, back = together(image), together.adjoint(data)
    found = torch.autograd.grad((value * v).sum() + (back * u).sum(), (image, data, angles, offset))
    for k in range(3):
        leaves = [t[k].detach().requires_grad_() for t in (u, v, angles, offset)]
        alone = posed(operator, leaves[2][0], leaves[3][0])
        torch.testing.assert_close(alone(leaves[0]), value[k])
        torch.testing.assert_close(alone.adjoint(leaves[1]), back[k])
        loss = (alone(leaves[0]) * v[k]).sum() + (alone.adjoint(leaves[1]) * u[k]).sum()
        expected = torch.autograd.grad(loss, leaves)
        torch.testing.assert_close([part[k] for part in found], list(expected))


def test_an_image_that_samples_share_gets_the_sum_of_their_gradients(
    operator: RayTransform,
) -> None:
    u, offset = normal(9, 12).requires_grad_(), normal(4)
    many = operator.with_tensors({"axis_offset": offset[:, None]})(u)[:, 0]
    assert many.shape == (4, 9, 11)
    (found,) = torch.autograd.grad(many.sum(), u)
    each = [operator.with_tensors({"axis_offset": s}) for s in offset]
    torch.testing.assert_close(found, sum(t.adjoint(torch.ones_like(many[0])) for t in each))


def test_vmap_over_geometries(operator: RayTransform) -> None:
    u, v, offsets = normal(4, 2, 9, 12), normal(2, 9, 11), normal(4)

    def energy(offset: Tensor, u: Tensor) -> Tensor:
        return (operator.with_tensors({"axis_offset": offset})(u) * v).sum()

    gradients = torch.func.vmap(torch.func.grad(energy))(offsets, u)
    tangents = torch.func.vmap(torch.func.jacfwd(energy))(offsets, u)
    for k in range(4):
        expected = quotient(partial(energy, u=u[k]), offsets[k], torch.ones(()))
        torch.testing.assert_close(gradients[k], expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(tangents[k], expected, rtol=1e-6, atol=1e-6)
    shared = torch.func.vmap(torch.func.grad(energy), in_dims=(0, None))(offsets, u[0])
    torch.testing.assert_close(shared[0], gradients[0])


def test_unrolled_descent_is_differentiable_in_the_geometry(operator: RayTransform) -> None:
    """The gradient of ½‖Tu - y‖² by autograd is differentiated again, but T only once."""
    y = normal(9, 11)
    _, offset = pose(operator)

    def reconstructed(offset: Tensor) -> Tensor:
        moved = operator.with_tensors({"axis_offset": offset})
        u = torch.zeros(9, 12, dtype=torch.float64, requires_grad=True)
        for _ in range(3):
            misfit = (moved(u) - y).square().sum() / 2
            (slope,) = torch.autograd.grad(misfit, u, create_graph=True)
            u = u - 0.004 * slope
        return (moved(u) - y).square().sum()

    (found,) = torch.autograd.grad(reconstructed(offset), offset)
    expected = quotient(reconstructed, offset, torch.ones(()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_second_derivatives_in_the_geometry_are_refused(operator: RayTransform) -> None:
    u, (_, offset) = normal(9, 12).requires_grad_(), pose(operator)
    energy = operator.with_tensors({"axis_offset": offset})(u).square().sum()
    first, mixed = torch.autograd.grad(energy, (offset, u), create_graph=True)
    for leaf in (offset, u):
        with pytest.raises(DifferentiationError, match="second derivative"):
            torch.autograd.grad(first, leaf, retain_graph=True)
    with pytest.raises(DifferentiationError, match="second derivative"):
        torch.func.hessian(
            lambda s: operator.with_tensors({"axis_offset": s})(u.detach()).square().sum()
        )(offset.detach())
    assert mixed.shape == u.shape


def test_the_adjoint_has_no_forward_mode_in_the_geometry(operator: RayTransform) -> None:
    v, (_, offset) = normal(9, 11), pose(operator)
    with pytest.raises(DifferentiationError, match="forward-mode"):
        torch.func.jvp(
            lambda s: operator.with_tensors({"axis_offset": s}).adjoint(v),
            (offset.detach(),),
            (torch.ones((), dtype=torch.float64),),
        )


def test_the_plain_sums_give_the_same(
    operator: RayTransform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on devices and in installations without compiled sums."""
    u, v, leaves = normal(2, 9, 12), normal(2, 9, 11), pose(operator)
    found = torch.autograd.grad((posed(operator, *leaves)(u) * v).sum(), leaves)
    monkeypatch.setattr(moments, "_compiled", False)
    plain = torch.autograd.grad((posed(operator, *leaves)(u) * v).sum(), leaves)
    torch.testing.assert_close(plain, found)
