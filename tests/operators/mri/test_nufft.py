"""The transform and its derivatives against explicit sums of exponentials."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers import complex_normal as random
from torch import Tensor

from learnedrecon.operators.mri.nufft import nufft, nufft_adjoint
from learnedrecon.testing.numbers import push_forward

# The first forward-mode derivative imports decompositions that warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

SHAPES = [(4, 5), (3, 2, 4)]


def frequencies(*shape: int, seed: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, dtype=torch.float64, generator=generator) - 0.5) * 2 * math.pi


def exponentials(points: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(..., number, pixels), differentiable in the points."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in shape]
    pixels = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(shape))
    return torch.exp(-1j * (points @ pixels.T)) / math.sqrt(math.prod(shape))


def by_sums(image: Tensor, points: Tensor, shape: tuple[int, ...]) -> Tensor:
    flat = image.flatten(-len(shape))
    return (exponentials(points, shape) @ flat[..., None])[..., 0]


def by_sums_adjoint(data: Tensor, points: Tensor, shape: tuple[int, ...]) -> Tensor:
    matrix = exponentials(points, shape)
    return (matrix.mH @ data[..., None])[..., 0].unflatten(-1, shape)


@pytest.mark.parametrize(("dtype", "within"), [(torch.complex64, 3e-6), (torch.complex128, 1e-11)])
@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape: tuple[int, ...], dtype: torch.dtype, within: float) -> None:
    k, u, v = frequencies(20, len(shape)), random(2, 3, *shape), random(2, 3, 20)
    pairs = (
        (nufft(u.to(dtype), k, shape), by_sums(u, k, shape)),
        (nufft_adjoint(v.to(dtype), k, shape), by_sums_adjoint(v, k, shape)),
    )
    for found, expected in pairs:
        assert found.dtype == dtype
        assert found.shape == expected.shape
        assert (found - expected).norm() <= within * expected.norm()


@pytest.mark.parametrize("size", [(64, 60), (16, 17, 18)])
def test_adjoint_to_rounding_whatever_the_accuracy_of_the_sums(size: tuple[int, ...]) -> None:
    k = frequencies(500, len(size))
    for dtype, within in ((torch.complex64, 1e-6), (torch.complex128, 1e-14)):
        u, v = random(*size, dtype=dtype), random(500, seed=1, dtype=dtype)
        forward, backward = nufft(u, k, size), nufft_adjoint(v, k, size)
        gap = (forward.conj() * v).sum() - (u.conj() * backward).sum()
        assert abs(gap) <= within * forward.norm() * v.norm()


LEADS = [
    ((), ()),
    ((3,), ()),
    ((2, 1), (2, 1)),
    ((2, 3), (2, 1)),
    ((2, 3), (1, 3)),
    ((2, 3), (2, 3)),
    ((2, 3, 2), (2, 1, 2)),
    ((), (4,)),
    ((1, 3), (2, 1)),
]


@pytest.mark.parametrize(("lead", "own"), LEADS)
def test_leading_axes_broadcast(lead: tuple[int, ...], own: tuple[int, ...]) -> None:
    shape = (4, 3)
    k, u, v = frequencies(*own, 7, 2), random(*lead, *shape), random(*lead, 7)
    torch.testing.assert_close(nufft(u, k, shape), by_sums(u, k, shape))
    torch.testing.assert_close(nufft_adjoint(v, k, shape), by_sums_adjoint(v, k, shape))


@pytest.mark.parametrize(("lead", "own"), LEADS)
def test_first_derivatives(lead: tuple[int, ...], own: tuple[int, ...]) -> None:
    shape = (4, 3)
    k = frequencies(*own, 7, 2).requires_grad_()
    u, v = random(*lead, *shape).requires_grad_(), random(*lead, 7).requires_grad_()
    for mine, sums, x in ((nufft, by_sums, u), (nufft_adjoint, by_sums_adjoint, v)):
        value = mine(x, k, shape)
        other = random(*value.shape, seed=3)
        found = torch.autograd.grad(value, (x, k), other)
        expected = torch.autograd.grad(sums(x, k, shape), (x, k), other)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("transform", [nufft, nufft_adjoint])
def test_differences_agree_with_all_derivatives(transform: object) -> None:
    assert callable(transform)
    shape, k = (3, 2), frequencies(4, 2).requires_grad_()
    x = (random(2, 3, 2) if transform is nufft else random(2, 4)).requires_grad_()

    def action(x: Tensor, k: Tensor) -> Tensor:
        return transform(x, k, shape)

    assert torch.autograd.gradcheck(action, (x, k), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(action, (x, k))


def test_second_derivatives_in_the_points_are_those_of_the_sums() -> None:
    shape, k, u, v = (4, 3), frequencies(5, 2), random(4, 3), random(5)

    def curvature(transform: object) -> Tensor:
        assert callable(transform)
        return torch.autograd.functional.hessian(
            lambda k: ((transform(u, k, shape) - v).abs() ** 2).sum(), k
        )

    torch.testing.assert_close(curvature(nufft), curvature(by_sums))


def test_forward_mode() -> None:
    shape, k, u = (4, 3), frequencies(5, 2), random(2, 4, 3)
    dk, du = random(5, 2, dtype=torch.float64), random(2, 4, 3, seed=4)
    expected = push_forward(lambda k: by_sums(u, k, shape), k, dk)
    torch.testing.assert_close(push_forward(lambda k: nufft(u, k, shape), k, dk), expected)
    found = push_forward(lambda u: nufft(u, k, shape), u, du)
    torch.testing.assert_close(found, by_sums(du, k, shape))


def test_transforms_of_functions() -> None:
    """vmap over images, over points, over both; grad inside of vmap."""
    shape, k, u = (4, 3), frequencies(3, 5, 2), random(3, 2, 4, 3)
    alone = torch.vmap(lambda u: nufft(u, k[0], shape))(u)
    torch.testing.assert_close(alone, by_sums(u, k[0], shape))
    moving = torch.vmap(lambda k: nufft(u, k, shape))(k)
    torch.testing.assert_close(moving, by_sums(u, k[:, None, None], shape))
    both = torch.vmap(lambda u, k: nufft(u, k, shape), in_dims=(1, 0))(u.transpose(0, 1), k)
    torch.testing.assert_close(both, by_sums(u, k[:, None], shape))

    def energy(k: Tensor, u: Tensor) -> Tensor:
        return (nufft(u, k, shape).abs() ** 2).sum()

    slopes = torch.vmap(torch.func.grad(energy))(k, u)
    one = k.clone().requires_grad_()
    sums = (by_sums(u, one[:, None], shape).abs() ** 2).sum()
    torch.testing.assert_close(slopes, torch.autograd.grad(sums, one)[0])


def test_nothing_of_an_empty_batch() -> None:
    k = frequencies(5, 2)
    assert nufft(random(0, 4, 3), k, (4, 3)).shape == (0, 5)
    assert nufft_adjoint(random(2, 0, 5), k, (4, 3)).shape == (2, 0, 4, 3)


def test_conjugate_views_and_strides_are_read_right() -> None:
    k, u = frequencies(5, 2), random(3, 4)
    turned = u.T.conj()
    torch.testing.assert_close(nufft(turned, k, (4, 3)), by_sums(turned, k, (4, 3)))
