"""The ray transform under torch.compile: values, and how often it is compiled."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad

from learnedrecon.models.learned_primal_dual import PrimalDual, PrimalDualStep
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.schemes.step import Chain
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.ray.geometry2d import Geometry

SCANS: dict[str, Geometry] = {
    "parallel": ParallelBeam((4, 5), AngleRange(3), FlatDetector(6)),
    "fan": FanBeam((4, 5), AngleRange(3, arc=6.28), FlatDetector(6, 1.5), 12.0, 3.0),
}


pytestmark = pytest.mark.usefixtures("fresh_compiler")


@pytest.fixture(params=SCANS)
def operator(request: pytest.FixtureRequest) -> RayTransform:
    return RayTransform(SCANS[request.param], torch.float64)


@pytest.fixture
def matrix(operator: RayTransform) -> Tensor:
    return dense_matrix(operator)


def turned(k: int) -> ParallelBeam:
    """The k-th of many scans of the same sizes: other angles, pitch and offset."""
    angles = tuple(0.1 * k + i for i in range(3))
    return ParallelBeam((4, 5), angles, FlatDetector(6, 1 + 0.05 * k, 0.1 * k))


def check_gradients(compile_: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]) -> None:
    """∇½‖Tu‖² = T*Tu and ∇½‖T*v‖² = TT*v, both with a graph that T and T* appear in twice."""
    for geometry in SCANS.values():
        operator = RayTransform(geometry, torch.float64)
        matrix = dense_matrix(operator)
        forward = compile_(lambda u, t=operator: t.adjoint(t(u)))
        back = compile_(lambda v, t=operator: t(t.adjoint(v)))
        u, v = normal(2, 4, 5).requires_grad_(), normal(2, 3, 6).requires_grad_()
        for function, at, square in ((forward, u, matrix.T @ matrix), (back, v, matrix @ matrix.T)):
            value = function(at)
            torch.testing.assert_close(value.flatten(1), at.flatten(1) @ square)
            (gradient,) = torch.autograd.grad(value.square().sum() / 2, at)
            torch.testing.assert_close(gradient.flatten(1), at.flatten(1) @ square @ square)


def test_values_and_gradients_of_the_whole_graph() -> None:
    check_gradients(lambda f: torch.compile(f, backend="aot_eager", fullgraph=True))


@pytest.mark.slow
def test_values_and_gradients_by_inductor() -> None:
    check_gradients(lambda f: torch.compile(f, fullgraph=True))


def test_the_operators_keep_the_contract_of_torch_library(operator: RayTransform) -> None:
    u, v = normal(2, 4, 5).requires_grad_(), normal(2, 3, 6).requires_grad_()
    ops = torch.ops.learnedrecon
    torch.library.opcheck(ops.ray_forward.default, (u, operator.vectors, *operator.sizes))
    torch.library.opcheck(ops.ray_adjoint.default, (v, operator.vectors, *operator.sizes))
    own = operator.vectors.expand(2, 3, 6).clone().requires_grad_()
    torch.library.opcheck(ops.ray_forward.default, (u, own, *operator.sizes))
    torch.library.opcheck(ops.ray_adjoint.default, (v, own, *operator.sizes))
    both = (u.detach(), v.detach(), operator.vectors, *operator.sizes)
    torch.library.opcheck(ops.ray_gradient.default, both)
    direction = (u.detach(), operator.vectors, normal(3, 6), *operator.sizes)
    torch.library.opcheck(ops.ray_tangent.default, direction)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_operators_have_a_vmap(operator: RayTransform, matrix: Tensor, axis: int) -> None:
    batch = normal(7, 4, 5)

    def bare(u: Tensor) -> Tensor:
        return torch.ops.learnedrecon.ray_forward(u, operator.vectors, *operator.sizes)

    values = torch.func.vmap(bare, in_dims=axis)(batch.movedim(0, axis))
    torch.testing.assert_close(values.flatten(1), batch.flatten(1) @ matrix.T)


def test_transforms_inside_leave_the_compiled_code(operator: RayTransform, matrix: Tensor) -> None:
    """The bare operators have no tangents (zeros), so none may be used there."""
    u, du = normal(4, 5), normal(4, 5, seed=1)

    def derivative(u: Tensor) -> Tensor:
        return torch.func.jvp(operator, (u,), (du,))[1]

    def gradient(u: Tensor) -> Tensor:
        return torch.func.grad(lambda w: operator(w).square().sum() / 2)(u)

    pushed = torch.compile(derivative, backend="aot_eager")(u)
    torch.testing.assert_close(pushed.flatten(), matrix @ du.flatten())
    pulled = torch.compile(gradient, backend="aot_eager")(u)
    torch.testing.assert_close(pulled.flatten(), matrix.T @ matrix @ u.flatten())
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="disable"):
        torch.compile(derivative, backend="aot_eager", fullgraph=True)(u)


def test_dual_numbers_leave_the_compiled_code(operator: RayTransform, matrix: Tensor) -> None:
    u, du = normal(4, 5), normal(4, 5, seed=1)
    compiled = torch.compile(operator, backend="aot_eager")
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(compiled(forward_ad.make_dual(u, du))).tangent
    torch.testing.assert_close(tangent.flatten(), matrix @ du.flatten())


def test_importing_it_imports_no_compiler() -> None:
    name = "learnedrecon.operators.ray.autograd"
    program = f"import sys, {name}; sys.exit('torch._dynamo' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def test_another_geometry_of_the_same_sizes_is_not_compiled_again() -> None:
    counter = CompileCounterWithBackend("aot_eager")

    def energy(operator: RayTransform, u: Tensor) -> Tensor:
        return operator(u).square().sum() / 2

    compiled = torch.compile(energy, backend=counter, fullgraph=True)
    for k in range(5):
        operator, u = RayTransform(turned(k), torch.float64), normal(4, 5, seed=k).requires_grad_()
        (gradient,) = torch.autograd.grad(compiled(operator, u), u)
        matrix = dense_matrix(operator)
        torch.testing.assert_close(gradient.flatten(), matrix.T @ matrix @ u.detach().flatten())
    assert counter.frame_count == 1


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_the_gradient_in_the_geometry() -> None:
    """Compiled once for all offsets, and equal to that of eager mode."""
    counter = CompileCounterWithBackend("aot_eager")

    def energy(operator: RayTransform, u: Tensor, v: Tensor) -> Tensor:
        return (operator(u) * v).sum() + (operator.adjoint(v) * u).square().sum()

    compiled = torch.compile(energy, backend=counter, fullgraph=True)
    u, v = normal(2, 4, 5).requires_grad_(), normal(2, 3, 6)
    for k in range(5):
        offset = torch.tensor(0.3 * k, dtype=torch.float64, requires_grad=True)
        operator = RayTransform(turned(k)).with_tensors({"axis_offset": offset})
        found = torch.autograd.grad(compiled(operator, u, v), (u, offset), retain_graph=True)
        expected = torch.autograd.grad(energy(operator, u, v), (u, offset))
        torch.testing.assert_close(found, expected)
    assert counter.frame_count == 1


def scheme() -> Chain[PrimalDual]:
    torch.manual_seed(0)

    def network(inputs: int) -> nn.Module:
        return nn.Conv2d(inputs, 2, 3, padding=1)

    return Chain([PrimalDualStep(network(4), network(3)) for _ in range(2)])


@pytest.mark.parametrize("scaled", [False, True])
def test_a_compiled_scheme_serves_a_new_operator_in_every_batch(scaled: bool) -> None:
    """Values and gradients of every weight equal those of eager mode.

    The scale 1/‖T‖ is a number, which torch makes a variable when it sees the second one.
    """
    counter = CompileCounterWithBackend("aot_eager")
    plain = scheme()
    compiled = torch.compile(plain, backend=counter, fullgraph=True)
    counts = []
    for k in range(5):
        generator = torch.Generator().manual_seed(k)
        data = torch.randn(2, 1, 3, 6, generator=generator)
        measured = InverseProblem(RayTransform(turned(k)), data)
        problem = ImageScale(1.0)(measured)[0] if scaled else measured
        start = PrimalDual(torch.zeros(2, 2, 4, 5), torch.zeros(2, 2, 3, 6))
        gradients = []
        for run in (plain, compiled):
            loss = run(start, problem).primal.square().sum()
            gradients.append(torch.autograd.grad(loss, list(plain.parameters())))
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)
        counts.append(counter.frame_count)
    assert counts == ([1, 2, 2, 2, 2] if scaled else [1] * 5)
