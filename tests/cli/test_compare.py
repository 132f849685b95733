"""`compare`: methods that were trained on unequal things."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from learnedrecon.config.yaml_file import read_config
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.method import Method
from learnedrecon.experiments.scoring import draw, score
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.models.classical import FBP
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Place
    from typer.testing import Result

    from learnedrecon.problem import Problem

    Run = Callable[..., Result]


def compared(cli: Run, place: Place, *overrides: str) -> tuple[list[str], str]:
    """The warnings in the JSON, and what is printed, of a run against the given one."""
    assert cli(*place.train(*overrides)).exit_code == 0
    result = cli("compare", place.run, place.folder / "run", "-o", place.folder / "both")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads((place.folder / "both" / "results.json").read_text())
    return content["warnings"], " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.simulation.noise.level=0.1"], "data.simulation.noise.level 0.1 for 0.025"),
        (["data.train.preset=adler2017"], "data.train.preset 'adler2017' for 'dival'"),
        (["data.train.split=test", "data.test.split=train"], "trained on the test images of"),
    ],
)
def test_what_makes_a_comparison_unequal_is_said(
    cli: Run, place: Place, overrides: list[str], said: str
) -> None:
    warnings, printed = compared(cli, place, *overrides)
    assert any(said in text for text in warnings)
    assert all(f"WARNING: {text}" in printed for text in warnings)


def test_equal_runs_are_compared_without_a_word(cli: Run, place: Place) -> None:
    warnings, printed = compared(cli, place, "training.seed=1", "model.hidden=4")
    assert warnings == []
    assert "WARNING" not in printed


class Noting(Reconstructor):
    """A method that notes the data terms that it is posed."""

    def __init__(self) -> None:
        super().__init__()
        self.model = FBP()
        self.seen: set[type] = set()

    def forward(self, problem: Problem) -> Estimate:
        assert isinstance(problem, InverseProblem)
        self.seen.add(type(problem.fidelity))
        return self.model(problem)


def test_every_method_sees_its_own_data_term(place: Place) -> None:
    noiseless = "data.simulation.noise={name: none}"
    experiment = Experiment(read_config(place.run / "config.yaml", [noiseless]))
    methods = [
        Method("one", Noting(), fidelity="kullback_leibler"),
        Method("two", Noting(), fidelity="least_squares"),
    ]
    for method in methods:
        score(method, experiment)
    draw(methods, experiment, place.folder / "figure.png")
    seen = [method.model.seen for method in methods]
    assert seen == [{KullbackLeibler}, {LeastSquares}]


def test_a_run_is_scored_as_alone_whatever_the_first_run_is(cli: Run, place: Place) -> None:
    """A method of gradients of least squares, after a run that names another data term."""
    noiseless = "data.simulation.noise={name: none}"
    assert cli(*place.train("fidelity=kullback_leibler", noiseless)).exit_code == 0
    (place.folder / "run").rename(place.folder / "first")
    assert (
        cli(*place.train("model={name: learned_gradient, iterations: 2}", noiseless)).exit_code == 0
    )
    run, first = place.folder / "run", place.folder / "first"
    assert cli("evaluate", run, "-o", place.folder / "alone.json").exit_code == 0
    assert cli("compare", first, run, "-o", place.folder / "both").exit_code == 0
    alone, both = (
        json.loads((place.folder / name).read_text())["methods"]["run"]["per_image"]
        for name in ("alone.json", "both/results.json")
    )
    assert both == alone
