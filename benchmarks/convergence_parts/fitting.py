"""Trains one method with one seed through the library, as `learnedrecon train` does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console

from convergence_parts.counting import counted
from convergence_parts.scans import SIZE, experiment
from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.strategy import Strategy
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray.geometry2d import ParallelBeam
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.loggers import RichProgress
from learnedrecon.training.loop import train
from learnedrecon.training.run import RunFolder
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from convergence_parts.counting import Evaluations
    from convergence_parts.trainings import Training
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.schemes.reconstructor import Reconstructor


def fit(training: Training, seed: int, folder: Path) -> dict[str, Any]:
    """Trains anew in ``folder`` and scores the best weights on the test images.

    Raises:
        KeyboardInterrupt: the training was asked to stop; the weights so far are saved.
    """
    torch.set_num_threads(1)
    whole = experiment(training.scan, training.model, training.spec(seed), training.images)
    accelerator = make_accelerator(whole.config.training.precision, cpu=True)
    model = whole.model()
    run = RunFolder.start(
        folder, config=to_plain(whole.config), blueprint=whole.blueprint, overwrite=True
    )
    strategy = Strategy.of(whole, model, accelerator, folder)
    begun = time.perf_counter()
    with counting(whole) as calls:

        def validate(some: torch.nn.Module) -> Mapping[str, float]:
            with calls.pause():
                return strategy.validate(some)

        result = train(
            model=model,
            source=strategy.source,
            update=strategy.update,
            run=run,
            spec=whole.config.training,
            validate=validate,
            loggers=[RichProgress(Console(), every=60)],
        )
    seconds = time.perf_counter() - begun
    if result.interrupted:
        raise KeyboardInterrupt
    strategy.close()
    return {
        "seed": seed,
        "steps": result.step,
        "best_validation_psnr": result.best,
        "training_seconds": seconds,
        "training_calls": calls.number if _projects(whole) else None,
        **scored(best(folder), whole),
    }


def best(folder: Path) -> Reconstructor:
    """The best weights of a run."""
    run = folder / "checkpoints" / "best.safetensors"
    return load_weights(run, models=MODELS, operators=OPERATORS).model.eval()


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
        "calls_per_image": calls.number if _projects(whole) else None,
    }


def counting(whole: Experiment) -> AbstractContextManager[Evaluations]:
    """Counts the projections of a scan; none where it is no scan."""
    scan = whole.config.operator
    return counted((SIZE, SIZE), len(scan.angles.values()) if _projects(whole) else 1)


def _projects(whole: Experiment) -> bool:
    return isinstance(whole.config.operator, ParallelBeam)


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
