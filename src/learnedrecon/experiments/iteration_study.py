"""What `learnedrecon evaluate --iterations` does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from learnedrecon import specs
from learnedrecon.evaluation.curves import draw_iterations
from learnedrecon.evaluation.iterations import iteration_curves, parse_iterations, quartiles
from learnedrecon.experiments.scoring import posed_to, write_results
from learnedrecon.models.registry import MODELS
from learnedrecon.schemes.iterations import model_with_iterations

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.evaluation.iterations import IterationCurves
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.experiments.method import Method

_LOG = logging.getLogger(__name__)

_LOG = logging.getLogger(__name__)


def along_iterations(method: Method, experiment: Experiment, text: str, target: Path) -> None:
    """Writes the curves of a method over the iterations as JSON and as a figure.

    Args:
        method: a learned iterative one.
        experiment: with the test images.
        text: first and last iteration, such as "1:100".
        target: the JSON; the figure goes into ``figures`` beside it where there is such a folder.

    Raises:
        ConfigError: a method without iterations, or a wrong ``text``.
        DataError: no test images, or without truth.
    """
    span = parse_iterations(text)
    model_with_iterations(method.model, span[1])
    total = min(experiment.config.evaluation.images, len(experiment.dataset("test")))
    draws = span[1] + 1 if experiment.draws else 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Running {method.label}", total=total)
        curves = iteration_curves(
            method.label,
            method.model,
            posed_to(method, experiment.batches("test", draws=draws)),
            experiment.data_range,
            span,
            on_batch=lambda number: progress.advance(task, number),
        )
    figures = target.parent / "figures"
    figure = (figures if figures.is_dir() else target.parent) / f"{target.stem}.png"
    write_results(
        target,
        {
            **curves.to_plain(),
            "model": specs.named_to_plain(MODELS, method.model.spec),
            "range": str(experiment.data_range),
        },
    )
    draw_iterations([curves], figure)
    for line in summary(curves):
        _LOG.info(line)
    _LOG.info(f"Wrote {target} and {figure}.")


def summary(curves: IterationCurves) -> list[str]:
    """The medians at the best iteration, at the trained one and at the last, in words."""
    _, median, _ = quartiles(curves.psnr)
    _, change, _ = quartiles(curves.change)
    places = {"best": int(median.argmax())}
    trained = curves.trained - int(curves.numbers[0])
    if 0 <= trained < len(median):
        places["trained"] = trained
    places["last"] = len(median) - 1
    return [
        f"{name:8} iteration {curves.numbers[k]}: {median[k]:.2f} dB, change {change[k]:.2e}"
        for name, k in places.items()
    ]
