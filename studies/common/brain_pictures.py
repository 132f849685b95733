"""What needs trained weights again: pictures with error maps, and the measured brain."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import torch
from examples.brain_sense import read_scan, split
from PIL import Image

from benchmarks.harness.run import FIGURES
from learnedrecon.files import atomic_path
from learnedrecon.models.regularised import ZeroFilled
from learnedrecon.problem import InverseProblem
from studies.common.brain_baselines import BASELINES
from studies.common.fitting import best
from studies.common.scans import BRAIN, experiment
from studies.common.study import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.schemes.reconstructor import Reconstructor
    from studies.common.study import Found, Job

SHOWN = "equispaced, 8×"
MEASURED = Path(__file__).parents[3] / "shared" / "data" / "brain_kspace.npy"
WINDOW = 0.15
"""Largest error that a map of errors shows, relative to the largest value of the true image."""
COLOURS = 64
"""Number of colours of the file, which keep it below 200 kB."""


def trained(job: Job, parts: Sequence[str]) -> dict[str, tuple[str, Reconstructor]]:
    """Titles and best weights by part, of the trainings that are in the folder of a job."""
    found = {}
    for part in parts:
        result = read(job.results, part)
        folder = job.folder(part) / "0"
        if result is not None and (folder / "checkpoints" / "best.safetensors").exists():
            found[part] = (result["title"], best(folder))
    return found


def _tuned(job: Job) -> dict[str, tuple[str, Reconstructor]]:
    """Methods without training, with their weights for the kind that is shown."""
    found = {}
    for name, baseline in BASELINES.items():
        result = read(job.results, f"brain-{name}")
        if result is not None:
            weight = result["kinds"][SHOWN]["weight"] or 0.0
            found[f"brain-{name}"] = (baseline.title, baseline.method(weight).eval())
    return found


@torch.no_grad()
def error_maps(parts: Sequence[str], job: Job) -> Found:
    """Draws magnitudes and errors of a test slice by all methods, docs/figures/brain-mri.png.

    Args:
        parts: Trainings.
        job: With the folder of their weights.
    """
    whole = experiment(f"{BRAIN}, {SHOWN}", ZeroFilled().spec)
    batch = next(whole.batches("test", 1, 1))
    assert batch.truth is not None
    truth = batch.truth[0, 0].abs()
    methods = {**_tuned(job), **trained(job, parts)}
    images = {title: model(batch.problem).image[0, 0].abs() for title, model in methods.values()}
    top, psnr = float(truth.max()), {}
    columns = 1 + len(images)
    figure, axes = plt.subplots(
        2, columns, figsize=(1.25 * columns, 3.1), layout="constrained", squeeze=False
    )
    for axis, (title, image) in zip(axes.T, {"true image": truth, **images}.items(), strict=True):
        error = (image - truth).abs()
        psnr[title] = float(20 * (top / error.square().mean().sqrt()).log10())
        axis[0].imshow(image, cmap="gray", vmin=0, vmax=top)
        axis[1].imshow(error, cmap="inferno", vmin=0, vmax=WINDOW * top)
        below = "" if image is truth else f"\n{psnr[title]:.1f} dB"
        axis[0].set_title(title.replace(", ", ",\n").replace(" ", "\n", 1) + below, fontsize=6)
    for axis in axes.flat:
        axis.set_axis_off()
    path = (job.results if job.quick else FIGURES) / "brain-mri.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")
        with Image.open(temporary) as picture:
            few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(temporary, format="PNG", optimize=True)
    plt.close(figure)
    psnr.pop("true image")
    return {"image": batch.ids[0], "psnr": psnr, "bytes": path.stat().st_size}


@torch.no_grad()
def measured(parts: Sequence[str], job: Job) -> Found:
    """The residual of every trained network on k-space samples that it has not seen.

    The samples and the scale are those of examples/brain_sense.py. A network with coil maps of its
    own is judged with these.

    Args:
        parts: Trainings.
        job: With the folder of their weights.
    """
    scan, mask = read_scan(MEASURED, lambda whole: split(whole).used)
    used = split(mask)
    problem = InverseProblem(scan.operator(used.used), (scan.kspace * used.used)[None, None])
    whole = InverseProblem(scan.operator(used.testing), (scan.kspace * used.testing)[None, None])
    rows: dict[str, Any] = {}
    for part, (title, model) in trained(job, parts).items():
        image = model(problem).image
        rows[part] = {"title": title, "held_out_residual": _residual(image, model, problem, whole)}
        job.say(f"{title}: {rows[part]['held_out_residual']:.3f}")
    plain = ZeroFilled()(problem).image
    rows["zero-filled"] = {
        "title": "zero-filled",
        "held_out_residual": _residual(plain, ZeroFilled(), problem, whole),
    }
    return {"data": MEASURED.name, "samples": int(used.testing.sum()), "methods": rows}


def _residual(
    image: Tensor, model: Reconstructor, seen: InverseProblem, unseen: InverseProblem
) -> float:
    """‖M(Tu - y)‖/‖My‖ on the samples M that were not seen, with the model's own maps."""
    prepare = getattr(model, "prepare", None)
    maps = None if prepare is None else getattr(prepare(seen).operator, "maps", None)
    operator: Any = unseen.operator
    operator = operator if maps is None else operator.with_tensors({"maps": maps})
    return float((operator(image) - unseen.data).norm() / unseen.data.norm())


PARTS = {"brain-figure": error_maps, "brain-measured": measured}


def with_weights(parts: Sequence[str]) -> dict[str, Any]:
    """The parts of the study that need the weights of others.

    Args:
        parts: Trainings.
    """
    return {name: partial(part, parts) for name, part in PARTS.items()}
