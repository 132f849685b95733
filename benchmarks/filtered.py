"""Filtered backprojection against ASTRA's and scikit-image's on the CPU, and beside our own T*.

    make peers
    .venv-peers/bin/python -m benchmarks.filtered

Writes benchmarks/results/filtered.json.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import typer
from skimage.transform import iradon

from benchmarks.against.astra_toolbox import AstraProjector
from benchmarks.against.stand_in import load
from benchmarks.harness.cases import (
    FAN,
    LARGE,
    LARGER,
    LARGER_FAN,
    LODOPAB,
    MIDDLE,
    SMALL,
    call_of,
    data_for,
    describe_scan,
)
from benchmarks.harness.row import table_of_rows, timed
from benchmarks.harness.run import Benchmark
from benchmarks.harness.timing import Contestant, interleaved, running
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.solvers.direct.fdk import fdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.harness.row import Row
    from benchmarks.harness.run import Settings
    from learnedrecon.operators.ray.geometry2d import Geometry

    Runs = dict[str, Callable[[], object]]

CONE = ConeBeam(
    (128, 128, 128),
    AngleRange(90, arc=2 * math.pi),
    FlatPanel(128, 192, (1.5, 1.5)),
    400.0,
    200.0,
)
SCANS = (SMALL, MIDDLE, LODOPAB, LARGE, LARGER, FAN, LARGER_FAN)
TARGETS = {"ours": 3.0, "ASTRA CPU FBP": 12.0, "scikit-image iradon": 20.0}
PEERS_UP_TO = 512 * 512


def filtered_rows(settings: Settings) -> Iterator[Row]:
    """One thread; the limit beside T* includes the filter."""
    for geometry in SCANS:
        data = data_for(geometry)
        operator = RayTransform(geometry)
        runs: Runs = {"fbp": partial(fbp, operator, data), "T*": call_of(geometry, "adjoint")}
        yield from _rows(settings, describe_scan(geometry), {**runs, **_peers(geometry)})
    cone = RayTransform3D(CONE)
    views = torch.rand((1, 1, *CONE.data_shape), generator=torch.Generator().manual_seed(1))
    views_runs: Runs = {"fdk": lambda: fdk(cone, views), "T*": lambda: cone.adjoint(views)}
    yield from _rows(settings, "128³ cone, 90 × (128 × 192)", views_runs)


def _rows(settings: Settings, work: str, runs: dict[str, Callable[[], object]]) -> Iterator[Row]:
    contestants = [Contestant(name, run, running(1)) for name, run in runs.items()]
    times = interleaved(contestants, settings.budget)
    ours, *others = times
    for name in others:
        own = name == "T*"
        yield timed(
            "filtered",
            f"{work}, 1 thread",
            ours,
            times=(times[ours], times[name]),
            peer="our T*" if own else name,
            target=TARGETS["ours" if own else name],
            at_most=own,
        )


def _peers(geometry: Geometry) -> Runs:
    """ASTRA's FBP and scikit-image's, of parallel beams that do not take minutes."""
    if not isinstance(geometry, ParallelBeam) or np.prod(geometry.shape) > PEERS_UP_TO:
        return {}
    lines = data_for(geometry)[0, 0].numpy()
    angles = np.rad2deg(geometry.angle_values)
    size = geometry.shape[0]
    peers: Runs = {
        "scikit-image iradon": lambda: iradon(
            lines.T, theta=angles, output_size=size, filter_name="ramp", circle=False
        )
    }
    if load("astra") is not None:
        projector = AstraProjector(geometry)
        projector.data[:] = lines
        peers["ASTRA CPU FBP"] = projector.filtered
    return peers


BENCHMARK = Benchmark(
    "filtered",
    {"filtered": filtered_rows},
    lambda content: [table_of_rows(content["rows"])],
    peers=("astra-toolbox", "scikit-image"),
)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
