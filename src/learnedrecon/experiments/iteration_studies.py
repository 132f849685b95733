"""Studies of a method over its iterations, also beyond those of its training."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.evaluation.curves import draw_iterations
from learnedrecon.evaluation.iterations import (
    IterationCurves,
    iteration_curves,
    parse_iterations,
    quartiles,
)
from learnedrecon.experiments.evaluation import evaluation_overrides, planned_outputs
from learnedrecon.experiments.method import open_run
from learnedrecon.experiments.progress import progress_of
from learnedrecon.experiments.scoring import recorded, with_fidelity_of, write_results
from learnedrecon.schemes.iterations import model_with_iterations
from learnedrecon.training.accelerator import choose_device

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from learnedrecon.experiments.progress import Progress

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class IterationStudy:
    """The curves of one method over its iterations.

    Attributes:
        curves: PSNR, change and data residual of every test image.
        files: Paths of the JSON and the figure.
    """

    curves: IterationCurves
    files: tuple[Path, ...]


def iteration_study(  # noqa: PLR0913 - the keywords of one call
    run: str | os.PathLike[str],
    iterations: str,
    *,
    overrides: Sequence[str] = (),
    images: int | None = None,
    data_range: str | None = None,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    device: str = "auto",
    progress: Progress | bool = True,
) -> IterationStudy:
    """Writes PSNR, change and data residual of a method after each iteration, with a figure.

    Args:
        run: Run folder, or configuration of a method without weights.
        iterations: First and last iteration, such as "1:100".
        overrides: Texts ``a.b=c`` that override values of the configuration.
        images: Largest number of test images.
        data_range: Data range of the PSNR, "max-min" or for example "range=1".
        output: Path of the JSON, with the figure beside it; unless given, ``iterations.json`` and
            ``figures/iterations.png`` in a run folder, or ``CONFIG-iterations.json`` beside a
            configuration.
        force: True if other files may be overwritten; default outputs always are.
        device: "auto", "cpu" or "cuda".
        progress: Callback, or True for progress bars.

    Raises:
        ConfigError: The method has no iterations, ``iterations`` are invalid, or an output exists.
        DataError: There are no test images, or they have no truths.
    """
    span = parse_iterations(iterations)
    run = Path(run)
    asked = [*overrides, *evaluation_overrides(images, data_range)]
    method, experiment = open_run(run, asked, device=choose_device(device))
    files = planned_outputs(
        run, _files(run, output), experiment.config, named=output is not None, force=force
    )
    model_with_iterations(method.model, span[1])
    total = min(experiment.evaluation.images, len(experiment.dataset("test")))
    draws = span[1] + 1 if experiment.draws else 0
    with progress_of(progress)(f"Running {method.label}", total) as advance:
        curves = iteration_curves(
            method.label,
            method.model,
            with_fidelity_of(method, experiment.batches("test", draws=draws)),
            experiment.data_range,
            span,
            on_batch=advance,
        )
    about = {"model": recorded(method), "range": str(experiment.data_range)}
    write_results(files[0], {**curves.to_plain(), **about})
    draw_iterations([curves], files[1])
    _LOG.info("Wrote %s and %s.", *files)
    return IterationStudy(curves, files)


def _files(run: Path, output: str | os.PathLike[str] | None) -> tuple[Path, Path]:
    if output is not None:
        return Path(output), Path(output).with_suffix(".png")
    if run.is_dir():
        return run / "iterations.json", run / "figures" / "iterations.png"
    target = run.with_name(f"{run.stem}-iterations.json")
    return target, target.with_suffix(".png")


def summary(curves: IterationCurves) -> list[str]:
    """The medians at the best, the trained and the last iteration, in words.

    Args:
        curves: Curves of the method.
    """
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
