"""Reconstructions of the brain without training, tuned on validation slices, for each mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.search import tune
from learnedrecon.models.classical import TV
from learnedrecon.models.regularised import CGSense, SparseWavelets, ZeroFilled
from learnedrecon.schemes.reconstructor import Reconstructor
from studies.common.brain import MASKS
from studies.common.equal_budget import milliseconds
from studies.common.scans import BRAIN, TEXT, experiment

if TYPE_CHECKING:
    from learnedrecon.experiments.experiment import Experiment
    from studies.common.study import Found, Job

TUNING = 4
"""Number of validation slices on which a weight is chosen."""


@dataclass(frozen=True)
class Baseline:
    """A method without training.

    Attributes:
        title: In tables and figures.
        method: The method with a weight.
        start: First weight of the search; None where there is nothing to choose.
    """

    title: str
    method: Callable[[float], Reconstructor]
    start: float | None = None


BASELINES = {
    "rss": Baseline("zero-filled, RSS", lambda _: ZeroFilled("rss")),
    "zero_filled": Baseline("zero-filled, SENSE", lambda _: ZeroFilled()),
    "cg_sense": Baseline("CG-SENSE", CGSense, 1e-2),
    "wavelet_sense": Baseline(
        "wavelet-SENSE",
        lambda weight: SparseWavelets(weight, tolerance=1e-4, max_iterations=300),
        6e-3,
    ),
    "tv": Baseline("TV-SENSE", lambda weight: TV(weight, gap=1e-2, max_iterations=300), 2e-3),
}


@torch.no_grad()
def without_training(name: str, baseline: Baseline, job: Job) -> Found:
    """Scores and costs of a method, with a weight of its own for each kind of mask.

    Args:
        name: Of the method.
        baseline: The method.
        job: How it is run.
    """
    torch.set_num_threads(1)
    kinds: dict[str, Any] = {}
    for kind in MASKS:
        whole = experiment(f"{BRAIN}, {kind}", ZeroFilled().spec)
        weight, tried = _weight(baseline, whole, 1 if job.quick else TUNING)
        model = baseline.method(weight).eval()
        scores = evaluate(
            "", model, whole.batches("test", 1 if job.quick else None), whole.data_range
        )
        job.say(f"{baseline.title}, {kind}: {scores.psnr.mean():.2f} dB, weight {weight:.3g}")
        kinds[kind] = {
            "weight": weight if tried else None,
            "tried": tried,
            **scores.to_plain(),
            "psnr_of_images": [round(float(value), 3) for value in scores.psnr],
            "ssim_of_images": [round(float(value), 4) for value in scores.ssim],
            "cpu_ms_per_image": milliseconds(model, whole),
        }
    return {
        "part": f"brain-{name}",
        "title": baseline.title,
        "scan": BRAIN,
        "work": TEXT[BRAIN],
        "tuned_on": TUNING,
        "kinds": kinds,
    }


def _weight(
    baseline: Baseline, whole: Experiment, images: int
) -> tuple[float, list[tuple[float, float]]]:
    """The weight of the largest mean PSNR on validation slices, and all that were tried."""
    if baseline.start is None:
        return 0.0, []
    batches = list(whole.batches("validation", images))

    def score(weight: float) -> float:
        scores = evaluate("", baseline.method(weight), batches, whole.data_range)
        return scores.summary()["psnr"].mean

    found = tune(score, baseline.start, 3.0, refinements=1)
    return found.value, list(found.tried)
