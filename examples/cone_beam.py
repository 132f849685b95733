"""A head in a circular cone beam: FDK, and least squares by conjugate gradients.

    python examples/cone_beam.py

The measurement is exact: chord lengths of ellipsoids, and photon noise. FDK is wrong away from the
plane of the source, where the circle does not measure all that it needs; least squares asks of a
volume only that it explains the data, and is stopped early against the noise.

Writes runs/cone-beam.png and runs/cone-beam.json; what the page shows was
written to docs/figures/ and studies/results/ by --figure and --results.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import learnedrecon as lr
from learnedrecon.data.noise import PoissonLog
from learnedrecon.data.phantoms.ellipsoids import draw_ellipsoids, ellipsoid_lines, head_ellipsoids
from learnedrecon.evaluation.figure import Panel, Row, comparison
from learnedrecon.files import write_text
from learnedrecon.training.environment import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

RADIUS, UNIT = 96.0, 0.01


def scan(size: int, views: int) -> lr.operators.ConeBeam:
    """A full turn around a cube of 192 mm, seen with a half cone angle of 19 degrees."""
    pixels = 3 * size // 2
    panel = lr.operators.FlatPanel(pixels, pixels, 2.4 * 144 / pixels)
    turn = lr.operators.AngleRange(views, arc=2 * math.pi)
    return lr.operators.ConeBeam((size,) * 3, turn, panel, 300.0, 200.0, 2 * RADIUS / size)


def least_squares(problem: lr.Problem, start: torch.Tensor) -> Iterator[torch.Tensor]:
    """The iterates of conjugate gradients on T*Tu = T*y (Hestenes, Stiefel 1952)."""
    u, residual = start, problem.data - problem.forward(start)
    slope = problem.adjoint(residual)
    direction, size = slope, slope.square().sum()
    while True:
        image = problem.forward(direction)
        step = size / image.square().sum()
        u, residual = u + step * direction, residual - step * image
        yield u
        slope = problem.adjoint(residual)
        before, size = size, slope.square().sum()
        direction = slope + size / before * direction


def psnr(volume: torch.Tensor, truth: torch.Tensor) -> float:
    """In dB, the range being that of the truth."""
    error = (volume - truth).square().mean()
    return float(10 * torch.log10((truth.max() - truth.min()) ** 2 / error))


def rows(truth: torch.Tensor, volumes: dict[str, torch.Tensor]) -> list[Row]:
    """The slice in the plane of the source, and one along the axis, each with its PSNR."""
    middle = truth.shape[-1] // 2
    cuts = {"plane of the source": (0, 0, middle), "along the axis": (0, 0, ..., middle)}
    found = []
    for name, cut in cuts.items():
        panels = [
            Panel(method, volume[cut].numpy(), f"{psnr(volume[cut], truth[cut]):.2f} dB")
            for method, volume in volumes.items()
        ]
        found.append(Row(name, Panel("head", truth[cut].numpy()), tuple(panels), (0.0, 2 * UNIT)))
    return found


@torch.no_grad()
def reconstruct(
    problem: lr.InverseProblem, noise: float
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """FDK and conjugate gradients from there until ‖Tu - y‖ ≤ 1.3 times the noise; seconds each.

    That is the discrepancy principle of Morozov (1966); 1.3 makes room for the voxels, which are
    not the ellipsoids.
    """
    begun = time.perf_counter()
    fdk = lr.models.FBP("hann")(problem).image
    between = time.perf_counter()
    for count, volume in enumerate(least_squares(problem, fdk), start=1):
        if (problem.forward(volume) - problem.data).norm() <= 1.3 * noise or count == 50:
            break
    seconds = [between - begun, time.perf_counter() - between]
    return {"FDK": fdk, f"least squares, {count} steps": volume}, seconds


def main() -> None:
    """Simulates, reconstructs, and writes a figure and numbers."""
    parser = argparse.ArgumentParser(description="A head in a circular cone beam.")
    parser.add_argument("--size", type=int, default=96, help="voxels along each side")
    parser.add_argument("--views", type=int, default=120)
    parser.add_argument("--photons", type=float, default=5e3, help="per detector pixel")
    parser.add_argument("--figure", type=Path, default=Path("runs/cone-beam.png"))
    parser.add_argument("--results", type=Path, default=Path("runs/cone-beam.json"))
    given, begun = parser.parse_args(), time.perf_counter()
    geometry, head = scan(given.size, given.views), head_ellipsoids(RADIUS)
    truth = UNIT * draw_ellipsoids(head, geometry)[None, None]
    lines = (UNIT * ellipsoid_lines(head, geometry.rays())).float()[None, None]
    data = PoissonLog(given.photons).apply(lines, [torch.Generator().manual_seed(0)])
    noise = float((data.exp() / given.photons).sum().sqrt())
    volumes, seconds = reconstruct(
        lr.InverseProblem(lr.operators.RayTransform3D(geometry), data), noise
    )
    comparison(rows(truth, volumes), given.figure, dpi=100)
    scores = {name: psnr(volume, truth) for name, volume in volumes.items()}
    content = {
        "command": shlex.join(["python", *sys.argv]),
        "geometry": repr(geometry),
        "psnr": scores,
        "seconds": dict(zip(volumes, seconds, strict=True)),
        "seconds_in_all": time.perf_counter() - begun,
        "environment": environment(),
    }
    write_text(given.results, json.dumps(content, indent=2) + "\n")
    for (name, score), taken in zip(scores.items(), seconds, strict=True):
        print(f"{name}: {score:.2f} dB in {taken:.1f} s")


if __name__ == "__main__":
    main()
