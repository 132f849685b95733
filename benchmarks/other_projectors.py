"""T and T* against RTK, in a cone beam, and against diffct on the CPU, in the plane.

    make peers
    .venv-peers/bin/python -m benchmarks.other_projectors

RTK's pair is Joseph's method, too; it treats rays near the border of the volume in another way.
diffct's is Siddon's, in PyTorch where there is no GPU. All with the same number of threads.
Writes benchmarks/results/other_projectors.json.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
import typer

from benchmarks.against import diffct_plane, rtk_cone
from benchmarks.against.stand_in import load
from benchmarks.harness.cases import CALLS, SMALL, describe_scan, threads_text
from benchmarks.harness.row import Row, absent, table_of_rows, timed
from benchmarks.harness.run import Benchmark
from benchmarks.harness.timing import Budget, Contestant, interleaved, running, without_gradient
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmarks.harness.run import Settings
    from learnedrecon.operators.ray.geometry2d import Geometry

SIZE, ANGLES, ROWS, COLUMNS, PITCH = 128, 90, 128, 192, 1.5
DISTANCES = 400.0, 200.0
AGREEMENT = 1e-3
SMALL_FAN = FanBeam(
    (128, 128), AngleRange(60, arc=2 * math.pi), FlatDetector(183, 1.6), 250.0, 125.0
)
PLANES: tuple[Geometry, ...] = (SMALL, SMALL_FAN)
BUDGET = Budget(rounds=3, turn=0.1, seconds=60.0)


def cone_rows(settings: Settings) -> Iterator[Row]:
    """T and T* of a circular scan of 128³ voxels, and how far RTK's values are from ours."""
    threads = settings.threads
    work = f"{SIZE}³ cone, {ANGLES} × ({ROWS} × {COLUMNS}), {threads_text(threads)}"
    if load("itk") is None:
        yield from (absent("cone", work, call, f"{rtk_cone.NAME} (missing)") for call in CALLS)
        return
    angles = AngleRange(ANGLES, arc=2 * math.pi)
    scan = ConeBeam((SIZE,) * 3, angles, FlatPanel(ROWS, COLUMNS, PITCH), *DISTANCES)
    peer = rtk_cone.RtkCone(SIZE, (ROWS, COLUMNS), PITCH, DISTANCES, scan.angle_values)
    peer.use(threads)
    operator, generator = RayTransform3D(scan), torch.Generator().manual_seed(0)
    volume = torch.rand(1, 1, *operator.domain.shape, generator=generator)
    data = torch.rand(1, 1, *operator.codomain.shape, generator=generator)
    theirs = rtk_cone.to_rtk(volume[0, 0].numpy())
    contestants = [
        Contestant("forward", without_gradient(operator, volume), running(threads)),
        Contestant("adjoint", without_gradient(operator.adjoint, data), running(threads)),
        Contestant("their forward", partial(peer.forward, theirs)),
        Contestant("their adjoint", partial(peer.adjoint, data[0, 0].numpy())),
    ]
    times = interleaved(contestants, BUDGET)
    inner = torch.nn.functional.pad(volume[..., 1:-1, 1:-1, 1:-1], [1] * 6)
    back = rtk_cone.from_rtk(peer.adjoint(data[0, 0].numpy()))
    found = {
        "forward": (operator(inner), peer.forward(rtk_cone.to_rtk(inner[0, 0].numpy()))),
        "adjoint": (operator.adjoint(data), back),
    }
    for call in CALLS:
        both = times[call], times[f"their {call}"]
        yield timed("cone", work, call, times=both, peer=rtk_cone.NAME, target=None)
        value = _difference(*found[call], border=0 if call == "forward" else 1)
        name = f"{call}, relative difference"
        yield Row("cone", work, name, value, None, "", rtk_cone.NAME, value, AGREEMENT, True)  # noqa: FBT003 - at most


def _difference(ours: Tensor, theirs: NDArray[np.float32], border: int) -> float:
    """‖ours - theirs‖/‖ours‖, without the voxels of the border."""
    kept = slice(border, -border or None)
    first, second = ours[0, 0, kept, kept, kept], torch.from_numpy(theirs)[kept, kept, kept]
    return float((first - second).norm() / first.norm())


def plane_rows(settings: Settings) -> Iterator[Row]:
    """T and T* of images."""
    for geometry in PLANES:
        yield from _plane(geometry, settings.threads)


def _plane(geometry: Geometry, threads: int) -> Iterator[Row]:
    work = f"{describe_scan(geometry)}, {threads_text(threads)}"
    if load("diffct") is None:
        yield from (absent("plane", work, call, f"{diffct_plane.NAME} (missing)") for call in CALLS)
        return
    operator, peer = RayTransform(geometry), diffct_plane.projector(geometry)
    image, data = torch.rand(1, 1, *geometry.shape), torch.rand(1, 1, *geometry.data_shape)
    contestants = [
        Contestant("forward", without_gradient(operator, image), running(threads)),
        Contestant("adjoint", without_gradient(operator.adjoint, data), running(threads)),
        Contestant("their forward", without_gradient(peer.project, image)),
        Contestant("their adjoint", without_gradient(peer.backproject, data)),
    ]
    times = interleaved(contestants, BUDGET)
    for call in CALLS:
        both = times[call], times[f"their {call}"]
        yield timed("plane", work, call, times=both, peer=diffct_plane.NAME, target=None)


BENCHMARK = Benchmark(
    "other_projectors",
    {"cone": cone_rows, "plane": plane_rows},
    lambda content: [table_of_rows(content["rows"])],
    peers=("itk-rtk", "diffct"),
)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
