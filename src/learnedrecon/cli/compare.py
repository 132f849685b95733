"""`learnedrecon compare`: several methods on the same test images."""

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learnedrecon.cli.options import Device, Images, Range, evaluation_overrides, note, results
from learnedrecon.errors import ConfigError, GeometryError, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from learnedrecon.evaluation.scores import Scores
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.experiments.method import Method

    Opened = tuple[Method, Experiment]


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [RUN ...] [fbp] [tv]",
            help="Run folders; 'fbp' and 'tv' are tuned on the validation images of the first.",
        ),
    ],
    *,
    images: Images = None,
    data_range: Range = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path(
        "runs/comparison"
    ),
    device: Device = "auto",
) -> None:
    """Score several methods on the test images of the first run: table, figure and JSON.

    Differences are paired, image by image, with their 95 % confidence intervals.
    """
    from learnedrecon.evaluation.table import rich_table
    from learnedrecon.experiments.scoring import draw, plain, score, write_results
    from learnedrecon.specs import to_plain
    from learnedrecon.training.accelerator import choose_device

    methods, experiment, warnings = gather(
        runs, evaluation_overrides(images, data_range), choose_device(device)
    )
    scores = [score(method, experiment) for method in methods]
    differences = paired(scores)
    write_results(
        output / "results.json",
        {
            "methods": {
                each.method: plain(method, each)
                for method, each in zip(methods, scores, strict=True)
            },
            "test_images": scores[0].images,
            "range": str(experiment.data_range),
            "psnr_differences": differences,
            "data": to_plain(experiment.config.data),
            "warnings": warnings,
        },
    )
    draw(methods, experiment, output / "figure.png")
    title = f"{scores[0].images} test images, data range {experiment.data_range}"
    results().print(rich_table(scores, title))
    for name, value in differences.items():
        low, high = value["ci95"]
        typer.echo(f"{name}: {value['mean']:+.2f} dB, 95 % interval [{low:+.2f}, {high:+.2f}]")
    for each in scores:
        for line in each.status:
            note(f"{each.method}: {line}")
    note(f"Wrote {output / 'results.json'} and {output / 'figure.png'}.")


def gather(
    names: list[str], overrides: list[str], device: "torch.device"
) -> "tuple[list[Method], Experiment, list[str]]":
    """Every method, the experiment of the first run, and what makes the comparison unequal.

    Raises:
        ConfigError: no run among the names, or fewer than two methods.
        GeometryError: a run with another operator.
    """
    from learnedrecon.experiments.method import CLASSICAL, open_run

    runs = [name for name in names if name not in CLASSICAL]
    if not runs or len(names) < 2:
        raise ConfigError(
            describe(
                expected="at least two methods, one of them a run, whose test images are used",
                found=" ".join(names),
                fix="write for example 'learnedrecon compare runs/lpd fbp tv'",
            )
        )
    opened = {name: open_run(Path(name), overrides, device=device) for name in runs}
    experiment = opened[runs[0]][1]
    for name in runs[1:]:
        refuse_other_operator(runs[0], experiment, name, opened[name][1])
    warnings = [text for name in runs[1:] for text in unequal(runs[0], experiment, name, opened)]
    for text in warnings:
        note(f"WARNING: {text}")
    methods = [opened[name][0] if name in opened else tuned(name, experiment) for name in names]
    return distinct(methods, names), experiment, warnings


def tuned(name: str, experiment: "Experiment") -> "Method":
    """'fbp' or 'tv', tuned on the validation images."""
    import torch

    from learnedrecon.experiments.method import classical
    from learnedrecon.experiments.tuned_baselines import tuned_fbp, tuned_tv

    note(f"Tuning {name} on validation images ...")
    model, found = tuned_fbp(experiment) if name == "fbp" else tuned_tv(experiment)
    low, high = found.tried[0][0], found.tried[-1][0]
    what = "bandwidth" if name == "fbp" else "weight"
    note(f"{name}: {what} {found.value:.4g} is the best of {low:.2g} to {high:.2g}.")
    if not getattr(model, "nonnegative", True):
        note(f"{name}: without u >= 0, as true validation images have negative values.")
    return classical(name, model, device=torch.device(experiment.device))


def refuse_other_operator(
    first: str, experiment: "Experiment", name: str, other: "Experiment"
) -> None:
    """Refuses runs that measure differently.

    Raises:
        GeometryError: the operators are not equal.
    """
    from learnedrecon.config.yaml_file import operator_to_plain
    from learnedrecon.training.run import differences

    ours, theirs = (operator_to_plain(each.config.operator) for each in (experiment, other))
    if found := differences(ours, theirs, "operator"):
        texts = [f"{where} {one!r} and {two!r}" for where, one, two in found[:3]]
        more = f" and {len(found) - 3} more" if found[3:] else ""
        raise GeometryError(
            describe(
                expected=f"one operator in {first} and {name}",
                found=f"{'; '.join(texts)}{more}",
                fix="compare runs of one operator; evaluate the others alone",
            )
        )


def unequal(
    first: str, experiment: "Experiment", name: str, opened: "Mapping[str, Opened]"
) -> list[str]:
    """What a run was fitted to that is not what the first run was fitted to, in sentences.

    Other weights of the same problem are what a comparison is for; other noise, another training
    set, or the test images among the training images are not seen in a table.
    """
    from learnedrecon.data.sections import share_images
    from learnedrecon.specs import to_plain
    from learnedrecon.training.run import differences

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


def distinct(methods: "list[Method]", names: list[str]) -> "list[Method]":
    """The methods under different labels: whole paths where the last part is not enough."""
    from dataclasses import replace

    labels = [method.label for method in methods]
    if len(set(labels)) == len(labels):
        return methods
    return [
        replace(method, label=f"{place}: {name}")
        for place, (method, name) in enumerate(zip(methods, names, strict=True), start=1)
    ]


def paired(scores: "list[Scores]") -> dict[str, Any]:
    """Differences of PSNR of every two methods, the better one first; none for a single image."""
    from learnedrecon.metrics.statistics import paired_difference

    if scores[0].images < 2:
        return {}
    ranked = sorted(scores, key=lambda each: -each.psnr.mean())
    differences = {}
    for better, worse in combinations(ranked, 2):
        value = paired_difference(better.psnr, worse.psnr)
        differences[f"{better.method} - {worse.method}"] = {
            "mean": value.mean,
            "ci95": list(value.ci95),
        }
    return differences
