"""The `dival` ellipses, 128², 30 angles, against the published numbers.

    python benchmarks/ellipses.py classical            # FBP and TV on 1000 test images
    python benchmarks/ellipses.py learned lpd --minutes 10
    python benchmarks/ellipses.py table

Every part writes one JSON file with command, seconds, machine and commit to benchmarks/results/;
the last one prints them beside the published means over the first 100 test images of DIVal's
ellipses (FBP 24.18, TV 27.96, U-Net 29.36, learned gradient 30.30, learned primal-dual 32.27 dB).
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from learnedrecon.models.initial import FilteredBackprojection
from rich.console import Console
from rich.table import Table

from learnedrecon.config.yaml_file import read_config
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.experiments.budget import with_steps, within
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.search import tune
from learnedrecon.files import write_text
from learnedrecon.models.classical import FBP, TV, TotalVariationSpec
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import choose_device, make_accelerator
from learnedrecon.training.environment import environment
from learnedrecon.training.loggers import RichProgress
from learnedrecon.training.loop import train
from learnedrecon.training.run import RunFolder
from learnedrecon.training.update import Supervised
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Reconstructor

RESULTS = Path(__file__).parent / "results"
PUBLISHED = {
    "fbp": 24.18,
    "tv": 27.96,
    "tv_nonnegative": 27.96,
    "unet": 29.36,
    "learned_gradient": 30.30,
    "lpd": 32.27,
}
PRESETS = {
    "unet": "ellipses-unet",
    "learned_gradient": "ellipses-learned-gradient",
    "lpd": "ellipses-lpd",
    "filtered_lpd": "ellipses-filtered-lpd",
    "nonlinear_lpd": "ellipses-nonlinear-lpd",
}
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def preset(name: str, overrides: list[str]) -> Experiment:
    """A preset of the package as an experiment, its ellipses those of `dival`."""
    with as_file(files("learnedrecon.config") / "presets" / f"{name}.yaml") as path:
        config = read_config(path, overrides)
    data = replace(
        config.data,
        train=EllipseSpec("dival", split="train"),
        validation=EllipseSpec("dival", split="validation"),
        test=EllipseSpec("dival", split="test"),
    )
    return Experiment(replace(config, data=data))


def record(name: str, scores: Scores, seconds: float, extra: dict[str, Any]) -> None:
    """Writes what one method scored."""
    content = {
        "method": name,
        **scores.to_plain(),
        "psnr_stderr": scores.summary()["psnr"].stderr,
        "psnr_std_over_100": float(np.std(scores.psnr[:100], ddof=1)),
        "published_psnr": PUBLISHED.get(name),
        **extra,
        "command": shlex.join(["python", "benchmarks/ellipses.py", *sys.argv[1:]]),
        "seconds_in_all": seconds,
        "environment": environment(),
    }
    write_text(RESULTS / f"ellipses-{name}.json", json.dumps(content, indent=2) + "\n")


@app.command()
def classical(
    images: Annotated[int, typer.Option(help="Test images.")] = 1000,
    tuning_images: Annotated[int, typer.Option(help="Validation images to tune on.")] = 50,
) -> None:
    """FBP, and TV with and without non-negativity, each tuned on validation images."""
    experiment = preset("ellipses-lpd", [])
    batches = list(experiment.batches("validation", tuning_images))

    def score(model: Reconstructor) -> float:
        scores = evaluate("", model, batches, experiment.data_range)
        return float(scores.psnr.mean())

    def run(name: str, build: Any, start: float, factor: float, upper: float | None) -> None:  # noqa: ANN401
        begun = time.perf_counter()
        best = tune(lambda value: score(build(value)), start=start, factor=factor, upper=upper)
        test = experiment.batches("test", images)
        scores = evaluate(name, build(best.value), test, experiment.data_range)
        tuned = {"tuned": best.value, "tried": list(best.tried)}
        record(name, scores, time.perf_counter() - begun, tuned)

    run("fbp", lambda b: FBP(FilteredBackprojection("hann", b)), 0.8, 1.25, 1.0)
    run("tv_nonnegative", lambda w: TV(TotalVariationSpec(w)), 1.5, 1.5, None)
    run("tv", lambda w: TV(TotalVariationSpec(w, nonnegative=False)), 1.5, 1.5, None)


@app.command()
def learned(
    name: Annotated[str, typer.Argument(help=", ".join(PRESETS))],
    *,
    minutes: Annotated[float, typer.Option(help="Of training, if there are no --steps.")] = 10.0,
    steps: Annotated[int | None, typer.Option(help="Of training; goes on where it was.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "cpu",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a value.")] = None,
    images: Annotated[int, typer.Option(help="Test images.")] = 100,
    folder: Annotated[Path, typer.Option(help="For the run folders.")] = Path("runs/ellipses"),
) -> None:
    """Trains one method for as long as it is told, and scores its best weights.

    With --steps an interrupted run (ctrl-C saves) goes on; with --minutes it begins anew, as the
    number of steps is measured.
    """
    console = Console()
    begun = time.perf_counter()
    where = choose_device(device)
    experiment = replace(preset(PRESETS[name], list(set_ or [])), device=where)
    experiment = with_steps(experiment, steps) if steps else within(experiment, minutes)
    config = experiment.config
    run = RunFolder.start(
        folder / name,
        config=to_plain(config),
        blueprint=experiment.blueprint,
        overwrite=steps is None,
    )
    model = experiment.model()
    accelerator = make_accelerator(config.training.precision, cpu=where.type == "cpu")
    result = train(
        model=model,
        source=experiment.training_batches(),
        update=Supervised(model, loss=config.loss, spec=config.training, accelerator=accelerator),
        run=run,
        spec=config.training,
        validate=experiment.validation(),
        loggers=[RichProgress(console, every=60)],
    )
    best = load_weights(run.checkpoints.best, models=MODELS, operators=OPERATORS).model.to(where)
    trained = time.perf_counter() - begun
    scores = evaluate(name, best, experiment.batches("test", images), experiment.data_range)
    extra: dict[str, Any] = {"steps": result.step, "training_seconds": trained}
    extra["config"] = to_plain(config)
    if name == "nonlinear_lpd":
        extra["fbp_of_log_data"] = _fbp_of_the_logarithm(experiment, images)
    record(name, scores, time.perf_counter() - begun, extra)
    console.print(f"{name}: {scores.to_plain()}")


def _fbp_of_the_logarithm(experiment: Experiment, images: int) -> dict[str, Any]:
    """FBP of -log(counts), its bandwidth tuned on validation images."""
    batches = list(experiment.batches("validation", 50))

    def build(bandwidth: float) -> FBP:
        return FBP(FilteredBackprojection("hann", bandwidth))

    def score(bandwidth: float) -> float:
        scores = evaluate("", build(bandwidth), batches, experiment.data_range)
        return float(scores.psnr.mean())

    best = tune(score, start=0.8, factor=1.25, upper=1.0)
    test = experiment.batches("test", images)
    scores = evaluate("fbp", build(best.value), test, experiment.data_range)
    return {**scores.to_plain(), "bandwidth": best.value}


@app.command()
def table() -> None:
    """All results beside the published ones."""
    table = Table("method", "PSNR", "± stderr", "SSIM", "published", "ours - published", "agrees")
    for path in sorted(RESULTS.glob("ellipses-*.json")):
        result = json.loads(path.read_text())
        published = result["published_psnr"]
        difference = None if published is None else result["psnr"] - published
        allowed = 0.3 + 2 * result["psnr_std_over_100"] / 10
        table.add_row(
            result["method"],
            f"{result['psnr']:.2f}",
            f"{result['psnr_stderr']:.2f}",
            f"{result['ssim']:.3f}",
            "" if published is None else f"{published:.2f}",
            "" if difference is None else f"{difference:+.2f}",
            "" if difference is None else f"{abs(difference) <= allowed} (±{allowed:.2f})",
        )
    Console().print(table)


if __name__ == "__main__":
    app()
