"""Comparison of several methods on the same test images."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learnedrecon.allocation import kept_memory
from learnedrecon.config.yaml_file import operator_to_plain
from learnedrecon.data.sections import share_images
from learnedrecon.errors import ConfigError, GeometryError, LearnedReconError, describe
from learnedrecon.evaluation.scores import Scores
from learnedrecon.experiments.evaluation import data_files, evaluation_overrides
from learnedrecon.experiments.method import Method, open_run
from learnedrecon.experiments.progress import progress_of
from learnedrecon.experiments.scoring import draw, plain, score, undefined_text, write_results
from learnedrecon.experiments.tuned_baselines import tuned
from learnedrecon.files import plan_outputs
from learnedrecon.metrics.statistics import paired_difference
from learnedrecon.models.registry import MODELS
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import choose_device
from learnedrecon.training.run import differences

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.experiments.progress import Progress

    Opened = tuple[Method, Experiment]

_LOG = logging.getLogger(__name__)

DEFAULT_FOLDER = Path("runs/comparison")


@dataclass(frozen=True, eq=False)
class Comparison:
    """The scores of several methods on the same test images.

    Attributes:
        scores: Scores of every method that could be scored, in the given order.
        differences: Paired differences of PSNR in dB, "better - worse": mean and ``ci95``, the 95 %
            confidence interval over the images for which both have a PSNR.
        warnings: Differences between the runs that make the comparison unfair, in sentences.
        left_out: Reason why a method without weights was omitted, by its name.
        data_range: Data range of PSNR and SSIM.
        files: Paths of the JSON and the figure; none where nothing was written.
    """

    scores: tuple[Scores, ...]
    differences: dict[str, dict[str, Any]]
    warnings: tuple[str, ...]
    left_out: dict[str, str]
    data_range: str
    files: tuple[Path, ...] = ()


@kept_memory()
def compare(
    methods: Sequence[str | os.PathLike[str]],
    *,
    images: int | None = None,
    data_range: str | None = None,
    output: str | os.PathLike[str] | None = DEFAULT_FOLDER,
    force: bool = False,
    device: str = "auto",
    progress: Progress | bool = True,
) -> Comparison:
    """The scores of several methods on the test images of the first run.

    Methods without weights, such as "fbp" and "tv", are tuned on its validation images. A method
    that does not exist for the operator is omitted, and the others are compared.

    Args:
        methods: Run folders and names of methods without weights; at least two, one of them a run.
        images: Largest number of test images.
        data_range: Data range of the scores, "max-min" or for example "range=1".
        output: Folder for ``results.json`` and ``figure.png``; None writes nothing.
        force: True if files there may be overwritten; in the default folder they always are.
        device: "auto", "cpu" or "cuda".
        progress: Callback, or True for progress bars.

    Raises:
        ConfigError: There is no run among the methods, there are fewer than two, or an output
            exists.
        GeometryError: A run has another operator.
        FileFormatError: A run is missing or broken.
    """
    names = [str(name) for name in methods]
    runs = _runs(names)
    overrides = evaluation_overrides(images, data_range)
    where = choose_device(device)
    opened = {name: open_run(Path(name), overrides, device=where) for name in runs}
    experiment = opened[runs[0]][1]
    files = _planned(output, [experiment, *(opened[name][1] for name in runs)], runs, force=force)
    for name in runs[1:]:
        refuse_other_operator(runs[0], experiment, name, opened[name][1])
    warnings = [text for name in runs[1:] for text in unequal(runs[0], experiment, name, opened)]
    for text in warnings:
        _LOG.warning("WARNING: %s", text)
    shown = progress_of(progress)
    found: list[tuple[Method, Scores]] = []
    left_out: dict[str, str] = {}
    labels = distinct([opened[n][0].label if n in opened else n for n in names], names)
    for name, label in zip(names, labels, strict=True):
        if name in opened:
            method = replace(opened[name][0], label=label)
            found.append((method, score(method, experiment, shown)))
            continue
        try:
            method = Method(label, _tuned(name, experiment).to(where))
            found.append((method, score(method, experiment, shown)))
        except LearnedReconError as error:
            left_out[name] = str(error)
            _LOG.warning("%s is left out: %s", name, error)
    scores = tuple(each for _, each in found)
    comparison = Comparison(
        scores, paired(scores), tuple(warnings), left_out, str(experiment.data_range), files
    )
    if files:
        write_results(files[0], _content(comparison, [m for m, _ in found], experiment))
        draw([m for m, _ in found], experiment, files[1])
    _log_end(comparison, len(names))
    return comparison


def _runs(names: Sequence[str]) -> list[str]:
    runs = [name for name in names if name not in MODELS]
    if not runs or len(names) < 2:
        raise ConfigError(
            describe(
                expected="at least two methods, one of them a run, whose test images are used",
                found=" ".join(names) or "none",
                fix="write for example 'learnedrecon compare runs/lpd fbp tv'",
            )
        )
    return list(dict.fromkeys(runs))


def _planned(
    output: str | os.PathLike[str] | None,
    experiments: Sequence[Experiment],
    runs: Sequence[str],
    *,
    force: bool,
) -> tuple[Path, ...]:
    if output is None:
        return ()
    folder = Path(output)
    files = [folder / "results.json", folder / "figure.png"]
    own = files if folder == DEFAULT_FOLDER else []
    inputs: list[str | Path] = [
        *runs,
        *(path for each in experiments for path in data_files(each.config)),
    ]
    return plan_outputs(files, inputs=inputs, own=own, force=force)


def _tuned(name: str, experiment: Experiment) -> Any:  # noqa: ANN401 - a Reconstructor
    """A method without weights, tuned on the validation images."""
    _LOG.info("Tuning %s on validation images ...", name)
    model, argument, found, others = tuned(name, experiment)
    if found is not None:
        low, high = found.tried[0][0], found.tried[-1][0]
        _LOG.info(
            "%s: %s %.4g is the best of %.2g to %.2g.", name, argument, found.value, low, high
        )
    for key, value in others.items():
        _LOG.info("%s: %s = %s, as the true validation images have it.", name, key, value)
    return model


def _content(
    comparison: Comparison, methods: Sequence[Method], experiment: Experiment
) -> dict[str, Any]:
    pairs = zip(methods, comparison.scores, strict=True)
    return {
        "methods": {each.method: plain(method, each) for method, each in pairs},
        "test_images": comparison.scores[0].images,
        "range": comparison.data_range,
        "psnr_differences": comparison.differences,
        "data": to_plain(experiment.config.data),
        "warnings": list(comparison.warnings),
        "left_out": comparison.left_out,
    }


def _log_end(comparison: Comparison, asked: int) -> None:
    for each in comparison.scores:
        for line in each.status:
            _LOG.info("%s: %s", each.method, line)
    undefined = undefined_text(comparison.scores)
    if undefined is not None:
        _LOG.warning(undefined)
    if comparison.left_out:
        names = ", ".join(comparison.left_out)
        _LOG.warning("%d of %d methods left out: %s.", len(comparison.left_out), asked, names)
    if comparison.files:
        _LOG.info("Wrote %s.", " and ".join(map(str, comparison.files)))


def refuse_other_operator(first: str, experiment: Experiment, name: str, other: Experiment) -> None:
    """Check that two runs have the same operator.

    Args:
        first: Name of the first run.
        experiment: Experiment of the first run.
        name: Name of the other run.
        other: Experiment of the other run.

    Raises:
        GeometryError: The operators are not equal.
    """
    ours, theirs = (operator_to_plain(each.config.operator) for each in (experiment, other))
    if found := differences(ours, theirs, "operator"):
        texts = [f"{where} {one!r:.80} and {two!r:.80}" for where, one, two in found[:3]]
        more = f" and {len(found) - 3} more" if found[3:] else ""
        raise GeometryError(
            describe(
                expected=f"one operator in {first} and {name}",
                found=f"{'; '.join(texts)}{more}",
                fix="compare runs of one operator; evaluate the others separately",
            )
        )


def unequal(
    first: str, experiment: Experiment, name: str, opened: Mapping[str, Opened]
) -> list[str]:
    """Differences between the trainings of a run and the first run that a table does not show.

    Different weights for the same problem are the purpose of a comparison; another noise, another
    training set, or test images among the training images are not visible in a table.

    Args:
        first: Name of the first run.
        experiment: Experiment of the first run.
        name: Name of the other run.
        opened: Opened runs by name.
    """
    ours, theirs = experiment.config.data, opened[name][1].config.data
    texts = []
    if share_images(theirs.train, ours.test):
        texts.append(
            f"{name} was trained on the test images of {first}; its scores say nothing about new "
            "images."
        )
    for part, what in (("simulation", "measurements made"), ("train", "training images drawn")):
        one, other = (to_plain(data)[part] for data in (ours, theirs))
        if found := differences(one, other, f"data.{part}"):
            values = "; ".join(f"{each.where} {each.second!r} for {each.first!r}" for each in found)
            texts.append(
                f"{name} was trained on {what} in another way than those of {first} ({values}); "
                f"all are scored on the test data of {first}."
            )
    return texts


def distinct(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Different labels: whole names, numbered, where the last part of a path is ambiguous.

    Args:
        labels: Last parts of the paths.
        names: Whole names.
    """
    if len(set(labels)) == len(labels):
        return list(labels)
    return [f"{place}: {name}" for place, name in enumerate(names, start=1)]


def paired(scores: Sequence[Scores]) -> dict[str, dict[str, Any]]:
    """Differences of PSNR between every two methods, the better one first.

    They are over the images for which both have a PSNR; there is none for fewer than two images.

    Args:
        scores: Scores of the methods.
    """
    ranked = sorted(scores, key=lambda each: -each.summary()["psnr"].mean)
    found = {}
    for better, worse in combinations(ranked, 2):
        both = np.isfinite(better.psnr) & np.isfinite(worse.psnr)
        if both.sum() < 2:
            continue
        value = paired_difference(better.psnr[both], worse.psnr[both])
        found[f"{better.method} - {worse.method}"] = {
            "mean": value.mean,
            "ci95": list(value.ci95),
        }
    return found
