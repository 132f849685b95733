"""A measured tooth from every sixth view: FBP, total variation and a network, side by side.

    python examples/tooth.py --data ../shared/data/tooth.h5 --minutes 6

The scan has 181 parallel views of 640 detector pixels, with the rotation axis off the centre. What
has to be chosen is chosen on simulated ellipses, measured as the tooth was: the weights of the
network, the weight of total variation, the bandwidth of filtered back-projection. The tooth is seen
once, at the end, and compared with the filtered back-projection (Ram-Lak) of all 181 views.

Writes runs/tooth.png and runs/tooth.json; what the page shows was written to docs/figures/ and
studies/results/ by --figure and --results.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console

import learnedrecon as lr
from learnedrecon.config.schema import Config, DataConfig
from learnedrecon.data.batch import Batch
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.files.exchange import ExchangeScan, read_data_exchange
from learnedrecon.data.noise import PoissonLog
from learnedrecon.data.simulate import Simulation
from learnedrecon.evaluation.figure import Panel, Row, comparison
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.evaluation.table import rich_table
from learnedrecon.experiments.budget import with_steps, within
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.tuned_baselines import tuned
from learnedrecon.files import write_text
from learnedrecon.metrics.ranges import MaxMinPerImage
from learnedrecon.specs import to_plain
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.environment import environment
from learnedrecon.training.loggers import RichProgress
from learnedrecon.training.loop import train
from learnedrecon.training.losses import LogSquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.spec import OptimiserSpec, ScheduleSpec, TrainingSpec
from learnedrecon.training.update import Supervised

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY, BINNING, MARGIN, SIZE, PIXEL = 6, 2, 40, 160, 2.25


@dataclass(frozen=True, eq=False)
class Scan:
    """Line integrals (1, 1, angle, detector), their noise in air; lengths in unbinned pixels."""

    lines: torch.Tensor
    geometry: lr.operators.ParallelBeam
    air: float

    def every(self, step: int) -> Scan:
        """The scan with every ``step``-th view."""
        rows = range(0, self.lines.shape[-2], step)
        return replace(self, lines=self.lines[..., rows, :], geometry=self.geometry.subset(rows))

    def problem(self) -> lr.InverseProblem:
        """The scan as y = Pu."""
        return lr.InverseProblem(lr.operators.RayTransform(self.geometry), self.lines)


def rotation_axis(lines: np.ndarray, theta: np.ndarray) -> float:
    """The detector pixel onto which the axis projects, by the centre of mass.

    That of a parallel projection is at a + b cos θ + c sin θ, and a is the axis (the condition of
    Helgason and Ludwig of order 1). Air counts as 0: far from the object its offsets weigh much.
    """
    mass = np.where(lines > 3 * lines[:, np.r_[:MARGIN, -MARGIN:0]].std(), lines, 0.0)
    centre = mass @ np.arange(lines.shape[1]) / mass.sum(axis=1)
    waves = np.stack([np.ones_like(theta), np.cos(theta), np.sin(theta)], axis=1)
    return float(np.linalg.lstsq(waves, centre, rcond=None)[0][0])


def read_scan(path: Path) -> tuple[Scan, float]:
    """The scan, its detector binned, and the axis that the sparse views show."""
    raw = read_data_exchange(path)
    axis = rotation_axis(raw.line_integrals().values[::EVERY], raw.theta[::EVERY])
    frames = (raw.counts, raw.white, raw.dark)
    counts, white, dark = (f.reshape(len(f), -1, BINNING).mean(-1) for f in frames)
    lines = ExchangeScan(counts, white, dark, raw.theta).line_integrals().values
    offset = axis - (raw.counts.shape[1] - 1) / 2
    detector = lr.operators.FlatDetector(lines.shape[1], BINNING, offset)
    geometry = lr.operators.ParallelBeam((SIZE, SIZE), tuple(raw.theta), detector, PIXEL)
    air = float(lines[:, np.r_[: MARGIN // BINNING, -MARGIN // BINNING : 0]].std())
    return Scan(torch.from_numpy(lines).float()[None, None], geometry, air), axis


def configuration(scan: Scan) -> Config:
    """Ellipses as dense as the tooth, measured with its geometry and as many photons.

    c, a dense matter, is the 99 % quantile of an FBP; noise in air has the deviation 1/√photons.
    """
    image = lr.models.FBP("hann", 0.8)(scan.problem()).image
    c = float(image.quantile(0.99))
    phantoms = EllipseSpec("dival", SIZE, scale=c)
    measured = Simulation(PoissonLog(1 / scan.air**2), grid=(2 * SIZE, 2 * SIZE))
    return Config(
        operator=scan.geometry,
        model=lr.models.FilteredPrimalDual(image_scale=c),
        data=DataConfig(phantoms, phantoms, phantoms, measured),
        loss=LogSquaredError(),
        training=TrainingSpec(
            optimiser=OptimiserSpec(learning_rate=3e-3, betas=(0.9, 0.99)),
            schedule=ScheduleSpec(warmup=0.05),
            channels_last=True,
        ),
    )


def trained(experiment: Experiment, folder: Path) -> lr.Reconstructor:
    """The network after all steps."""
    config, model = experiment.config, experiment.model()
    cpu, blueprint = make_accelerator(cpu=True), experiment.blueprint
    train(
        model=model,
        source=experiment.training_batches(),
        update=Supervised(model, loss=config.loss, spec=config.training, accelerator=cpu),
        run=RunFolder.start(folder, config=to_plain(config), blueprint=blueprint, overwrite=True),
        spec=config.training,
        loggers=[RichProgress()],
    )
    return model.eval()


@torch.no_grad()
def compare(methods: Mapping[str, lr.Reconstructor], full: Scan, figure: Path) -> list[Scores]:
    """Scores against all views; every pixel of the image is in the field of view."""
    sparse = full.every(EVERY)
    reference = lr.models.FBP()(full.problem()).image
    batch = Batch(sparse.problem(), reference, None, ("tooth",))
    scores, panels = [], []
    for name, method in methods.items():
        scores.append(evaluate(name, method, [batch], MaxMinPerImage()))
        image = method(batch.problem).image[0, 0].numpy()
        panels.append(Panel(name, image, f"{scores[-1].psnr[0]:.2f} dB"))
    truth = Panel(f"FBP, {full.lines.shape[-2]} views", reference[0, 0].numpy())
    row = Row("tooth, every 6th view", truth, tuple(panels), (0.0, float(reference.max())))
    comparison([row], figure, dpi=100)
    return scores


def main() -> None:
    """Trains, compares, and writes a figure and numbers."""
    parser = argparse.ArgumentParser(description="A measured tooth from every sixth view.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tooth.h5"))
    parser.add_argument("--minutes", type=float, default=6.0, help="of training")
    parser.add_argument("--steps", type=int, help="of training, instead of --minutes")
    parser.add_argument("--images", type=int, default=10, help="to tune on; twice as many to test")
    parser.add_argument("--run", type=Path, default=Path("runs/tooth"))
    parser.add_argument("--figure", type=Path, default=Path("runs/tooth.png"))
    parser.add_argument("--results", type=Path, default=Path("runs/tooth.json"))
    given = parser.parse_args()
    (scan, axis), begun = read_scan(given.data), time.perf_counter()
    plan = Experiment(configuration(scan.every(EVERY)))
    plan = with_steps(plan, given.steps) if given.steps else within(plan, given.minutes)
    network = trained(plan, given.run)
    seconds = time.perf_counter() - begun
    fbp, tv = (tuned(name, plan, given.images).model for name in ("fbp", "tv"))
    methods = {"FBP": fbp, "TV": tv, "learned": network}
    test = tuple(plan.batches("test", 2 * given.images))
    phantoms = [evaluate(n, m, test, plan.data_range) for n, m in methods.items()]
    tooth = compare(methods, scan, given.figure)
    Console(width=100).print(
        f"axis at pixel {axis:.2f}; {plan.config.training.steps} steps, {seconds:.0f} s",
        rich_table(phantoms, f"{phantoms[0].images} test phantoms"),
        rich_table(tooth, "the tooth, against all views"),
    )
    content = {
        "command": shlex.join(["python", *sys.argv]),
        "seconds": time.perf_counter() - begun,
        "axis": axis,
        "training_seconds": seconds,
        "classical": {"fbp": to_plain(fbp.spec), "tv": to_plain(tv.spec)},
        "tooth": {score.method: score.to_plain() for score in tooth},
        "phantoms": {score.method: score.to_plain() for score in phantoms},
        "config": to_plain(plan.config),
        "environment": environment(),
    }
    write_text(given.results, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
