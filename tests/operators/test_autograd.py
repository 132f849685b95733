"""Autograd through the compiled kernels, value by value against the dense matrix."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor
from torch.autograd import forward_ad

from learnedrecon.errors import GeometryError
from learnedrecon.kernels.sizes import Sizes
from learnedrecon.operators.ray import batched_kernels
from learnedrecon.operators.ray.autograd import ray_forward
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.testing import dense_matrix
from learnedrecon.testing.numbers import push_forward

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry

SCANS: dict[str, Geometry] = {
    "parallel": ParallelBeam((4, 5), AngleRange(3), FlatDetector(6)),
    "fan": FanBeam((4, 5), AngleRange(3, arc=6.28), FlatDetector(6, 1.5), 12.0, 3.0),
}


@pytest.fixture(params=SCANS)
def operator(request: pytest.FixtureRequest) -> RayTransform:
    return RayTransform(SCANS[request.param], torch.float64)


@pytest.fixture
def matrix(operator: RayTransform) -> Tensor:
    return dense_matrix(operator)


def test_values(operator: RayTransform, matrix: Tensor) -> None:
    u, v = normal(2, 3, 4, 5), normal(2, 3, 3, 6)
    torch.testing.assert_close(operator(u).flatten(2), u.flatten(2) @ matrix.T)
    torch.testing.assert_close(operator.adjoint(v).flatten(2), v.flatten(2) @ matrix)


def test_reverse_mode(operator: RayTransform, matrix: Tensor) -> None:
    u, v = normal(2, 4, 5).requires_grad_(), normal(2, 3, 6).requires_grad_()
    (gradient,) = torch.autograd.grad(operator(u), u, v.detach())
    torch.testing.assert_close(gradient.flatten(1), v.detach().flatten(1) @ matrix)
    (gradient,) = torch.autograd.grad(operator.adjoint(v), v, u.detach())
    torch.testing.assert_close(gradient.flatten(1), u.detach().flatten(1) @ matrix.T)


def test_forward_mode(operator: RayTransform, matrix: Tensor) -> None:
    u, du, v, dv = normal(4, 5), normal(4, 5, seed=1), normal(3, 6), normal(3, 6, seed=1)
    pushed = push_forward(operator, u, du)
    torch.testing.assert_close(pushed.flatten(), matrix @ du.flatten())
    pushed = push_forward(operator.adjoint, v, dv)
    torch.testing.assert_close(pushed.flatten(), matrix.T @ dv.flatten())


def test_func_grad_and_hessian(operator: RayTransform, matrix: Tensor) -> None:
    y = normal(3, 6)

    def energy(u: Tensor) -> Tensor:
        return (operator(u) - y).square().sum() / 2

    u = normal(4, 5)
    expected = matrix.T @ (matrix @ u.flatten() - y.flatten())
    torch.testing.assert_close(torch.func.grad(energy)(u).flatten(), expected)
    by_rows = torch.func.jacrev(torch.func.grad(energy))(u).reshape(20, 20)
    torch.testing.assert_close(by_rows, matrix.T @ matrix)
    torch.testing.assert_close(
        push_forward(torch.func.grad(energy), u, y.new_ones(4, 5)).flatten(),
        (matrix.T @ matrix).sum(1),
    )


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own
def test_jacobians_and_hessians_of_either_mode(operator: RayTransform, matrix: Tensor) -> None:
    """T and T* are their own Jacobians; Σ(Tu)³/6 has the Hessian Tᵀ diag(Tu) T."""
    u, v = normal(4, 5), normal(3, 6)
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(jacobian(operator)(u).reshape(18, 20), matrix)
        torch.testing.assert_close(jacobian(operator.adjoint)(v).reshape(20, 18), matrix.T)
    hessian = torch.func.hessian(lambda u: operator(u).pow(3).sum() / 6)(u).reshape(20, 20)
    torch.testing.assert_close(hessian, matrix.T @ torch.diag(matrix @ u.flatten()) @ matrix)
    hessian = torch.func.hessian(lambda v: operator.adjoint(v).pow(3).sum() / 6)(v)
    expected = matrix @ torch.diag(matrix.T @ v.flatten()) @ matrix.T
    torch.testing.assert_close(hessian.reshape(18, 18), expected)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own
def test_dual_numbers_through_the_backward_pass(operator: RayTransform, matrix: Tensor) -> None:
    """Forward over reverse without torch.func: the tangent of T*(Tu)²/2 is T*(Tu·Tw)."""
    u, w = normal(4, 5).requires_grad_(), normal(4, 5, seed=1)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(u, w)
        (gradient,) = torch.autograd.grad(operator(dual).pow(3).sum() / 6, dual)
        tangent = forward_ad.unpack_dual(gradient).tangent
    expected = matrix.T @ ((matrix @ u.detach().flatten()) * (matrix @ w.flatten()))
    torch.testing.assert_close(tangent.flatten(), expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vmap_over_any_axis(operator: RayTransform, matrix: Tensor, axis: int) -> None:
    batch = normal(7, 4, 5)
    moved = batch.movedim(0, axis)
    values = torch.func.vmap(operator, in_dims=axis)(moved)
    torch.testing.assert_close(values.flatten(1), batch.flatten(1) @ matrix.T)
    nested = torch.func.vmap(torch.func.vmap(operator, in_dims=1), in_dims=0)
    torch.testing.assert_close(nested(normal(2, 4, 3, 5)).shape, torch.Size([2, 3, 3, 6]))


def test_vmap_of_grad_gives_one_gradient_per_sample(operator: RayTransform, matrix: Tensor) -> None:
    batch = normal(3, 4, 5)
    gradients = torch.func.vmap(torch.func.grad(lambda u: operator(u).square().sum()))(batch)
    torch.testing.assert_close(gradients.flatten(1), 2 * batch.flatten(1) @ matrix.T @ matrix)


def test_second_and_third_derivatives(operator: RayTransform, matrix: Tensor) -> None:
    """E(u) = Σ (Tu)³/6: ∇E = T*(Tu)²/2, E''w = T*(Tu·Tw), E'''(w, w) = T*(Tw)²."""
    u, w = normal(4, 5).requires_grad_(), normal(4, 5, seed=1)
    p, q = matrix @ u.detach().flatten(), matrix @ w.flatten()
    energy = operator(u).pow(3).sum() / 6
    (first,) = torch.autograd.grad(energy, u, create_graph=True)
    torch.testing.assert_close(first.flatten().detach(), matrix.T @ p.square() / 2)
    (second,) = torch.autograd.grad(first, u, w, create_graph=True)
    torch.testing.assert_close(second.flatten().detach(), matrix.T @ (p * q))
    (third,) = torch.autograd.grad(second, u, w)
    torch.testing.assert_close(third.flatten(), matrix.T @ q.square())


def test_gradcheck(operator: RayTransform) -> None:
    u, v = normal(2, 4, 5).requires_grad_(), normal(2, 3, 6).requires_grad_()
    assert torch.autograd.gradcheck(operator, (u,))
    assert torch.autograd.gradgradcheck(operator, (u,))
    assert torch.autograd.gradcheck(operator.adjoint, (v,))


def test_strided_arguments(operator: RayTransform, matrix: Tensor) -> None:
    turned = normal(5, 4).T
    assert not turned.is_contiguous()
    torch.testing.assert_close(operator(turned).flatten(), matrix @ turned.flatten())
    spread = normal(1, 1).expand(4, 5)
    torch.testing.assert_close(operator(spread).flatten(), matrix @ spread.flatten())
    negative = torch.complex(turned, turned).conj().imag
    assert negative.is_neg()
    torch.testing.assert_close(operator(negative).flatten(), -(matrix @ turned.flatten()))
    (gradient,) = torch.autograd.grad(operator(u := turned.clone().requires_grad_()).sum(), u)
    torch.testing.assert_close(gradient.flatten(), matrix.sum(0))


def test_no_graph_is_kept_where_none_is_asked_for(operator: RayTransform) -> None:
    assert not operator(normal(4, 5)).requires_grad
    with torch.no_grad():
        assert not operator(normal(4, 5).requires_grad_()).requires_grad


class Slices(SimpleNamespace):
    """Kernels of a scan in three dimensions that is a random matrix, for two angles of 2 × 3."""

    matrix = normal(12, 60, seed=5)

    def project(self, image: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
        data = image.detach().flatten(-3) @ (vectors.detach().sum() * self.matrix).T
        return data.unflatten(-1, (len(vectors), *sizes.detectors))

    def backproject(self, data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
        image = data.detach().flatten(-3) @ (vectors.detach().sum() * self.matrix)
        return image.unflatten(-1, sizes.shape)


def test_three_dimensions_share_the_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they need is a module with two kernels; one geometry or one for each sample."""
    monkeypatch.setitem(batched_kernels._MODULES, 3, Slices())
    sizes = Sizes(True, (2, 3), (3, 4, 5), (1.0, 1.0, 1.0))
    u, w = normal(2, 3, 4, 5).requires_grad_(), normal(2, 3, 4, 5, seed=1)
    for vectors in (normal(2, 12), normal(2, 2, 12)):
        scale = vectors.sum((-2, -1)).reshape(-1, 1)

        def energy(u: Tensor, vectors: Tensor = vectors) -> Tensor:
            return ray_forward(u, vectors, sizes).square().sum() / 2

        expected = scale**2 * (u.detach().flatten(1) @ Slices.matrix.T @ Slices.matrix)
        (gradient,) = torch.autograd.grad(energy(u), u)
        torch.testing.assert_close(gradient.flatten(1), expected)
        pushed = push_forward(partial(ray_forward, vectors=vectors, sizes=sizes), u.detach(), w)
        torch.testing.assert_close(pushed.flatten(1), scale * (w.flatten(1) @ Slices.matrix.T))
        compiled = torch.compile(energy, backend="aot_eager", fullgraph=True)
        (gradient,) = torch.autograd.grad(compiled(u), u)
        torch.testing.assert_close(gradient.flatten(1), expected)
    leaf = normal(2, 12).requires_grad_()
    with pytest.raises(GeometryError, match="two dimensions"):
        torch.autograd.grad(ray_forward(u, leaf, sizes).sum(), leaf)
