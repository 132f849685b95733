"""The demo: training, comparison and reconstruction in minutes."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.data import get_testdata_file

from learnedrecon.allocation import kept_memory
from learnedrecon.config.yaml_file import read_config, write_geometry
from learnedrecon.data.datasets import SingleImage
from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.files.dicom import hounsfield_to_attenuation, read_ct_dicom
from learnedrecon.data.loader import evaluation_batches
from learnedrecon.data.yaml_text import read_yaml
from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.experiments.budget import fastest_threads, with_steps, within
from learnedrecon.experiments.demo_report import draw, opening
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.progress import progress_of
from learnedrecon.experiments.training import TrainedRun, train
from learnedrecon.experiments.tuned_baselines import tuned
from learnedrecon.files import write_text
from learnedrecon.metrics.statistics import paired_difference
from learnedrecon.specs import to_plain
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    import os

    from learnedrecon.config.schema import Config
    from learnedrecon.data.batch import Batch
    from learnedrecon.experiments.progress import Progress
    from learnedrecon.schemes.reconstructor import Reconstructor

_LOG = logging.getLogger(__name__)

_TUNING_IMAGES = 20


@dataclass(frozen=True, eq=False)
class Demo:
    """The results of the demo.

    Attributes:
        results: Content of ``results.json``.
        scores: Scores of every method on the test phantoms.
        real: Scores of every method on the CT slice.
        folder: Path of the run folder.
    """

    results: dict[str, Any]
    scores: tuple[Scores, ...]
    real: tuple[Scores, ...]
    folder: Path


@kept_memory()
def demo(
    output: str | os.PathLike[str] = "runs/demo",
    *,
    minutes: float = 4.0,
    steps: int | None = None,
    images: int = 100,
    progress: Progress | bool = True,
) -> Demo:
    """Trains learned primal-dual on sparse-view CT and compares it with FBP and TV.

    Then a sparse-view scan of a real CT slice is simulated and reconstructed by all three.

    Args:
        output: Run folder to write; an earlier demo there is overwritten.
        minutes: Training time, which determines the number of steps.
        steps: Number of steps, independent of the time; None for as many as fit into ``minutes``.
        images: Number of test phantoms.
        progress: Callback, or True for progress bars.

    Raises:
        ConfigError: The folder contains another run.
        KeyboardInterrupt: The training was interrupted.
    """
    begun = time.perf_counter()
    folder = Path(output)
    experiment = Experiment(_demo_config())
    refuse_other_run(folder, experiment.config)
    for text in opening(experiment, images):
        _LOG.info(text)
    with fastest_threads(experiment) as threads:
        experiment = _planned(experiment, steps, minutes, threads)
        model, run = _train(experiment, folder, progress)
    trained = time.perf_counter() - begun
    show = progress_of(progress)
    tuning = min(images, _TUNING_IMAGES)
    with show("Tuning FBP and TV", 2) as advance:
        fbp = tuned("fbp", experiment, tuning)
        advance(1)
        tv = tuned("tv", experiment, tuning)
        advance(1)
    assert tv.found is not None
    methods: dict[str, Reconstructor] = {"fbp": fbp.model, "tv": tv.model, "lpd": model}
    slice_ = _ct_batch(experiment)
    scores, real = [], []
    with show("Scoring", images * len(methods)) as advance:
        for name, method in methods.items():
            batches, where = experiment.batches("test", images), experiment.data_range
            scores.append(evaluate(name, method, batches, where, on_batch=advance))
            real.append(evaluate(name, method, [slice_], where))
    results = _results(experiment, scores, real)
    results["training"] = {"steps": run.step, "seconds": trained}
    results["tuning"] = {
        "fbp": to_plain(fbp.model.spec),
        "tv_weight": tv.found.tried,
        "tv": to_plain(tv.model.spec),
    }
    results["seconds"] = time.perf_counter() - begun
    write_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    write_geometry(folder / "geometry.yaml", experiment.config.operator)
    write_array(folder / "ct_measurement.npy", slice_.problem.data[0, 0].numpy())
    phantom = next(experiment.batches("test", 1))
    draw(folder / "figure.png", methods, phantom, slice_, experiment.data_range)
    return Demo(results, tuple(scores), tuple(real), folder)


def _planned(experiment: Experiment, steps: int | None, minutes: float, threads: int) -> Experiment:
    if steps is not None:
        return with_steps(experiment, steps)
    experiment = within(experiment, minutes)
    number = experiment.config.training.steps
    _LOG.info(f"{number} training steps fit into {minutes:g} minutes, threads: {threads}.")
    return experiment


def _train(
    experiment: Experiment,
    folder: Path,
    progress: Progress | bool,  # noqa: FBT001 - as the demo has it
) -> tuple[Reconstructor, TrainedRun]:
    run = train(experiment.config, folder, resume=False, device="cpu", progress=progress)
    if run.interrupted:
        raise KeyboardInterrupt
    return load_weights(folder).model, run


def refuse_other_run(folder: Path, config: Config) -> None:
    """Check that a folder contains no run other than an earlier demo, which may be overwritten.

    Args:
        folder: Folder to write to.
        config: Configuration of the demo.

    Raises:
        ConfigError: The run there has another operator, model or data.
        FileFormatError: The configuration there cannot be read.
    """
    path = folder / "config.yaml"
    if not path.exists():
        return
    there, demo = read_yaml(path), json.loads(json.dumps(to_plain(config)))
    parts = ("operator", "model", "data")
    others = [p for p in parts if not isinstance(there, dict) or there.get(p) != demo[p]]
    if others:
        raise ConfigError(
            describe(
                expected=f"no run in {folder} but an earlier demo, which is overwritten",
                found=f"one of another {' and '.join(others)}",
                fix="choose another folder with -o",
            )
        )


def _demo_config() -> Config:
    with as_file(files("learnedrecon.config") / "presets" / "demo.yaml") as path:
        return read_config(path)


def _ct_batch(experiment: Experiment) -> Batch:
    """A sparse-view scan of the real CT slice that pydicom ships, simulated as the phantoms are."""
    path = get_testdata_file("CT_small.dcm", download=False)
    if path is None:
        raise DataError(
            describe(
                expected="the file CT_small.dcm that pydicom ships",
                found="a pydicom without it",
                fix="reinstall pydicom",
            )
        )
    attenuation = hounsfield_to_attenuation(read_ct_dicom(path).hounsfield, clip=True)
    dataset = SingleImage(attenuation.astype(np.float32), "CT_small")
    return next(evaluation_batches(dataset, experiment.builder, batch_size=1))


def _results(experiment: Experiment, scores: list[Scores], real: list[Scores]) -> dict[str, Any]:
    psnr = {score.method: score.psnr for score in scores}
    lead = paired_difference(psnr["lpd"], psnr["tv"])
    return {
        "methods": {score.method: score.to_plain() for score in scores},
        "real": {score.method: score.to_plain() for score in real},
        "test_images": scores[0].images,
        "lpd_minus_tv": {"mean": lead.mean, "ci95": list(lead.ci95)},
        "problem": to_plain(experiment.config),
    }
