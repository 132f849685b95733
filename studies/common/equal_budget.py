"""Trainings of learned schemes on one scan, each with the same CPU time of one core.

A pilot of a few steps times a step and, where there are several learning rates, chooses the one
with the best PSNR on the validation images; the training then has as many steps as fit.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import typer

from benchmarks.harness.machine import record
from benchmarks.harness.tables import commit
from learnedrecon.experiments.strategy import Strategy
from learnedrecon.models.classical import FBP
from learnedrecon.models.registry import MODELS
from learnedrecon.schemes.reconstructor import Reconstructor
from learnedrecon.specs import from_plain, to_plain
from learnedrecon.training.accelerator import make_accelerator, place
from learnedrecon.training.losses import SquaredError
from learnedrecon.training.spec import CheckpointSpec, OptimiserSpec, ScheduleSpec, TrainingSpec
from studies.common.fitting import best, counting, scored, summary, train_in
from studies.common.scans import SPARSE, TEXT, experiment
from studies.common.scores import baseline
from studies.common.study import RESULTS, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from learnedrecon.experiments.experiment import Experiment
    from studies.common.study import Found, Job

BUDGET = 120.0
VALIDATIONS = 4
TIMED_IMAGES = 7


@dataclass(frozen=True)
class Scheme:
    """A learned scheme of the comparison.

    Attributes:
        title: In tables and figures.
        model: An untrained one.
        rates: Largest learning rates to choose from.
        loss: What is minimised.
        budget: CPU seconds of the training, with its validations.
        pilot: Steps of the pilot of every learning rate.
        seeds: Trainings that differ in the seed of weights and images alone.
        scan: What is measured.
    """

    title: str
    model: Reconstructor
    rates: tuple[float, ...] = (3e-3,)
    loss: Any = field(default_factory=SquaredError)
    budget: float = BUDGET
    pilot: int = 8
    seeds: int = 1
    scan: str = SPARSE

    def experiment(self, steps: int, rate: float, seed: int = 0) -> Experiment:
        """With one image a step."""
        training = TrainingSpec(
            steps=steps,
            optimiser=OptimiserSpec(learning_rate=rate, betas=(0.9, 0.99)),
            schedule=ScheduleSpec(warmup=0.03),
            validate_every=max(1, steps // VALIDATIONS),
            log_every=50,
            checkpoint=CheckpointSpec(every=100_000, seconds=None),
            seed=seed,
        )
        whole = experiment(self.scan, self.model.spec, training)
        return replace(whole, config=replace(whole.config, loss=self.loss))


def trained_within(name: str, scheme: Scheme, job: Job) -> Found:
    """What is kept of the trainings of a scheme, beside its pilots."""
    torch.set_num_threads(1)
    if job.more:
        return _with_more_seeds(name, scheme, job)
    pilots = [_pilot(scheme, rate) for rate in scheme.rates]
    chosen = max(pilots, key=lambda one: one["psnr"])
    per_step = min(one["cpu_seconds_per_step"] for one in pilots)
    budget = 5.0 if job.quick else job.budget or scheme.budget
    steps = max(VALIDATIONS, int(budget / per_step) // VALIDATIONS * VALIDATIONS)
    job.say(f"{scheme.title}: {pilots}, {steps} steps")
    seeds = range(1 if job.quick else scheme.seeds)
    plan = (steps, chosen["rate"])
    runs = [_of_seed(name, scheme, plan, seed, job) for seed in seeds]
    return {
        "title": scheme.title,
        "scan": scheme.scan,
        "work": TEXT[scheme.scan],
        "config": _config(scheme, *plan),
        "cpu_budget": budget,
        "pilots": pilots,
        **summary(runs),
        "runs": runs,
    }


def _with_more_seeds(name: str, scheme: Scheme, job: Job) -> Found:
    """A recorded result with the seeds that it lacks, which train as its first one did.

    Raises:
        typer.BadParameter: Nothing is recorded, or the scheme is no longer the recorded one.
    """
    known = read(job.results, name)
    if known is None:
        raise typer.BadParameter(f"--more needs a recorded training: run --only {name} first")
    plan = _planned(known)
    if _given(_config(scheme, *plan)) != _given(known["config"]):
        raise typer.BadParameter(f"the configuration of {name} is not the recorded one: train anew")
    missing = sorted(set(range(scheme.seeds)) - {run["seed"] for run in known["runs"]})
    at = commit(record(name))
    added = [{**_of_seed(name, scheme, plan, seed, job), "commit": at} for seed in missing]
    runs = sorted([*known["runs"], *added], key=itemgetter("seed"))
    return {**known, **summary(runs), "runs": runs}


def _planned(known: Found) -> tuple[int, float]:
    """Steps and learning rate of a recorded training."""
    training = known["config"]["training"]
    return training["steps"], training["optimiser"]["learning_rate"]


def _config(scheme: Scheme, steps: int, rate: float) -> dict[str, Any]:
    """As JSON has it."""
    found: dict[str, Any] = json.loads(json.dumps(to_plain(scheme.experiment(steps, rate).config)))
    return found


def _given(config: Any) -> Any:  # noqa: ANN401 - plain data
    """Without what is None, which earlier versions did not write where they did not know it."""
    if not isinstance(config, dict):
        return config
    return {key: _given(value) for key, value in config.items() if value is not None}


def _of_seed(
    name: str, scheme: Scheme, plan: tuple[int, float], seed: int, job: Job
) -> dict[str, Any]:
    """One training in its folder."""
    folder = job.folder(name) / str(seed)
    run = {"seed": seed, **_trained(folder, scheme.experiment(*plan, seed))}
    job.say(f"{scheme.title}, seed {seed}: {run['psnr']:.2f} dB")
    return run


@torch.no_grad()
def classical_costs(scan: str) -> Found:
    """CPU time and calls of T and T* for one image of the tuned methods that are not learned."""
    torch.set_num_threads(1)
    whole = experiment(scan, FBP().spec)
    found: Found = {"scan": scan}
    for name, row in baseline(RESULTS, scan).items():
        model = MODELS[name].build(from_plain(MODELS[name].spec, row["spec"], name))
        counts = []
        for batch in whole.batches("test", TIMED_IMAGES, 1):
            with counting(whole) as calls:
                model(batch.problem)
                counts.append(calls.number)
        found[name] = {"calls": statistics.median(counts), "cpu_ms": milliseconds(model, whole)}
    return found


def rise(run: Mapping[str, Any]) -> float:
    """The rise of the validation PSNR in dB over the last quarter of the training."""
    curve = dict(run["validation"])
    last = max(curve)
    return curve[last] - curve[min(curve, key=lambda step: abs(step - 0.75 * last))]


def _pilot(scheme: Scheme, rate: float) -> dict[str, Any]:
    """The median CPU time of a step, and the validation PSNR before and after all of them."""
    whole = scheme.experiment(scheme.pilot, rate)
    model, validate = whole.model(), whole.validation()
    accelerator = make_accelerator("no", cpu=True)
    place(model, accelerator, channels_last=False)
    update = Strategy.of(whole, model, scheme.loss, accelerator, cache=Path(), identity="").update
    batches = whole.training_batches().batches(0)
    before, times = _validated(model, validate), []
    for step in range(scheme.pilot):
        begun = time.process_time()
        update(model, [next(batches)], step=step)
        times.append(time.process_time() - begun)
    return {
        "rate": rate,
        "steps": scheme.pilot,
        "cpu_seconds_per_step": statistics.median(times[2:]),
        "psnr_before": before,
        "psnr": _validated(model, validate),
    }


def _validated(model: Reconstructor, validate: Any) -> float:  # noqa: ANN401 - of a strategy
    model.eval()
    with torch.no_grad():
        found = float(validate(model)["psnr"])
    model.train()
    return found


def _trained(folder: Path, whole: Experiment) -> dict[str, Any]:
    """One training, its validations, and the scores of its best weights on the test images."""
    begun, used = time.perf_counter(), time.process_time()
    with counting(whole) as calls:
        result = train_in(folder, whole, calls)
    spent = {
        "training_seconds": time.perf_counter() - begun,
        "training_cpu_seconds": time.process_time() - used,
    }
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [line for line in map(json.loads, lines) if line["event"] == "validation"]
    model = best(folder)
    return {
        "steps": result.step,
        "best_validation_psnr": result.best,
        "validation": [[line["step"], line["psnr"]] for line in records],
        **spent,
        "training_calls": calls.number,
        **scored(model, whole),
        "cpu_ms_per_image": milliseconds(model, whole),
    }


@torch.no_grad()
def milliseconds(model: Reconstructor, whole: Experiment) -> float:
    """The median CPU time of the reconstruction of a single image."""
    times = []
    for batch in whole.batches("test", TIMED_IMAGES, 1):
        begun = time.process_time()
        model(batch.problem)
        times.append(time.process_time() - begun)
    return 1e3 * statistics.median(times[1:])
