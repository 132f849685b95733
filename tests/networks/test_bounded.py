"""Convolutions with a bound of their norm: dense matrices, and the weight kept between calls."""

from __future__ import annotations

import copy
import math
import pickle
from typing import TYPE_CHECKING

import pytest
import torch
from tests.attack import push_apart, worst_ratio
from torch import Tensor, nn

from learnedrecon.errors import ConfigError
from learnedrecon.networks.bounded import BoundedConv, BoundedNetwork, KernelSpec, NearIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {1: (9,), 2: (5, 4), 3: (3, 4, 3)}
SPECS = [
    KernelSpec(),
    KernelSpec(5, 1),
    KernelSpec(3, 3),
    KernelSpec(3, 2, "circular"),
    KernelSpec(1, 2),
    KernelSpec(3, 2, bound="none"),
]


class One(BoundedNetwork):
    """A convolution alone."""

    def __init__(self, c_in: int, c_out: int, spec: KernelSpec | None = None) -> None:
        super().__init__()
        self.conv = BoundedConv(c_in, c_out, KernelSpec() if spec is None else spec)

    @property
    def ends(self) -> tuple[int, int]:
        return self.conv.weight.shape[1], self.conv.weight.shape[0]

    def forward(self, u: Tensor) -> Tensor:
        return self.conv(u)

    def lipschitz_bound(self) -> float:
        return self.conv.norm_bound()


def matrix(conv: BoundedConv, shape: tuple[int, ...]) -> Tensor:
    """Of the linear part, (in, out) on images of a shape."""
    c_in = conv.weight.shape[1]
    basis = torch.eye(c_in * math.prod(shape), dtype=conv.weight.dtype).reshape(-1, c_in, *shape)
    return (conv(basis) - conv(torch.zeros_like(basis))).flatten(1).detach()


def noisy(spec: KernelSpec, factor: float = 3.0) -> BoundedConv:
    conv = BoundedConv(3, 4, spec).double()
    with torch.no_grad():
        conv.weight.add_(torch.randn_like(conv.weight)).mul_(factor)
        conv.bias.add_(torch.randn_like(conv.bias))
    return conv


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_bound_is_above_the_norm_of_the_dense_matrix(spec: KernelSpec) -> None:
    conv = noisy(spec)
    exact = float(torch.linalg.matrix_norm(matrix(conv, SIZES[spec.dims]), 2))
    assert 0.5 * conv.norm_bound() < exact <= conv.norm_bound()
    if spec.bound == "layers":
        assert conv.norm_bound() <= 1 + 1e-12
    else:
        assert conv.norm_bound() > 2


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_weights_begin_orthogonal_and_not_larger_than_one(spec: KernelSpec) -> None:
    conv = BoundedConv(3, 4, spec)
    assert 0.8 < conv.norm_bound() <= 1 + 1e-6
    rows = conv.weight.detach().flatten(1)
    gram = rows @ rows.T
    shorter = gram if len(rows) <= rows.shape[1] else rows.T @ rows
    torch.testing.assert_close(shorter, shorter[0, 0] * torch.eye(len(shorter)))
    assert not bool(conv.bias.any())


def test_bound_or_none_begin_alike() -> None:
    weights = []
    for bound in ("layers", "none"):
        torch.manual_seed(4)
        conv = BoundedConv(3, 4, KernelSpec(bound=bound))
        weights.append(conv.bounded_weight().detach())
    torch.testing.assert_close(weights[0], weights[1])


def test_the_bound_is_part_of_the_graph() -> None:
    conv = noisy(KernelSpec())
    u = torch.randn(1, 3, 5, 4, dtype=torch.float64)

    def of(weight: Tensor) -> Tensor:
        return torch.func.functional_call(conv, {"weight": weight}, (u,))

    weight = conv.weight.detach().requires_grad_()
    assert torch.autograd.gradcheck(of, weight)
    torch.testing.assert_close(of(2 * weight), of(weight))


def test_wide_kernels_on_small_images() -> None:
    conv = BoundedConv(1, 2, KernelSpec(17)).double()
    assert 0 < conv.norm_bound() <= 1
    assert float(torch.linalg.matrix_norm(matrix(conv, (3, 4)), 2)) <= 1


def test_the_kept_weight_follows_the_weight() -> None:
    conv, u = BoundedConv(1, 4, KernelSpec()).eval(), torch.randn(1, 1, 9, 9)
    with torch.no_grad():
        before = conv(u)
        torch.testing.assert_close(conv(u), before, rtol=0, atol=0)
        conv.weight.add_(torch.randn_like(conv.weight))
        after = conv(u)
    torch.testing.assert_close(after, conv(u).detach(), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(after, before)
    conv.double()
    with torch.no_grad():
        wide = conv(u.double()).float()
    torch.testing.assert_close(wide, after, rtol=1e-4, atol=1e-5)


def test_writes_through_data_do_not_leave_an_old_bound_behind() -> None:
    conv, u = BoundedConv(1, 4, KernelSpec()), torch.randn(1, 1, 9, 9)
    with torch.no_grad():
        conv(u)
        conv.weight.data.add_(torch.randn_like(conv.weight))  # counts no version
        after = conv(u)
    torch.testing.assert_close(after, conv(u).detach())


def test_frozen_weights_after_inference_mode() -> None:
    conv, u = BoundedConv(1, 4, KernelSpec()).requires_grad_(False), torch.randn(1, 1, 8, 8)
    with torch.inference_mode():
        conv(u)
    conv(u.requires_grad_()).sum().backward()
    assert u.grad is not None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(copied: Callable[[BoundedConv], BoundedConv]) -> None:
    conv, u = BoundedConv(1, 4, KernelSpec()), torch.randn(1, 1, 9, 9)
    with torch.no_grad():
        expected = conv(u)
        twin = copied(conv)
        torch.testing.assert_close(twin(u), expected, rtol=0, atol=0)
        twin.weight.neg_()
        twin(u)
        torch.testing.assert_close(conv(u), expected, rtol=0, atol=0)


def test_a_float32_epsilon_is_no_larger_than_its_bound() -> None:
    """0.99 in float32 is 0.99 + 9.5e-9, and a layer may attain its bound."""
    one = One(1, 1, KernelSpec(kernel=1))
    net = NearIdentity(one, 0.99)
    u = torch.ones(1, 1, 1, 1, dtype=torch.float32)
    with torch.no_grad():
        used = float((net.epsilon * u).double() * one.conv.bounded_weight().double().abs())
    assert used <= net.deviation_bound()


def test_near_identity_deviates_by_at_most_epsilon() -> None:
    net = NearIdentity(One(1, 1), 0.3).double()

    class Deviation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, u: Tensor) -> Tensor:
            return self.net(u) - u

    push_apart(Deviation(), (1, 9, 9))
    assert 0.2 < worst_ratio(Deviation(), (1, 9, 9)) <= net.deviation_bound() <= 0.3001


def test_complex_channels_are_pairs_of_real_ones() -> None:
    net = NearIdentity(One(4, 4), 0.7).double()
    u = torch.randn(2, 2, 5, 4, dtype=torch.complex128)
    real = net(torch.cat([u.real, u.imag], dim=1))
    torch.testing.assert_close(net(u), torch.complex(real[:, :2], real[:, 2:]))


@pytest.mark.parametrize(
    "values",
    [
        {"kernel": 2},
        {"kernel": 0},
        {"dims": 4},
        {"dims": 0},
        {"padding": "reflect"},
        {"bound": "all"},
    ],
    ids=str,
)
def test_kernels_out_of_range(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"Expected.*{next(iter(values))}"):
        KernelSpec(**values)  # type: ignore[arg-type]


def test_near_identity_refuses_what_it_cannot_subtract() -> None:
    for network, epsilon in ((One(1, 2), 0.1), (One(1, 1), -0.1)):
        with pytest.raises(ConfigError, match="epsilon >= 0"):
            NearIdentity(network, epsilon)
