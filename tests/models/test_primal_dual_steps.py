"""Primal-dual steps with networks that are matrices over channels: a step is linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.helpers import normal
from torch import nn

from learnedrecon.models.filtered_primal_dual import FilteredPrimalDualStep
from learnedrecon.models.learned_primal_dual import PrimalDual, PrimalDualStep
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import check_step, dense_matrix

Array: TypeAlias = NDArray[np.float64]
AnyStep: TypeAlias = PrimalDualStep | FilteredPrimalDualStep
Maker: TypeAlias = Callable[[], AnyStep]

GEOMETRY = ParallelBeam((6, 5), (0.2, 0.9, 2.0, 2.6), FlatDetector(9, 1.1, 0.4), (0.9, 1.2))
RAY = RayTransform(GEOMETRY, torch.float64)
P: Array = dense_matrix(RAY).numpy()
MU = 0.1
PHOTONS = TransmissionCT(Transmission(GEOMETRY, MU), torch.float64)
PRIMAL, DUAL = 3, 2


class Mix(nn.Module):
    """Channels times a matrix."""

    def __init__(self, rows: int, columns: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        matrix = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        self.matrix = nn.Parameter(0.3 * matrix)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ij,bj...->bi...", self.matrix, u)

    def by_hand(self, u: Array) -> Array:
        return np.tensordot(self.matrix.detach().numpy(), u, 1)


def start() -> PrimalDual:
    return PrimalDual(normal(2, PRIMAL, 6, 5, seed=1), normal(2, DUAL, 4, 9, seed=2))


def plain() -> PrimalDualStep:
    return PrimalDualStep(Mix(DUAL, DUAL + 2, seed=3), Mix(PRIMAL, PRIMAL + 1, seed=4))


def filtered() -> FilteredPrimalDualStep:
    return FilteredPrimalDualStep(Mix(DUAL, DUAL + 2, seed=3), Mix(PRIMAL, PRIMAL + 3, seed=4))


def linear() -> InverseProblem:
    return InverseProblem(RAY, normal(2, 1, 4, 9, seed=5))


def photons() -> InverseProblem:
    return InverseProblem(PHOTONS, normal(2, 1, 4, 9, seed=5).sigmoid())


def forward(u: Array, *, nonlinear: bool) -> Array:
    lines = (P @ u.ravel()).reshape(4, 9)
    return np.exp(-MU * lines) if nonlinear else lines


def adjoint(v: Array, at: Array, *, nonlinear: bool) -> Array:
    w = -MU * forward(at, nonlinear=True) * v if nonlinear else v
    return (P.T @ w.ravel()).reshape(6, 5)


def by_hand(step: AnyStep, u: Array, h: Array, y: Array, *, nonlinear: bool) -> tuple[Array, Array]:
    first, second = step.dual_network, step.primal_network
    assert isinstance(first, Mix)
    assert isinstance(second, Mix)
    through = u[1] if isinstance(step, PrimalDualStep) else u[0]
    prediction = forward(through, nonlinear=nonlinear)
    h = h + first.by_hand(np.stack([*h, prediction, y]))
    seen = [h[0]]
    if isinstance(step, FilteredPrimalDualStep):
        residual = y - prediction
        taps = [[0.25 if i == j else _odd(i - j) for j in range(9)] for i in range(9)]
        seen += [residual, 2 * 9 * residual @ np.array(taps)]
    backs = [adjoint(v, u[0], nonlinear=nonlinear) for v in seen]
    return u + second.by_hand(np.stack([*u, *backs])), h


def _odd(k: int) -> float:
    return -1 / (np.pi * k) ** 2 if k % 2 else 0.0


@pytest.mark.parametrize("make", [plain, filtered])
@pytest.mark.parametrize("nonlinear", [False, True])
def test_one_step(make: Maker, nonlinear: bool) -> None:
    step, state = make(), start()
    problem = photons() if nonlinear else linear()
    found = step(state, problem)
    assert type(found) is PrimalDual
    for k in range(2):
        u, h, y = (t[k].numpy() for t in (*state, problem.data))
        primal, dual = by_hand(step, u, h, y[0], nonlinear=nonlinear)
        np.testing.assert_allclose(found.dual[k].detach(), dual, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.primal[k].detach(), primal, rtol=0, atol=1e-10)


def changed(step: nn.Module, problem: InverseProblem, part: str, channel: int) -> tuple[bool, bool]:
    """Whether the increments of u and h change with one channel of the state."""
    state = start()
    other = state._replace(**{part: getattr(state, part).clone()})
    getattr(other, part)[:, channel] += 1
    differences = []
    for a, b, before, after in zip(
        step(state, problem), step(other, problem), state, other, strict=True
    ):
        differences.append(not torch.allclose(a - before, b - after, atol=1e-12))
    return differences[0], differences[1]


def only_from(columns: int, rows: int, column: int) -> Mix:
    """A network that sees one of its channels."""
    mix = Mix(rows, columns)
    with torch.no_grad():
        mix.matrix.zero_()[:, column] = 1
    return mix


@pytest.mark.parametrize("problem", [linear(), photons()])
def test_the_second_channel_goes_through_t(problem: InverseProblem) -> None:
    step = PrimalDualStep(only_from(DUAL + 2, DUAL, DUAL), only_from(PRIMAL + 1, PRIMAL, 0))
    for channel in range(PRIMAL):
        assert changed(step, problem, "primal", channel)[1] == (channel == 1)


def test_the_filtered_step_takes_the_first() -> None:
    step = FilteredPrimalDualStep(only_from(DUAL + 2, DUAL, DUAL), only_from(PRIMAL + 3, PRIMAL, 0))
    for channel in range(PRIMAL):
        assert changed(step, linear(), "primal", channel)[1] == (channel == 0)


def test_a_nonlinear_t_is_linearised_at_the_first_channel() -> None:
    """The primal network sees [∂T(u₀)]*h₀ only, so of u it can see u₀ alone, and of h its first."""
    step = PrimalDualStep(
        only_from(DUAL + 2, DUAL, DUAL + 1), only_from(PRIMAL + 1, PRIMAL, PRIMAL)
    )
    seen = [changed(step, photons(), "primal", k)[0] for k in range(PRIMAL)]
    assert seen == [True, False, False]
    assert not any(changed(step, linear(), "primal", k)[0] for k in range(PRIMAL))
    assert [changed(step, photons(), "dual", k)[0] for k in range(DUAL)] == [True, False]


def test_the_primal_update_sees_the_new_dual_variable() -> None:
    """With h⁺ = h + y and u⁺ = u + T*h⁺₀, from zero: T*y after one step and 3 T*y after two."""
    step = PrimalDualStep(
        only_from(DUAL + 2, DUAL, DUAL + 1), only_from(PRIMAL + 1, PRIMAL, PRIMAL)
    )
    problem = linear()
    state = PrimalDual(*(torch.zeros_like(t) for t in start()))
    back = RAY.adjoint(problem.data).expand(-1, PRIMAL, -1, -1)
    state = step(state, problem)
    torch.testing.assert_close(state.primal.detach(), back)
    torch.testing.assert_close(step(state, problem).primal.detach(), 3 * back)


@pytest.mark.parametrize("make", [plain, filtered])
def test_networks_of_zero_leave_the_state(
    make: Maker,
) -> None:
    step, state = make(), start()
    for p in step.parameters():
        nn.init.zeros_(p)
    for found, given in zip(step(state, linear()), state, strict=True):
        torch.testing.assert_close(found, given, rtol=0, atol=0)


@pytest.mark.parametrize("make", [plain, filtered])
@pytest.mark.parametrize("problem", [linear(), photons()])
def test_the_conformance_kit(make: Maker, problem: InverseProblem) -> None:
    check_step(make(), start(), problem)
