"""Saturating detectors: closed forms, limits, and what they refuse."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from learnedrecon.errors import ConfigError, DtypeError
from learnedrecon.operators.saturation import Response, Saturation
from learnedrecon.operators.space import Space

SPACE = Space((2001,), torch.float64)
X = torch.linspace(-50, 50, 2001, dtype=torch.float64)
LEVEL = 3.0


@pytest.fixture(params=get_args(Response))
def operator(request: pytest.FixtureRequest) -> Saturation:
    return Saturation(SPACE, LEVEL, request.param)


def test_it_keeps_small_values_and_stays_below_its_level(operator: Saturation) -> None:
    """σ(x) = x + o(x) at 0, odd, increasing, |σ| ≤ s with σ(x) → s."""
    y = operator(X)
    assert bool((y.abs() <= LEVEL).all())
    assert bool((y.diff() >= 0).all())
    torch.testing.assert_close(operator(-X), -y)
    small = operator(1e-6 * X)
    torch.testing.assert_close(small, 1e-6 * X, rtol=2e-5, atol=0)
    far = operator(1e6 * X)[-1]
    assert float(far) == pytest.approx(LEVEL, rel=1e-6)
    slope = operator.linearise(X)[1](torch.ones_like(X))
    assert bool(((slope >= 0) & (slope <= 1)).all())


def test_closed_forms() -> None:
    torch.testing.assert_close(Saturation(SPACE, LEVEL)(X), LEVEL * torch.tanh(X / LEVEL))
    dead = Saturation(SPACE, LEVEL, "dead time")(X.abs())
    torch.testing.assert_close(1 / dead[X != 0], 1 / X.abs()[X != 0] + 1 / LEVEL)
    assert torch.equal(Saturation(SPACE, LEVEL, "clip")(X), X.clip(-LEVEL, LEVEL))


def test_the_derivative_of_a_clip_is_zero_where_it_clips() -> None:
    _, derivative = Saturation(SPACE, LEVEL, "clip").linearise(X)
    h = torch.randn(2001, dtype=torch.float64)
    assert torch.equal(derivative(h), torch.where(X.abs() <= LEVEL, h, 0.0))


@pytest.mark.parametrize("level", [0.0, -2.0, math.nan, math.inf])
def test_the_level_is_positive(level: float) -> None:
    with pytest.raises(ConfigError, match="a level > 0"):
        Saturation(SPACE, level)


def test_what_it_refuses() -> None:
    with pytest.raises(DtypeError, match=r"a real space.*Magnitude\(A\)"):
        Saturation(Space((3,), torch.complex64), 1.0)
    with pytest.raises(ConfigError, match=r"one of tanh, dead time, clip.*'hard'"):
        Saturation(SPACE, 1.0, "hard")  # type: ignore[arg-type]
