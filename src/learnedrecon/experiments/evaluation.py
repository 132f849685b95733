"""Scores of one method on its test images."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.allocation import kept_memory
from learnedrecon.config.yaml_file import operator_to_plain
from learnedrecon.evaluation.scores import Scores
from learnedrecon.experiments.inputs import files_of
from learnedrecon.experiments.method import open_run
from learnedrecon.experiments.progress import progress_of
from learnedrecon.experiments.scoring import draw, plain, score, undefined_text, write_results
from learnedrecon.files import plan_outputs
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import choose_device

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from learnedrecon.config.schema import Config
    from learnedrecon.experiments.progress import Progress

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of one method.

    Attributes:
        scores: Scores, image by image.
        data_range: Data range of PSNR and SSIM.
        files: Paths of the JSON and the figure.
    """

    scores: Scores
    data_range: str
    files: tuple[Path, ...]


@kept_memory()
def evaluate(  # noqa: PLR0913 - the keywords of one call
    run: str | os.PathLike[str],
    *,
    overrides: Sequence[str] = (),
    images: int | None = None,
    data_range: str | None = None,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    device: str = "auto",
    progress: Progress | bool = True,
) -> Evaluation:
    """Scores the best weights of a run on its test images, and writes a JSON file and a figure.

    Args:
        run: Run folder, or configuration of a method without weights.
        overrides: Texts ``a.b=c`` that override values of the configuration.
        images: Largest number of test images.
        data_range: Data range of the scores, "max-min" or for example "range=1".
        output: Path of the JSON; unless given, ``results.json`` and ``figures/test.png`` in a run
            folder, or ``CONFIG-results.json`` beside a configuration. The figure of another JSON is
            beside it.
        force: True if other files may be overwritten; default outputs always are.
        device: "auto", "cpu" or "cuda".
        progress: Callback, or True for progress bars.

    Raises:
        FileFormatError: There is no such run, or files are broken.
        ConfigError: The configuration is invalid, or an output exists.
        DataError: There are no test images, or none with a score.
    """
    run = Path(run)
    asked = [*overrides, *evaluation_overrides(images, data_range)]
    method, experiment = open_run(run, asked, device=choose_device(device))
    files = _planned(run, output, experiment.config, force=force)
    if method.trained_on not in {None, experiment.config.operator}:
        _LOG.warning("This operator is not the one that the weights were trained with.")
    scores = score(method, experiment, progress_of(progress))
    content = {
        "methods": {method.label: plain(method, scores)},
        "test_images": scores.images,
        "range": str(experiment.data_range),
        "operator": operator_to_plain(experiment.config.operator),
        "data": to_plain(experiment.config.data),
    }
    write_results(files[0], content)
    draw([method], experiment, files[1])
    for line in scores.status:
        _LOG.info("%s: %s", method.label, line)
    undefined = undefined_text([scores])
    if undefined is not None:
        _LOG.warning(undefined)
    _LOG.info("Wrote %s and %s.", *files)
    return Evaluation(scores, str(experiment.data_range), files)


def evaluation_overrides(images: int | None, data_range: str | None) -> list[str]:
    """Arguments of scores as overrides of a configuration.

    Args:
        images: Largest number of test images, or None.
        data_range: Data range as text, or None.
    """
    return [
        *([] if images is None else [f"evaluation.images={images}"]),
        *([] if data_range is None else [f"evaluation.range={json.dumps(data_range)}"]),
    ]


def data_files(config: Config) -> tuple[Path, ...]:
    """The files and folders with the data of a configuration.

    Args:
        config: Configuration.
    """
    return tuple(path for spec in config.data.sections.values() for path in files_of(spec))


def planned_outputs(
    run: Path, files: tuple[Path, Path], config: Config, *, named: bool, force: bool
) -> tuple[Path, ...]:
    """Check of the outputs of a command on a run; see :func:`learnedrecon.files.plan_outputs`.

    Args:
        run: Run folder or configuration, which is read.
        files: Files to write.
        config: Configuration, whose data are also read.
        named: True if the user named the outputs, so that they may be any files.
        force: True if other files may be overwritten.

    Raises:
        ConfigError: A file is an input, or exists.
    """
    inputs = [run, *data_files(config)]
    return plan_outputs(files, inputs=inputs, own=() if named else files, force=force)


def _planned(
    run: Path, output: str | os.PathLike[str] | None, config: Config, *, force: bool
) -> tuple[Path, ...]:
    folder = run.is_dir()
    default = run / "results.json" if folder else run.with_name(f"{run.stem}-results.json")
    target = default if output is None else Path(output)
    figure = run / "figures" / "test.png" if folder else target.with_suffix(".png")
    if output is not None:
        figure = target.with_suffix(".png")
    return planned_outputs(run, (target, figure), config, named=output is not None, force=force)
