"""Claim: a weight of total variation that was tuned at one noise has to follow the noise.

    python -m studies.noise            # studies/results/noise.json, a minute

The problem is the demo's: phantoms of 128², 30 angles, noise of 2.5 % of mean |y|; the weight α of
u ↦ ½‖Tu - y‖² + α TV(u) is the one that the recorded demo tuned on validation phantoms. The CT
slice that pydicom ships is denser, so that its noise σ = .025 mean |y| is stronger. With α ∝ σ² the
minimiser stays the most probable image where the prior does; by the discrepancy principle (Morozov,
1966) ‖Tu - y‖ is that of the noise. Both take σ from the data alone.
"""

from __future__ import annotations

import math
from importlib.resources import as_file, files
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import typer
from pydicom.data import get_testdata_file

from benchmarks.harness.tables import Cell, Table, table
from learnedrecon.config.yaml_file import read_config
from learnedrecon.data.datasets import SingleImage
from learnedrecon.data.files.dicom import hounsfield_to_attenuation, read_ct_dicom
from learnedrecon.data.loader import evaluation_batches
from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.models.classical import TV
from studies.common.study import RESULTS, Study, not_measured, read

if TYPE_CHECKING:
    from learnedrecon.data.batch import Batch
    from learnedrecon.problem import Problem
    from studies.common.study import Job

LEVEL = 0.025


def measured(_: Job) -> dict[str, Any]:
    """Total variation with the weight of the phantoms, and with weights that follow the noise."""
    with as_file(files("learnedrecon.config") / "presets" / "demo.yaml") as path:
        demo = Experiment(read_config(path))
    recorded = read(RESULTS, "demo-4")
    assert recorded is not None
    tuned = max(recorded["tuning"]["tv_weight"], key=itemgetter(1))[0]
    validation = demo.batches("validation", 20, 1)
    variance = float(np.mean([noise_of(batch.problem) ** 2 for batch in validation]))
    slice_ = ct_slice(demo)
    ratio = noise_of(slice_.problem) / math.sqrt(variance)
    weights = {
        "tuned on phantoms": tuned,
        "in proportion to σ²": tuned * ratio**2,
        "discrepancy principle": by_discrepancy(slice_.problem),
    }
    rows = [score(name, slice_, demo, weight) for name, weight in weights.items()]
    return {"level": LEVEL, "noise_over_that_of_phantoms": ratio, "rows": rows}


def noise_of(problem: Problem) -> float:
    """σ, from the data of one image."""
    return LEVEL * float(problem.data.abs().mean())


def ct_slice(demo: Experiment) -> Batch:
    """The scan of the slice, simulated as the phantoms are."""
    path = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    attenuation = hounsfield_to_attenuation(read_ct_dicom(path).hounsfield, clip=True)
    dataset = SingleImage(attenuation.astype(np.float32), "CT_small")
    return next(evaluation_batches(dataset, demo.builder, batch_size=1))


def score(name: str, batch: Batch, demo: Experiment, weight: float) -> dict[str, Any]:
    """PSNR and SSIM with a weight."""
    found = evaluate("", TV(weight), [batch], demo.data_range)
    psnr, ssim = float(found.psnr[0]), float(found.ssim[0])
    return {"weight_is": name, "weight": weight, "psnr": psnr, "ssim": ssim}


@torch.no_grad()
def by_discrepancy(problem: Problem) -> float:
    """The weight with ‖Tu - y‖ = σ√n, by bisection of its logarithm."""
    target = noise_of(problem) * math.sqrt(problem.data.numel())
    low, high = 1e-2, 1.0
    while high > 1.02 * low:
        middle = math.sqrt(low * high)
        image = TV(middle)(problem).image
        above = float((problem.forward(image) - problem.data).norm()) > target
        low, high = (low, middle) if above else (middle, high)
    return math.sqrt(low * high)


def page(results: Path) -> list[Table | str]:
    """PSNR and SSIM with every weight."""
    found = read(results, "noise")
    if found is None:
        return [not_measured("noise", "noise")]
    columns: dict[str, Cell] = {
        "weight": "weight_is",
        "α": "weight",
        "PSNR (dB)": lambda row: f"{row['psnr']:.2f}",
        "SSIM": lambda row: f"{row['ssim']:.3f}",
    }
    ratio = found["noise_over_that_of_phantoms"]
    return [table(found["rows"], columns, f"The noise of the slice is {ratio:.2f} times theirs.")]


STUDY = Study(
    "noise",
    "A weight of total variation that was tuned at one noise has to follow the noise.",
    "With the weight of the phantoms total variation is several dB below what it reaches on the CT "
    "slice with a weight for the noise that is there. The weight in proportion to the variance and "
    "the discrepancy principle both find it from the data alone.",
    {"noise": measured},
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
