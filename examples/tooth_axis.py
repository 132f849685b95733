"""Where the rotation axis of a measured tooth is, by gradient descent through the ray transform.

    python examples/tooth_axis.py --data ../shared/data/tooth.h5

An image explains all views at once only where the axis is right. So the descent minimises over the
axis offset s what K steps of conjugate gradients leave of the measured line integrals y,

    J(s) = ‖T_s u_K(s) - y‖² / ‖y‖²,   u_K(s) = argmin ‖T_s u - y‖² over the K-th Krylov space,

and takes its derivative by autograd, through every T_s and T_s* of the K steps. It starts 8 pixels
to either side of the reference, which is the centre of mass of the 181 projections.

Writes runs/tooth-axis.png and runs/tooth-axis.json; what the page shows was
written to docs/figures/ and studies/results/ by --figure and --results.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

import learnedrecon as lr
from learnedrecon.data.files.exchange import ExchangeScan, read_data_exchange
from learnedrecon.files import atomic_path, write_text
from learnedrecon.training.environment import environment

if TYPE_CHECKING:
    from torch import Tensor

BINNING, SIZE, PIXEL, OFF = 2, 160, 2.25, 8.0


class Iterate(NamedTuple):
    """One step of the descent: the axis as a detector pixel (0-based centres), and J there."""

    axis: float
    misfit: float


def centre_of_mass(raw: ExchangeScan) -> float:
    """The axis by the fit of a + b cos θ + c sin θ to the centre of mass of every projection.

    It is a, the condition of Helgason and Ludwig of order 1 for parallel beams.
    """
    lines = raw.line_integrals().values
    centre = lines @ np.arange(lines.shape[1]) / lines.sum(axis=1)
    waves = np.stack([np.ones_like(raw.theta), np.cos(raw.theta), np.sin(raw.theta)], axis=1)
    return float(np.linalg.lstsq(waves, centre, rcond=None)[0][0])


def transform_and_data(raw: ExchangeScan, every: int) -> tuple[lr.operators.RayTransform, Tensor]:
    """T of every ``every``-th view with the axis in the middle of the detector, and its y.

    Lengths are in pixels of the detector, which is binned by two.
    """
    frames = (raw.counts, raw.white, raw.dark)
    counts, white, dark = (f.reshape(len(f), -1, BINNING).mean(-1) for f in frames)
    lines = ExchangeScan(counts, white, dark, raw.theta).line_integrals().values[::every]
    detector = lr.operators.FlatDetector(lines.shape[1], BINNING)
    geometry = lr.operators.ParallelBeam((SIZE, SIZE), tuple(raw.theta[::every]), detector, PIXEL)
    return lr.operators.RayTransform(geometry), torch.from_numpy(lines)


def misfit(operator: lr.operators.RayTransform, data: Tensor, steps: int) -> Tensor:
    """‖Tu - y‖²/‖y‖² after ``steps`` steps of CGLS from u = 0 (Hestenes and Stiefel, 1952).

    In float64: in float32 the directions soon lose their conjugacy, and J its smoothness.
    """
    residual = data
    slope = operator.adjoint(residual)
    direction, size = slope, slope.square().sum()
    for step in range(steps):
        change = operator(direction)
        residual = residual - size / change.square().sum() * change
        if step + 1 < steps:
            slope = operator.adjoint(residual)
            size, previous = slope.square().sum(), size
            direction = slope + size / previous * direction
    return residual.square().sum() / data.square().sum()


def descend(
    operator: lr.operators.RayTransform, data: Tensor, start: float, *, steps: int, iterations: int
) -> list[Iterate]:
    """Gradient descent on the axis from the pixel ``start``, until it moves less than 0.01 pixels.

    The first step is one pixel long; after that the step size is that of Barzilai and Borwein (IMA
    J. Numer. Anal. 8, 1988), Δs/ΔJ', and no step is longer than four pixels.
    """
    middle = (operator.codomain.shape[1] * BINNING - 1) / 2
    offset = torch.tensor(start - middle, dtype=torch.float64, requires_grad=True)
    path: list[Iterate] = []
    moved, before = 0.0, 0.0
    for _ in range(iterations):
        value = misfit(operator.with_tensors({"axis_offset": offset}), data, steps)
        (gradient,) = torch.autograd.grad(value, offset)
        path.append(Iterate(float(offset.detach()) + middle, float(value.detach())))
        slope = float(gradient)
        curvature = (slope - before) / moved if moved else abs(slope)
        moved = max(-4.0, min(4.0, -slope / max(curvature, 1e-3 * abs(slope))))
        if abs(moved) < 0.01:
            break
        before = slope
        with torch.no_grad():
            offset += moved
    return path


def draw(paths: dict[str, list[Iterate]], reference: float, file: Path) -> None:
    """Axis and objective against iterations."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.axhspan(reference - 0.5, reference + 0.5, color="0.9", label="reference ± half a pixel")
    for name, path in paths.items():
        left.plot([point.axis for point in path], ".-", label=f"from {name} pixels")
        right.semilogy([point.misfit for point in path], ".-", label=f"from {name} pixels")
    left.set(xlabel="iteration", ylabel="axis (detector pixel)")
    right.set(xlabel="iteration", ylabel="J")
    left.legend()
    with atomic_path(file) as target:
        figure.savefig(target, format="png", dpi=100)


def main() -> None:
    """Descends from both sides, and writes a figure and numbers."""
    parser = argparse.ArgumentParser(description="The rotation axis of a tooth by descent.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tooth.h5"))
    parser.add_argument("--every", type=int, default=1, help="use every n-th view")
    parser.add_argument("--steps", type=int, default=10, help="of conjugate gradients, K")
    parser.add_argument("--iterations", type=int, default=30, help="of the descent, at most")
    parser.add_argument("--figure", type=Path, default=Path("runs/tooth-axis.png"))
    parser.add_argument("--results", type=Path, default=Path("runs/tooth-axis.json"))
    given = parser.parse_args()
    begun, raw = time.perf_counter(), read_data_exchange(given.data)
    reference = centre_of_mass(raw)
    operator, data = transform_and_data(raw, given.every)
    paths = {}
    for off in (-OFF, OFF):
        paths[f"{off:+g}"] = path = descend(
            operator, data, reference + off, steps=given.steps, iterations=given.iterations
        )
        print(
            f"from {off:+g} pixels: axis at {path[-1].axis:.2f}, {path[-1].axis - reference:+.2f}"
            f" from the centre of mass at {reference:.2f}, in {len(path)} iterations"
        )
    draw(paths, reference, given.figure)
    content = {
        "command": shlex.join(["python", *sys.argv]),
        "seconds": time.perf_counter() - begun,
        "reference": reference,
        "axis": {name: path[-1].axis for name, path in paths.items()},
        "paths": {name: [point._asdict() for point in path] for name, path in paths.items()},
        "environment": environment(),
    }
    write_text(given.results, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
