"""Derivatives of Cartesian MRI in images, data and maps, under vmap and when compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.helpers import complex_normal as random
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator

Z = torch.complex128
SHAPE, GRID, COILS = (4, 5), (6, 5), 2


pytestmark = pytest.mark.usefixtures("fresh_compiler")


def lines(*lead: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand((*lead, 1, GRID[1]), generator=generator) < 0.4
    mask[..., 2] = True
    return mask


SPECS = {"one coil": Cartesian(SHAPE, encoded=GRID), "SENSE": Cartesian(SHAPE, COILS, GRID)}
MASKS = {
    "lines": lines(),
    "points": torch.rand(GRID, generator=torch.Generator().manual_seed(1)) < 0.5,
    "lines per sample": lines(3, 1),
}


def operator_of(name: str, mask: str, maps: Tensor | None = None) -> CartesianMRI:
    """One of the table; per-sample masks with the axis of coils where there is one."""
    spec, chosen = SPECS[name], MASKS[mask]
    if spec.coils is None:
        return CartesianMRI(spec, dtype=Z).with_tensors({"mask": chosen})
    chosen = chosen if chosen.ndim == 2 else chosen.unsqueeze(-3)
    maps = random(COILS, *SHAPE, seed=3) if maps is None else maps
    return CartesianMRI(spec, dtype=Z).with_tensors({"mask": chosen, "maps": maps})


@pytest.mark.parametrize("rows", [None, [4, 0, 2]])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("lead", [(), (3, 1)])
def test_gradients_in_the_maps(mask: str, lead: tuple[int, ...], rows: list[int] | None) -> None:
    """First and second derivatives, both modes, together with those in images and data."""

    def operator(maps: Tensor) -> LinearOperator:
        found = operator_of("SENSE", mask, maps)
        return found if rows is None else found.subset(rows)

    maps = random(*lead, COILS, *SHAPE, seed=1).requires_grad_()
    u = random(3, 1, *SHAPE, seed=2).requires_grad_()
    v = random(3, 1, *operator(maps).codomain.shape, seed=3).requires_grad_()
    for act, x in ((lambda m, x: operator(m)(x), u), (lambda m, x: operator(m).adjoint(x), v)):
        assert torch.autograd.gradcheck(act, (maps, x), check_forward_ad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(act, (maps, x), fast_mode=True)


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_in_the_maps_are_central_differences(mask: str) -> None:
    """Of ‖A_S u - y‖² along a direction, without autograd's own checks."""
    maps, direction = random(COILS, *SHAPE, seed=1), random(COILS, *SHAPE, seed=5)
    u, y = random(3, 1, *SHAPE, seed=2), random(3, 1, COILS, *GRID, seed=3)

    def loss(own: Tensor) -> Tensor:
        return (operator_of("SENSE", mask, own)(u) - y).abs().square().sum()

    leaf = maps.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    h = 1e-5
    quotient = (loss(maps + h * direction) - loss(maps - h * direction)) / (2 * h)
    found = (gradient.conj() * direction).sum().real
    assert float(abs(found - quotient)) < 1e-8 * float(abs(quotient))


def test_maps_may_be_made_by_a_network() -> None:
    weight = torch.randn(COILS, dtype=torch.float64, requires_grad=True)
    maps = weight.reshape(-1, 1, 1) * random(COILS, *SHAPE, seed=1)
    operator = operator_of("SENSE", "lines", maps)
    operator.adjoint(operator(random(1, 1, *SHAPE))).abs().sum().backward()
    assert weight.grad is not None
    assert bool((weight.grad != 0).all())


def test_the_backward_pass_stores_no_coil_images() -> None:
    operator = CartesianMRI(Cartesian((32, 32), 8), lines_of(32), random(8, 32, 32))
    u = random(1, 1, 32, 32).requires_grad_()
    stored: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        own = {t.untyped_storage().data_ptr() for t in operator.buffers()}
        if tensor.untyped_storage().data_ptr() not in own:
            stored.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        operator.adjoint(operator(u)).abs().square().sum().backward()
    assert max(stored) <= 32 * 32  # an image, for the square, and never eight of them


def lines_of(n: int) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(1)) < 0.3


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", SPECS)
def test_transforms_of_torch_func(name: str, mask: str) -> None:
    operator = operator_of(name, mask)
    u = random(6, 3, 1, *SHAPE)
    stacked = torch.stack([operator(one) for one in u])
    assert torch.allclose(torch.func.vmap(operator)(u), stacked, rtol=0, atol=1e-13)
    moved = torch.func.vmap(operator, in_dims=2)(u.movedim(0, 2))
    assert torch.allclose(moved, stacked, rtol=0, atol=1e-13)
    back = torch.stack([operator.adjoint(one) for one in stacked])
    assert torch.allclose(torch.func.vmap(operator.adjoint)(stacked), back, rtol=0, atol=1e-13)

    def energy(x: Tensor) -> Tensor:
        return 0.5 * operator(x).abs().square().sum()

    gradient = torch.func.grad(energy)(u[0])
    assert torch.allclose(gradient, operator.adjoint(operator(u[0])), rtol=0, atol=1e-13)
    many = torch.func.vmap(torch.func.grad(energy))(u)
    assert torch.allclose(many[0], gradient, rtol=0, atol=1e-13)
    push = torch.func.jvp(torch.func.grad(energy), (u[0],), (u[1],))[1]
    assert torch.allclose(push, operator.adjoint(operator(u[1])), rtol=0, atol=1e-13)


def test_masks_and_maps_may_be_mapped_over() -> None:
    masks = torch.stack([lines(seed=k) for k in range(4)])
    maps, u = random(4, COILS, *SHAPE, seed=1), random(4, 1, 1, *SHAPE, seed=2)
    shared = operator_of("SENSE", "lines")

    def act(mask: Tensor, own: Tensor, x: Tensor) -> Tensor:
        return shared.with_tensors({"mask": mask, "maps": own})(x)

    found = torch.func.vmap(act)(masks, maps, u)
    expected = torch.stack([act(*one) for one in zip(masks, maps, u, strict=True)])
    assert torch.allclose(found, expected, rtol=0, atol=1e-13)
    gradient = torch.func.grad(lambda own: act(masks[0], own, u[0]).abs().square().sum())(maps[0])
    leaf = maps[0].clone().requires_grad_()
    act(masks[0], leaf, u[0]).abs().square().sum().backward()
    assert leaf.grad is not None
    assert torch.allclose(gradient, leaf.grad, rtol=0, atol=1e-13)


def weighted(operator: Any, u: Tensor, maps: Tensor) -> Tensor:
    operator = operator.with_tensors({"maps": maps}) if operator.scan.coils else operator
    return operator.adjoint(operator(u)).abs().square().sum()


@pytest.mark.parametrize("rows", [None, [4, 0, 2]])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", SPECS)
def test_one_graph_when_compiled(name: str, mask: str, rows: list[int] | None) -> None:
    operator: Any = operator_of(name, mask)
    operator = operator if rows is None else operator.subset(rows)
    compiled = torch.compile(weighted, backend="aot_eager", fullgraph=True)
    maps, u = (random(COILS, *SHAPE, seed=4), random(3, 1, *SHAPE, seed=5))
    results = []
    for act in (weighted, compiled):
        leaves = [u.clone().requires_grad_(), maps.clone().requires_grad_()]
        value = act(operator, *leaves)
        value.backward()
        results.append([value, *[leaf.grad for leaf in leaves if leaf.grad is not None]])
    assert len(results[0]) == len(results[1]) == (2 if name == "one coil" else 3)
    for eager, other in zip(*results, strict=True):
        assert torch.allclose(eager, other, rtol=1e-12, atol=1e-12)


def test_a_new_operator_per_batch_is_not_compiled_again() -> None:
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda operator, u: operator.adjoint(operator(u)), backend=counter)
    shared = operator_of("SENSE", "lines per sample")
    for k in range(5):
        tensors = {"mask": lines(3, 1, 1, seed=k), "maps": random(3, 1, COILS, *SHAPE, seed=k)}
        operator, u = shared.with_tensors(tensors), random(3, 1, *SHAPE, seed=k)
        expected = operator.adjoint(operator(u))
        assert torch.allclose(compiled(operator, u), expected, rtol=0, atol=1e-12)
    assert counter.frame_count == 1
