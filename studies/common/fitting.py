"""Trains a method through the library, as `learnedrecon train` does, and counts what it costs.

Projections are counted in schemes and in autograd alike.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console

from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.strategy import Strategy
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray import batched_kernels
from learnedrecon.operators.ray.geometry2d import FlatBeam
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.loggers import RichProgress
from learnedrecon.training.loop import train
from learnedrecon.training.run import RunFolder
from learnedrecon.weights.checkpoint import load_weights
from studies.common.scans import SPARSE, experiment
from studies.common.study import RUNS
from studies.common.trainings import TRAININGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor

    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.training.loop import TrainingResult
    from studies.common.trainings import Training


@dataclass
class Evaluations:
    """A counter.

    Attributes:
        number: of projections and back-projections of one image; m of n angles count m/n.
        paused: whether it does not count now.
    """

    number: float = 0.0
    paused: bool = False

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Inside, nothing is counted."""
        self.paused = True
        try:
            yield
        finally:
            self.paused = False


@contextmanager
def counted(shape: tuple[int, int], angles: int) -> Iterator[Evaluations]:
    """Counts inside.

    Args:
        shape: of the images; projections of others, such as the finer ones of simulated data, are
            not counted.
        angles: of the whole scan.
    """
    found = Evaluations()
    plain = batched_kernels.evaluate

    def evaluate(x: Tensor, vectors: Tensor, sizes: Any, *, transpose: bool) -> Tensor:  # noqa: ANN401 - the kernel's
        if not found.paused and tuple(sizes.shape) == shape:
            images = x.shape[:-2].numel() if x.ndim > 2 else 1
            found.number += images * vectors.shape[-2] / angles
        return plain(x, vectors, sizes, transpose=transpose)

    with mock.patch.object(batched_kernels, "evaluate", evaluate):
        yield found


def fit(training: Training, seed: int, folder: Path) -> dict[str, Any]:
    """Trains anew in ``folder`` and scores the best weights on the test images."""
    torch.set_num_threads(1)
    whole = experiment(training.scan, training.model, training.spec(seed), training.images)
    begun = time.perf_counter()
    with counting(whole) as calls:
        result = train_in(folder, whole, calls)
    return {
        "seed": seed,
        "steps": result.step,
        "best_validation_psnr": result.best,
        "training_seconds": time.perf_counter() - begun,
        "training_calls": calls.number if _projects(whole) else None,
        **scored(best(folder), whole),
    }


def train_in(
    folder: Path, whole: Experiment, calls: Evaluations, *, overwrite: bool = True
) -> TrainingResult:
    """Trains as a configuration says, in a run folder.

    Args:
        folder: Of the run.
        whole: The experiment.
        calls: Paused while it validates.
        overwrite: Whether an earlier run is begun anew, rather than going on.

    Raises:
        KeyboardInterrupt: The training was asked to stop; the weights so far are saved.
    """
    config, model = whole.config, whole.model()
    accelerator = make_accelerator(
        config.training.precision, cpu=torch.device(whole.device).type == "cpu"
    )
    run = RunFolder.start(
        folder, config=to_plain(config), blueprint=whole.blueprint, overwrite=overwrite
    )
    strategy = Strategy.of(
        whole, model, config.loss, accelerator, cache=folder / "cache", identity=str(config)
    )

    def validate(some: torch.nn.Module) -> Mapping[str, float]:
        with calls.pause():
            return strategy.validate(some)

    result = train(
        model=model,
        source=strategy.source,
        update=strategy.update,
        run=run,
        spec=config.training,
        validate=validate,
        loggers=[RichProgress(Console(), every=60)],
    )
    if result.interrupted:
        raise KeyboardInterrupt
    strategy.close()
    return result


def best(folder: Path) -> Reconstructor:
    """The best weights of a run."""
    run = folder / "checkpoints" / "best.safetensors"
    return load_weights(run, models=MODELS, operators=OPERATORS).model.eval()


def trained_equilibrium(name: str) -> tuple[Iterative, InverseProblem, Tensor]:
    """The first seed of a training, and the data and truths of eight test images."""
    whole = experiment(SPARSE, TRAININGS[name].model)
    model, batch = best(RUNS / name / "0"), next(whole.batches("test", 8, 8))
    assert isinstance(model, Iterative)
    assert isinstance(batch.problem, InverseProblem)
    assert batch.truth is not None
    return model, batch.problem, batch.truth


def steps_trained(name: str) -> int:
    """Steps of the first seed of a training until its best weights."""
    lines = (RUNS / name / "0" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    validations = [found for found in map(json.loads, lines) if found["event"] == "validation"]
    return max(validations, key=itemgetter("psnr"))["step"]


def scored(model: Reconstructor, whole: Experiment) -> dict[str, Any]:
    """On the test images, with the calls of one reconstruction."""
    scores = evaluate("", model, whole.batches("test"), whole.data_range)
    one = next(whole.batches("test", 1))
    with torch.no_grad(), counting(whole) as calls:
        model(one.problem)
    return {
        **scores.to_plain(),
        "psnr_stderr": scores.summary()["psnr"].stderr,
        "psnr_of_images": [round(float(value), 3) for value in scores.psnr],
        "ssim_of_images": [round(float(value), 4) for value in scores.ssim],
        "calls_per_image": calls.number if _projects(whole) else None,
    }


def counting(whole: Experiment) -> AbstractContextManager[Evaluations]:
    """Counts the projections of a scan; none where it is no scan."""
    scan = whole.config.operator
    return counted(scan.shape, len(scan.angles.values()) if _projects(whole) else 1)


def _projects(whole: Experiment) -> bool:
    return isinstance(whole.config.operator, FlatBeam)


def summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Mean and spread over the seeds."""
    psnr = np.array([run["psnr"] for run in runs])
    return {
        "psnr": float(psnr.mean()),
        "psnr_std_of_seeds": float(psnr.std(ddof=1)) if len(psnr) > 1 else 0.0,
        "ssim": float(np.mean([run["ssim"] for run in runs])),
        "training_seconds": float(np.mean([run["training_seconds"] for run in runs])),
    }


def all_seeds(training: Training, folder: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every seed, one after the other."""
    runs = []
    for seed in range(training.seeds):
        runs.append(fit(training, seed, folder / str(seed)))
        say(f"{training.title}, seed {seed}: {runs[-1]['psnr']:.2f} dB")
    return runs
