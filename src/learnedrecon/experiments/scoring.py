"""What evaluating and comparing share: progress, files, figures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import Progress

from learnedrecon import specs
from learnedrecon.evaluation.figure import Panel, Row, comparison
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.files import write_text
from learnedrecon.models.registry import MODELS
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from learnedrecon.data.batch import Batch
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.experiments.method import Method

_SHOWN = 3


def score(method: Method, experiment: Experiment) -> Scores:
    """Scores a method on the test images of an experiment, with a bar on standard error.

    Raises:
        DataError: no test images, or without truth.
    """
    total = min(experiment.config.evaluation.images, len(experiment.dataset("test")))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Scoring {method.label}", total=total)
        return evaluate(
            method.label,
            method.model,
            posed_to(method, experiment.batches("test")),
            experiment.data_range,
            on_batch=lambda number: progress.advance(task, number),
        )


def posed_to(method: Method, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The same data with the data term that the method was trained with, or is defined for."""
    fidelity = FIDELITIES[method.fidelity]()
    for batch in batches:
        assert isinstance(batch.problem, InverseProblem)
        yield batch._replace(problem=replace(batch.problem, fidelity=fidelity))


@torch.no_grad()
def draw(methods: Sequence[Method], experiment: Experiment, target: Path) -> None:
    """Writes a figure of the first test images: truth, methods, error maps, PSNR on the images.

    Args:
        methods: the columns.
        experiment: with the test images.
        target: a PNG.
    """
    rows = []
    for shared in experiment.batches("test", _SHOWN, batch_size=1):
        assert shared.truth is not None
        panels = []
        for method in methods:
            (batch,) = posed_to(method, [shared])
            scores = evaluate(method.label, method.model, [batch], experiment.data_range)
            image = method.model(batch.problem).image[0, 0].cpu().numpy()
            panels.append(Panel(method.label, image, f"{scores.psnr[0]:.2f} dB"))
        truth = shared.truth[0, 0].cpu().numpy()
        window = (float(truth.min()), float(truth.max()))
        rows.append(Row(shared.ids[0], Panel("truth", truth), tuple(panels), window))
    comparison(rows, target)


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Writes plain data as JSON, atomically.

    Raises:
        FileFormatError: the file cannot be written.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def plain(method: Method, scores: Scores) -> dict[str, Any]:
    """A method and its scores for JSON, with one number for every image."""
    each = {name: getattr(scores, name).tolist() for name in ("psnr", "ssim", "nmse")}
    model = specs.named_to_plain(MODELS, method.model.spec)
    return scores.to_plain() | {"model": model, "per_image": each}
