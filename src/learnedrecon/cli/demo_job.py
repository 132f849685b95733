"""What ``learnedrecon demo`` does, step by step."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.data import get_testdata_file

from learnedrecon.cli.demo_report import draw, print_closing, print_opening, print_table
from learnedrecon.config.yaml_file import read_config, write_geometry
from learnedrecon.data.datasets import SingleImage
from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.files.dicom import hounsfield_to_attenuation, read_ct_dicom
from learnedrecon.data.loader import evaluation_batches
from learnedrecon.data.yaml_text import read_yaml
from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.experiments.budget import fastest_threads, with_steps, within
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.tuned_baselines import tuned_fbp, tuned_tv
from learnedrecon.files import write_text
from learnedrecon.metrics.statistics import paired_difference
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.loggers import RichProgress
from learnedrecon.training.loop import TrainingResult, train
from learnedrecon.training.run import RunFolder
from learnedrecon.training.update import Supervised
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from learnedrecon.config.schema import Config
    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Reconstructor


_TUNING_IMAGES = 20


@dataclass(frozen=True)
class DemoJob:
    """The demo.

    Attributes:
        output: the run folder.
        minutes: how long to train, if ``steps`` is None.
        steps: of training.
        images: test phantoms.
    """

    output: Path
    minutes: float
    steps: int | None
    images: int

    def run(self, console: Console) -> dict[str, Any]:
        """Does everything, and returns what ``results.json`` holds."""
        begun = time.perf_counter()
        experiment = Experiment(_demo_config())
        refuse_other_run(self.output, experiment.config)
        print_opening(console, experiment, self.images)
        with fastest_threads(experiment) as threads:
            experiment = self._planned(experiment, threads, console)
            model, training = self._train(experiment, console)
        trained = time.perf_counter() - begun
        tuning = min(self.images, _TUNING_IMAGES)
        with console.status("tuning FBP and TV on validation phantoms ..."):
            fbp, bandwidths = tuned_fbp(experiment, tuning)
            tv, weights = tuned_tv(experiment, tuning)
        methods: dict[str, Reconstructor] = {"fbp": fbp, "tv": tv, "lpd": model}
        slice_ = _ct_batch(experiment)
        with console.status(f"reconstructing {self.images} test phantoms with each method ..."):
            scores = [
                evaluate(name, method, self._phantoms(experiment), experiment.data_range)
                for name, method in methods.items()
            ]
            real = [
                evaluate(name, method, [slice_], experiment.data_range)
                for name, method in methods.items()
            ]
        results = _results(experiment, scores, real)
        results["training"] = {"steps": training.step, "seconds": trained}
        results["tuning"] = {
            "fbp_bandwidth": bandwidths.tried,
            "tv_weight": weights.tried,
            "tv_nonnegative": tv.nonnegative,
        }
        results["seconds"] = time.perf_counter() - begun
        self._write(experiment, results, slice_)
        phantom = next(experiment.batches("test", 1))
        draw(self.output / "figure.png", methods, phantom, slice_, experiment.data_range)
        print_table(console, scores, real)
        print_closing(console, results, self.output)
        return results

    def _phantoms(self, experiment: Experiment) -> Iterator[Batch]:
        return experiment.batches("test", self.images)

    def _planned(self, experiment: Experiment, threads: int, console: Console) -> Experiment:
        if self.steps is not None:
            return with_steps(experiment, self.steps)
        with console.status("timing a few training steps ..."):
            experiment = within(experiment, self.minutes)
        steps = experiment.config.training.steps
        console.print(
            f"{steps} training steps fit into {self.minutes:g} minutes, threads: {threads}."
        )
        return experiment

    def _train(
        self, experiment: Experiment, console: Console
    ) -> tuple[Reconstructor, TrainingResult]:
        config = experiment.config
        model = experiment.model()
        run = RunFolder.start(
            self.output, config=to_plain(config), blueprint=experiment.blueprint, overwrite=True
        )
        result = train(
            model=model,
            source=experiment.training_batches(),
            update=_update(model, experiment),
            run=run,
            spec=config.training,
            validate=experiment.validation(),
            loggers=[RichProgress(console)],
        )
        if result.interrupted:
            raise KeyboardInterrupt
        return load_weights(run.checkpoints.best, models=MODELS, operators=OPERATORS).model, result

    def _write(self, experiment: Experiment, results: dict[str, Any], slice_: Batch) -> None:
        write_text(self.output / "results.json", json.dumps(results, indent=2) + "\n")
        write_geometry(self.output / "geometry.yaml", experiment.config.operator)
        write_array(self.output / "ct_measurement.npy", slice_.problem.data[0, 0].numpy())


def refuse_other_run(folder: Path, config: Config) -> None:
    """Refuses a folder with a run that is not a demo; an earlier demo may be overwritten.

    Args:
        folder: to write to.
        config: of the demo.

    Raises:
        ConfigError: the operator, the model or the data of the run there are others.
        FileFormatError: the configuration there cannot be read.
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


def _update(model: Reconstructor, experiment: Experiment) -> Supervised:
    config = experiment.config
    return Supervised(
        model,
        loss=config.loss,
        spec=config.training,
        accelerator=make_accelerator(config.training.precision, cpu=True),
    )


def _ct_batch(experiment: Experiment) -> Batch:
    """A sparse-view scan of the real CT slice that pydicom ships, simulated as the phantoms are."""
    path = get_testdata_file("CT_small.dcm", download=False)
    if path is None:
        raise DataError(
            describe(
                expected="the file CT_small.dcm that pydicom ships",
                found="a pydicom without it",
                fix="install pydicom anew",
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
