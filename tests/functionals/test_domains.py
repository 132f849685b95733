"""What functionals and solvers refuse at the door: data, starts and arguments out of range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.errors import ConfigError, DataError, DtypeError
from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
from learnedrecon.functionals.constraints import Box, NonNegative
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares, WeightedLeastSquares
from learnedrecon.functionals.norms import L1, GroupL1, HuberNorm
from learnedrecon.functionals.regularisers import Dirichlet, TotalVariation
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.fista import fista

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = torch.tensor([[[4.0, 0.0, 2.0]]], dtype=torch.float64)


@pytest.mark.parametrize(
    "build",
    [
        lambda: TotalVariation(0.1),  # type: ignore[arg-type]
        lambda: TotalVariation(0),
        lambda: TotalVariation(True),
        lambda: TotalVariation(2, -1.0),
        lambda: TotalVariation(2, math.nan),
        lambda: TotalVariation(2, 0.0, "a"),  # type: ignore[arg-type]
        lambda: Dirichlet(0.1),  # type: ignore[arg-type]
        lambda: GroupL1(-0.5),  # type: ignore[arg-type]
        lambda: HuberNorm(0.1, 2),
        lambda: HuberNorm(None),  # type: ignore[arg-type]
        lambda: L1(0.1),  # type: ignore[arg-type]
        lambda: WeightedLeastSquares(0.1),  # type: ignore[arg-type]
        lambda: Box("x"),  # type: ignore[arg-type]
        lambda: Box(0.0, None),  # type: ignore[arg-type]
        lambda: Misfit(COUNTS, LeastSquares()),  # type: ignore[arg-type]
        lambda: Misfit(LeastSquares(), COUNTS.numpy()),  # type: ignore[arg-type]
        lambda: FunctionalMultiple(0.1, L1()),  # type: ignore[arg-type]
        lambda: FunctionalMultiple(L1(), "x"),  # type: ignore[arg-type]
        lambda: FunctionalOf(Dense(torch.eye(3)), L1()),  # type: ignore[arg-type]
    ],
)
def test_arguments_out_of_range_are_refused_when_built(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        build()


def test_signals_have_one_axis() -> None:
    signal = torch.tensor([[[1.0, 3.0, 2.0]]], dtype=torch.float64)
    assert float(Dirichlet(1)(signal)) == (2**2 + 1**2) / 2
    assert float(TotalVariation(1)(signal)) == 2 + 1


def test_a_weight_in_the_place_of_the_axes_is_told_where_it_belongs() -> None:
    with pytest.raises(ConfigError, match=r"axes = 0\.1.*FunctionalMultiple"):
        TotalVariation(0.1)  # type: ignore[arg-type]


def test_kullback_leibler_takes_no_negative_data() -> None:
    operator = Dense(torch.eye(3, dtype=torch.float64))
    negative = COUNTS - 1
    for meet in (
        lambda: InverseProblem(operator, negative, KullbackLeibler()),
        lambda: Misfit(KullbackLeibler(), negative),
    ):
        with pytest.raises(DataError, match="1 negative values, the smallest -1"):
            meet()
    with pytest.raises(DtypeError, match="complex128"):
        Misfit(KullbackLeibler(), negative.to(torch.complex128))
    InverseProblem(operator, negative, LeastSquares())
    InverseProblem(operator, COUNTS, KullbackLeibler())


def test_kullback_leibler_is_infinite_outside_of_its_domain() -> None:
    """And v = 0 < y, an underflow that has a large value, is not in it."""
    y = torch.tensor([[0.0], [0.0], [0.0], [3.0], [3.0], [3.0]], dtype=torch.float64)
    v = torch.tensor([[2.0], [0.0], [-1.0], [3.0], [0.0], [-1e-9]], dtype=torch.float64)
    value = KullbackLeibler()(v, y)
    assert value[[0, 1, 2, 3, 5]].tolist() == [2.0, 0.0, math.inf, 0.0, math.inf]
    assert value[4] > 900
    inside = [True, True, False, True, False, False]
    assert KullbackLeibler().contains(v, y).tolist() == inside


def test_a_start_outside_of_the_domain_is_refused() -> None:
    operator = Dense(normal(3, 3).abs())
    term = FunctionalOf(Misfit(KullbackLeibler(), COUNTS), operator)
    for start in (torch.zeros_like(COUNTS), -torch.ones_like(COUNTS)):
        with pytest.raises(DataError, match=r"1 of 1 samples.*pdhg"):
            fista(term, NonNegative(), start)
    found = fista(term, NonNegative(), torch.ones_like(COUNTS), tolerance=1e-3)
    assert found.solution.isfinite().all()
