"""Texts, table and figure of the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from rich import box
from rich.table import Table

from learnedrecon.evaluation.figure import Panel, Row, comparison
from learnedrecon.metrics.image import psnr, ssim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from learnedrecon.data.batch import Batch
    from learnedrecon.evaluation.scores import Scores
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.metrics.ranges import DataRange
    from learnedrecon.schemes.reconstructor import Reconstructor

_TITLES = {"fbp": "FBP", "tv": "total variation", "lpd": "filtered primal-dual"}


def opening(experiment: Experiment, images: int) -> list[str]:
    """The problem in paragraphs, for the beginning of the demo.

    Args:
        experiment: Experiment of the demo.
        images: Number of test phantoms.
    """
    config = experiment.config
    geometry, simulation = config.operator, config.data.simulation
    angles, detectors = geometry.data_shape
    assert simulation is not None
    assert simulation.grid is not None
    ny, nx = geometry.shape
    problem = (
        f"Problem: preset '{config.data.train.preset}', {ny} x {nx} pixels of "
        f"{geometry.pixel[0]:g} mm, parallel beam, {angles} angles x {detectors} detector pixels, "
        f"simulated on {simulation.grid[0]} x {simulation.grid[1]} pixels, noise "
        f"{simulation.noise}"
    )
    network = (
        "Network: filtered_primal_dual, a small learned primal-dual that also sees the filtered "
        "residual, as the paper's network (learned_primal_dual) trains far slower; in the tables "
        "'lpd'."
    )
    compared = (
        f"Compared on {images} held-out phantoms that no choice has seen. TV has u >= 0 and "
        "runs to a relative duality gap of 1e-3. The bandwidth of FBP and the weight of TV follow "
        "the noise of each measurement, whose relative level they know as the network does, by "
        "factors that are tuned on validation phantoms."
    )
    return [problem, network, compared]


def demo_table(
    scores: Sequence[Scores], real: Sequence[Scores], *, ascii_only: bool = False
) -> Table:
    """One table for the terminal: every method on the test phantoms and on the CT slice.

    Args:
        scores: Scores on the phantoms.
        real: Scores on the slice.
        ascii_only: True if the terminal shows only ASCII.
    """
    sign = "+-" if ascii_only else "±"
    table = Table(
        title=f"{scores[0].images} test phantoms, mean {sign} standard deviation; the CT slice",
        title_justify="left",
        caption="'lpd' is filtered_primal_dual; PSNR in dB, range max - min; ms for an image",
        caption_justify="left",
        box=box.ASCII_DOUBLE_HEAD if ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
    )
    for name in ("", "PSNR", "SSIM", "ms", "parameters", "CT: PSNR", "SSIM"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for score, one in zip(scores, real, strict=True):
        psnr_, ssim_ = score.summary()["psnr"], score.summary()["ssim"]
        table.add_row(
            score.method,
            f"{psnr_.mean:.2f} {sign} {psnr_.std:.2f}",
            f"{ssim_.mean:.3f} {sign} {ssim_.std:.2f}",
            f"{1e3 * score.seconds:.1f}",
            f"{score.parameters:,}".replace(",", " "),
            f"{one.psnr[0]:.2f}",
            f"{one.ssim[0]:.3f}",
        )
    return table


@torch.no_grad()
def draw(
    target: Path,
    methods: dict[str, Reconstructor],
    phantom: Batch,
    slice_: Batch,
    data_range: DataRange,
) -> None:
    """A figure of one phantom and the CT slice, by every method, with error maps.

    Args:
        target: Path of a PNG.
        methods: Methods by name.
        phantom: Batch with one phantom.
        slice_: Batch with the CT slice.
        data_range: Data range of the PSNR.
    """
    rows = [
        _row("phantom", methods, phantom, data_range),
        _row("CT slice", methods, slice_, data_range),
    ]
    comparison(rows, target)


def closing(results: dict[str, Any], folder: Path) -> list[str]:
    """The results and next steps in paragraphs, the last of which is a command.

    Args:
        results: Content of ``results.json``.
        folder: Run folder.
    """
    lead = results["lpd_minus_tv"]
    methods, real, training = results["methods"], results["real"], results["training"]
    low, high = lead["ci95"]
    ahead = real["lpd"]["psnr"] - real["tv"]["psnr"]
    image = folder / "ct.png"
    output = f"{image} --force" if image.exists() else f"{image}"
    learned = (
        f"From {training['steps']} random ellipse phantoms a network of "
        f"{methods['lpd']['parameters']} parameters learned to reconstruct phantoms that it never "
        f"saw, {lead['mean']:+.2f} dB against tuned TV (95 % interval {low:+.2f} to {high:+.2f}). "
        + _on_the_slice(ahead)
    )
    more = (
        "Try next: train longer (learnedrecon demo --minutes 20), or write a configuration of "
        "your own (learnedrecon init --list)."
    )
    return [
        learned,
        f"Wrote {folder}/results.json and {folder}/figure.png, in {results['seconds']:.0f} s.",
        more,
        "Reconstruct your own file (here the scan of the CT slice, 30 angles x 183 pixels):",
        f"  learnedrecon reconstruct {folder} {folder}/ct_measurement.npy -o {output}",
    ]


def _on_the_slice(ahead: float) -> str:
    """The method with the largest PSNR on the CT slice, and why."""
    if ahead >= 0:
        return (
            f"On the real CT slice, unlike all that it was trained on, it leads by {ahead:.2f} dB."
        )
    return (
        f"On the real CT slice total variation is better by {-ahead:.2f} dB: the network has only "
        "ever seen ellipses and their noise. Train on images like yours (learnedrecon init --from "
        "FOLDER)."
    )


def _row(label: str, methods: dict[str, Reconstructor], batch: Batch, data_range: DataRange) -> Row:
    truth = batch.truth
    assert truth is not None
    panels = []
    for name, model in methods.items():
        image = model.eval()(batch.problem).image
        pair = {"truth": truth, "estimate": image}
        decibel = float(psnr(**pair, data_range=data_range)[0])
        similarity = float(ssim(**pair, data_range=data_range)[0])
        caption = f"{decibel:.2f} dB, {similarity:.3f}"
        panels.append(Panel(_TITLES[name], image[0, 0].numpy(), caption))
    reference = truth[0, 0].numpy()
    window = (float(reference.min()), float(reference.max()))
    return Row(label, Panel("truth (1/mm)", reference), tuple(panels), window)
