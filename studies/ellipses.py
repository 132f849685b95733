"""Claim: on the `dival` ellipses, FBP and TV agree with the published numbers.

    python -m studies.ellipses classical            # FBP and TV on 1000 test images
    python -m studies.ellipses learned lpd --minutes 10
    python -m studies.ellipses table

Every part writes one JSON file with command, seconds, machine and commit to studies/results/;
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
from rich.console import Console

from benchmarks.harness.tables import Cell, Table, table
from learnedrecon.config.yaml_file import read_config
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.experiments.budget import with_steps, within
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.search import tune
from learnedrecon.experiments.tuned_baselines import tuned
from learnedrecon.files import write_text
from learnedrecon.models.classical import FBP, TV
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import choose_device
from learnedrecon.training.environment import environment
from studies.common.fitting import Evaluations, best, train_in
from studies.common.study import RESULTS, Study

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Reconstructor

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
        "command": shlex.join(["python", "-m", "studies.ellipses", *sys.argv[1:]]),
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

    def run(name: str, build: Any, start: float, factor: float, upper: float | None) -> None:  # noqa: ANN401 - from a number to a method
        begun = time.perf_counter()
        found = tune(lambda value: score(build(value)), start=start, factor=factor, upper=upper)
        test = experiment.batches("test", images)
        scores = evaluate(name, build(found.value), test, experiment.data_range)
        tuned = {"tuned": found.value, "tried": list(found.tried)}
        record(name, scores, time.perf_counter() - begun, tuned)

    run("fbp", lambda b: FBP("hann", b), 0.8, 1.25, 1.0)
    run("tv_nonnegative", TV, 1.5, 1.5, None)
    run("tv", lambda w: TV(w, nonnegative=False), 1.5, 1.5, None)


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
    begun = time.perf_counter()
    where = choose_device(device)
    experiment = replace(preset(PRESETS[name], list(set_ or [])), device=where)
    experiment = with_steps(experiment, steps) if steps else within(experiment, minutes)
    result = train_in(folder / name, experiment, Evaluations(), overwrite=steps is None)
    trained = time.perf_counter() - begun
    model = best(folder / name).to(where)
    scores = evaluate(name, model, experiment.batches("test", images), experiment.data_range)
    extra: dict[str, Any] = {"steps": result.step, "training_seconds": trained}
    extra["config"] = to_plain(experiment.config)
    if name == "nonlinear_lpd":
        test = experiment.batches("test", images)
        model = tuned("fbp", experiment, 50).model
        of_log = evaluate("fbp", model, test, experiment.data_range)
        extra["fbp_of_log_data"] = {**of_log.to_plain(), "bandwidth": model.spec.bandwidth}
    record(name, scores, time.perf_counter() - begun, extra)
    Console().print(f"{name}: {scores.to_plain()}")


def page(results: Path) -> list[Table | str]:
    """All results beside the published ones."""
    rows = []
    for path in sorted(results.glob("ellipses-*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        known, allowed = found["published_psnr"], 0.3 + 2 * found["psnr_std_over_100"] / 10
        found["±"] = f"{found['psnr_stderr']:.2f}"
        found["allowed"] = f"±{allowed:.2f}"
        if known is not None:
            found["ours"] = f"{found['psnr'] - known:+.2f}"
            found["agrees"] = abs(found["psnr"] - known) <= allowed
        rows.append(found)
    columns: dict[str, Cell] = {
        "method": "method",
        "PSNR": lambda row: f"{row['psnr']:.2f}",
        "± stderr": "±",
    }
    more = {"published": "published_psnr", "ours - published": "ours", "within": "allowed"}
    return [table(rows, {**columns, "SSIM": "ssim", **more, "agrees": "agrees"})]


@app.command(name="table")
def show() -> None:
    """All results beside the published ones."""
    Console(width=120).print(*(part.rich() for part in page(RESULTS) if isinstance(part, Table)))


STUDY = Study(
    "ellipses",
    "On the `dival` ellipses FBP and total variation agree with the published numbers.",
    "They do, within 0.3 dB and twice the standard error of 100 images. The learned methods had "
    "minutes of training where the published ones had days, and are far below them.",
    {},
    page,
    recorded="ellipses-*.json",
)

if __name__ == "__main__":
    app()
