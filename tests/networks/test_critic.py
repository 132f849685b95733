"""The gradient penalty of a critic: closed forms and finite differences."""

from __future__ import annotations

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import ConfigError
from learnedrecon.networks.critic import Critic, gradient_penalty

SHARES = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)


class Linear(nn.Module):
    """R(u) = ⟨a, u⟩."""

    def __init__(self, size: float) -> None:
        super().__init__()
        a = normal(1, 4, 5, seed=9)
        self.a = nn.Parameter(size * a / a.norm())

    def forward(self, u: Tensor) -> Tensor:
        return (self.a * u).flatten(1).sum(1)


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_a_linear_critic_has_the_penalty_of_its_norm(size: float) -> None:
    """(‖a‖ - 1)₊², with the gradient 2(‖a‖ - 1)₊ a/‖a‖."""
    critic = Linear(size)
    found = gradient_penalty(critic, normal(3, 1, 4, 5), normal(3, 1, 4, 5, seed=1), SHARES)
    torch.testing.assert_close(found, torch.full_like(found, max(size - 1, 0) ** 2))
    found[0].backward()
    assert critic.a.grad is not None
    expected = 2 * max(size - 1, 0) * critic.a.detach() / size
    torch.testing.assert_close(critic.a.grad, expected, atol=1e-12, rtol=1e-9)


def test_the_penalty_is_that_of_a_gradient_by_finite_differences() -> None:
    torch.manual_seed(0)
    critic = Critic(hidden=(3, 4)).double()
    with torch.no_grad():
        critic.last.weight.mul_(300)
    one, other = normal(3, 1, 4, 5), normal(3, 1, 4, 5, seed=1)
    x = SHARES[:, None, None, None] * one + (1 - SHARES[:, None, None, None]) * other
    h = 1e-5
    slopes = []
    for k in range(20):
        e = torch.zeros(20, dtype=torch.float64)
        e[k] = h
        moved = e.reshape(1, 1, 4, 5)
        with torch.no_grad():
            slopes.append((critic(x + moved) - critic(x - moved)) / (2 * h))
    norms = torch.stack(slopes).norm(dim=0)
    assert float(norms.min()) > 1
    found = gradient_penalty(critic, one, other, SHARES)
    torch.testing.assert_close(found, (norms - 1).square(), rtol=1e-6, atol=0)


def test_the_gradient_of_the_penalty_in_the_weights_by_finite_differences() -> None:
    torch.manual_seed(0)
    critic = Critic(hidden=(2, 3)).double()
    with torch.no_grad():
        critic.last.weight.mul_(300)
    one, other = normal(3, 1, 4, 5), normal(3, 1, 4, 5, seed=1)
    weights = list(critic.parameters())[:-1]
    slopes = torch.autograd.grad(
        gradient_penalty(critic, one, other, SHARES).sum(), weights, allow_unused=True
    )
    for weight, slope in zip(weights, slopes, strict=True):
        assert slope is not None
        direction = normal(*weight.shape, seed=4)
        values = []
        for h in (1e-6, -1e-6):
            with torch.no_grad():
                weight.add_(h * direction)
            values.append(float(gradient_penalty(critic, one, other, SHARES).sum().detach()))
            with torch.no_grad():
                weight.sub_(h * direction)
        numeric = (values[0] - values[1]) / 2e-6
        assert float((slope * direction).sum()) == pytest.approx(numeric, rel=1e-5)


def test_images_of_every_size_and_complex_ones() -> None:
    critic = Critic(2)
    assert critic(torch.ones(3, 2, 9, 12)).shape == (3,)
    z = torch.randn(3, 1, 8, 8, dtype=torch.complex64)
    assert torch.equal(critic(z), critic(torch.cat([z.real, z.imag], dim=1)))
    with pytest.raises(ConfigError, match="at least one channel"):
        Critic(hidden=())


def test_a_unit_scales_images_and_values_alike_and_keeps_the_slopes() -> None:
    """R_s(su) = s R_1(u), so that ∇R_s(su) = ∇R_1(u)."""
    torch.manual_seed(0)
    plain, small = Critic(hidden=(2, 3)).double(), Critic(hidden=(2, 3), unit=0.01).double()
    small.load_state_dict(plain.state_dict())
    u = normal(3, 1, 6, 5)
    torch.testing.assert_close(small(0.01 * u), 0.01 * plain(u))
    slopes: list[Tensor] = []
    for critic, factor in ((plain, 1.0), (small, 0.01)):
        x = (factor * u).requires_grad_()
        slopes += torch.autograd.grad(critic(x).sum(), x)
    torch.testing.assert_close(*slopes)


def test_a_small_unit_tells_images_apart_by_noise_of_mean_zero() -> None:
    """The mean over two signs of the noise of R(u + n) - R(u): small for a linear R."""
    torch.manual_seed(0)
    plain, small = Critic(hidden=(8, 16)).double(), Critic(hidden=(8, 16), unit=0.05).double()
    small.load_state_dict(plain.state_dict())
    u, n = 0.2 * torch.ones(1, 1, 16, 16, dtype=torch.float64), 0.07 * normal(1, 1, 16, 16)

    def even(critic: Critic) -> float:
        return float((critic(u + n) + critic(u - n) - 2 * critic(u)).detach().abs())

    assert even(small) > 4 * even(plain)
