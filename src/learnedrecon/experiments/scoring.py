"""Scores, files and figures common to evaluations and comparisons."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon import specs
from learnedrecon.evaluation.figure import Panel, Row, comparison
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.experiments.acquisition import image_unit
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.experiments.progress import silent
from learnedrecon.files import write_text
from learnedrecon.metrics.image import psnr
from learnedrecon.metrics.pictures import pictures
from learnedrecon.models.registry import MODELS
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from learnedrecon.data.batch import Batch
    from learnedrecon.experiments.material import Material
    from learnedrecon.experiments.method import Method
    from learnedrecon.experiments.progress import Progress

_SHOWN = 3


def score(method: Method, material: Material, progress: Progress = silent) -> Scores:
    """The scores of a method on test images.

    Args:
        method: The method.
        material: Test images and data range.
        progress: Callback that is told the number of images done.

    Raises:
        DataError: There are no test images, or none with a score, or they have no truths.
    """
    total = min(material.evaluation.images, len(material.dataset("test")))
    with progress(f"Scoring {method.label}", total) as advance:
        return evaluate(
            method.label,
            method.model,
            with_fidelity_of(method, material.batches("test")),
            material.data_range,
            on_batch=advance,
            volumes=material.dataset("test").volumes(),
        )


def with_fidelity_of(method: Method, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The same batches with the data term of the method's training, or one defined for the data.

    Args:
        method: Method.
        batches: Batches.
    """
    fidelity = FIDELITIES[method.fidelity]()
    for batch in batches:
        assert isinstance(batch.problem, InverseProblem)
        yield batch._replace(problem=replace(batch.problem, fidelity=fidelity))


@torch.no_grad()
def draw(methods: Sequence[Method], material: Material, target: Path) -> None:
    """Writes a figure of the first test images: truth, methods, error maps, PSNR, grey scales.

    It shows the middle slice of volumes, the magnitude of complex images, and the first of several
    channels.

    Args:
        methods: Methods, one per column.
        material: Test images and data range.
        target: Path of a PNG.
    """
    rows = []
    for shared in material.batches("test", _SHOWN, batch_size=1):
        assert shared.truth is not None
        assert isinstance(shared.problem, InverseProblem)
        panels = []
        for method in methods:
            (batch,) = with_fidelity_of(method, [shared])
            estimate = method.model(batch.problem).image
            panels.append(
                Panel(method.label, shown(estimate), _decibel(shared, estimate, material))
            )
        truth = shown(shared.truth)
        window = (float(truth.min()), float(truth.max()))
        unit = image_unit(shared.problem.operator.spec)
        rows.append(Row(shared.ids[0], Panel("truth", truth), tuple(panels), window, unit))
    comparison(rows, target)


def shown(images: torch.Tensor) -> np.ndarray:
    """The picture (ny, nx) of the first image of a batch; the middle slice of a volume.

    Args:
        images: Images (batch, channel, *space).
    """
    slices = pictures(images[:1, :1])[0]
    return slices[len(slices) // 2].detach().cpu().numpy()


def _decibel(batch: Batch, estimate: torch.Tensor, material: Material) -> str:
    """The PSNR of one image in words; nothing where it has none."""
    assert batch.truth is not None
    truth = pictures(batch.truth)
    if not bool(material.data_range.defined(truth).all()):
        return ""
    pair = {"truth": truth, "estimate": pictures(estimate)}
    return f"{psnr(**pair, data_range=material.data_range)[0]:.2f} dB"


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Atomic write of plain data as JSON.

    Args:
        path: Path of the file.
        content: Plain data.

    Raises:
        FileFormatError: The file cannot be written.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def plain(method: Method, scores: Scores) -> dict[str, Any]:
    """A method and its scores for JSON, with one number per image.

    Args:
        method: Method.
        scores: Scores of the method.
    """
    return scores.to_plain() | {"model": recorded(method), "per_image": scores.per_image()}


def recorded(method: Method) -> dict[str, Any]:
    """The record of a method as plain data; only its class where it is not registered.

    Args:
        method: Method.
    """
    spec = method.model.spec
    if spec is None or MODELS.name_of(spec) is None:
        return {"class": type(method.model).__qualname__}
    return specs.named_to_plain(MODELS, spec)


def undefined_text(scores: Sequence[Scores]) -> str | None:
    """A sentence about the images without a score, or None where all have one.

    Args:
        scores: Scores of the methods.
    """
    names = list(dict.fromkeys(name for each in scores for name in each.undefined))
    if not names:
        return None
    some = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
    return (
        f"{len(names)} of {scores[0].images} test images have a score that is not defined, as the "
        f"truth is constant or zero or the estimate exact, and are left out of its mean: {some}."
    )
