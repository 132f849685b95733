"""Curves over the iterations against a scheme whose iterates are known in closed form."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import Tensor, nn

from learnedrecon.data.batch import Batch
from learnedrecon.errors import ConfigError, DataError
from learnedrecon.evaluation.curves import draw_iterations
from learnedrecon.evaluation.iterations import iteration_curves, parse_iterations, quartiles
from learnedrecon.metrics import FixedRange
from learnedrecon.models.classical import FBP
from learnedrecon.models.start import AdjointImage
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import NoScaling
from learnedrecon.schemes.state import Image
from learnedrecon.schemes.step import Repeat, Step
from learnedrecon.testing.counting import Cost, Counted

if TYPE_CHECKING:
    from pathlib import Path


class Grow(Step[Image]):
    """u ← (1 + g) u, with a g of its own for every sample, u⁰ = y."""

    def __init__(self, growth: list[float]) -> None:
        super().__init__()
        self.growth = nn.Parameter(torch.tensor(growth, dtype=torch.float64))

    def forward(self, state: Image, problem: Problem) -> Image:
        del problem
        factor = 1 + self.growth[: len(state.image), None, None, None]
        return Image(factor * state.image)


def model(growth: list[float], times: int = 3) -> Iterative:
    return Iterative(Repeat(Grow(growth), times), AdjointImage(), NoScaling())


def batch(samples: int, *, truth: bool = True) -> Batch:
    generator = torch.Generator().manual_seed(1)
    u = torch.rand(samples, 1, 8, 8, generator=generator, dtype=torch.float64)
    space = Space((8, 8), torch.float64)
    problem = InverseProblem(Diagonal(space, torch.ones(8, 8, dtype=torch.float64)), u)
    return Batch(problem, u if truth else None, None, tuple(f"{k}" for k in range(samples)))


def error(u: Tensor) -> Tensor:
    return u.square().flatten(1).mean(1)


def test_the_numbers_are_those_of_the_closed_form() -> None:
    growth = [0.1, -0.2]
    each = batch(2)
    curves = iteration_curves("grow", model(growth), [each, each], FixedRange(1.0), (2, 6))
    assert (curves.trained, curves.images) == (3, 4)
    assert curves.numbers.tolist() == [2, 3, 4, 5, 6]
    assert each.truth is not None
    for row, k in enumerate(range(2, 7)):
        for sample in range(4):
            g = growth[sample % 2]
            off = abs((1 + g) ** k - 1)
            psnr = -10 * math.log10(off**2 * float(error(each.truth)[sample % 2]))
            assert curves.psnr[row, sample] == pytest.approx(psnr)
            assert curves.change[row, sample] == pytest.approx(abs(g))
            assert curves.data_residual[row, sample] == pytest.approx(off)


def test_it_runs_once_and_not_once_for_every_iteration() -> None:
    cost = Cost()
    one = batch(2)
    counted = one._replace(problem=Counted(one.problem, cost))
    iteration_curves("grow", model([0.1, 0.1]), [counted], FixedRange(1.0), (1, 9))
    assert cost.forward == 2 * 9, "for the residual of the data"
    assert cost.adjoint == 2, "for the start"


def test_what_diverges_is_minus_infinity_and_null() -> None:
    curves = iteration_curves(
        "grow", model([1e60, 0.1, 1e60]), [batch(3)], FixedRange(1.0), (1, 12)
    )
    assert np.isneginf(curves.psnr[-1, [0, 2]]).all()
    assert np.isfinite(curves.psnr[:, 1]).all()
    assert not np.isfinite(curves.change[-1, 0])
    plain = json.loads(json.dumps(curves.to_plain(), allow_nan=False))
    assert plain["psnr"]["median"][-1] is None
    assert plain["psnr"]["upper"][0] is not None


def test_quartiles_are_over_the_images() -> None:
    low, middle, high = quartiles(np.array([[1.0, 2, 3, 4, 5], [5, 5, 5, 5, -np.inf]]))
    assert (low[0], middle[0], high[0]) == (2, 3, 4)
    assert (low[1], middle[1], high[1]) == (5, 5, 5)


def test_the_figure_is_small_and_drawn(tmp_path: Path) -> None:
    curves = [
        iteration_curves(f"g = {g}", model([g] * 4), [batch(4)], FixedRange(1.0), (1, 60))
        for g in (0.02, 1e30)
    ]
    path = tmp_path / "iterations.png"
    draw_iterations(curves, path)
    assert path.stat().st_size < 200_000
    with Picture.open(path) as picture:
        assert picture.size == (1100, 374)
        assert np.asarray(picture.convert("L")).std() > 5
    with pytest.raises(DataError, match="curves to draw"):
        draw_iterations([], path)


@pytest.mark.parametrize(("text", "span"), [("1:100", (1, 100)), ("30", (1, 30)), ("4:4", (4, 4))])
def test_spans_are_read(text: str, span: tuple[int, int]) -> None:
    assert parse_iterations(text) == span


@pytest.mark.parametrize("text", ["", "0:5", "5:3", "a:b", "1:2:3", "-4", "1.5", "1:100001"])
def test_wrong_spans_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--iterations"):
        parse_iterations(text)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="FBP, which has none"):
        iteration_curves("fbp", FBP(), [batch(1)], FixedRange(1.0), (1, 3))
    grow = model([0.1])
    with pytest.raises(DataError, match="no test images"):
        iteration_curves("grow", grow, [], FixedRange(1.0), (1, 3))
    with pytest.raises(DataError, match="none for 0"):
        iteration_curves("grow", grow, [batch(1, truth=False)], FixedRange(1.0), (1, 3))
