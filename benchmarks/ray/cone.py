"""A cone beam: updates a second, and the float64 oracle for correctness."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.harness.cases import distance, threads_text
from benchmarks.harness.row import Row
from benchmarks.harness.timing import Contestant, interleaved, running
from learnedrecon.kernels import joseph3d, oracle3d
from learnedrecon.kernels.geometry3d import RayGeometry3D

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmarks.harness.run import Settings

TARGET = 2.0
AGREEMENT = 1e-5
SIZE, ANGLES, ROWS, COLUMNS = 128, 90, 128, 192
SOURCE_TO_AXIS, AXIS_TO_DETECTOR, PITCH = 400.0, 200.0, 1.5


def cone_rows(settings: Settings) -> Iterator[Row]:
    """Forward and adjoint of a circular scan of 128³ voxels."""
    work = f"{SIZE}³ cone, {ANGLES} × ({COLUMNS} × {ROWS})"
    rays = _rays()
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand((SIZE,) * 3, generator=generator)
    data = torch.rand((ANGLES, ROWS, COLUMNS), generator=generator)
    prepare = running(settings.threads)
    contestants = [
        Contestant("forward", lambda: joseph3d.forward(volume, rays), prepare),
        Contestant("adjoint", lambda: joseph3d.adjoint(data, rays), prepare),
    ]
    times = interleaved(contestants, settings.budget)
    count = ANGLES * ROWS * COLUMNS * SIZE
    threads, part = threads_text(settings.threads), "every tenth angle"
    for call, error in _differences(rays, volume, data).items():
        speed = count / times[call].median / 1e9
        details = {"ours": times[call].to_plain(), "updates": count, "giga_updates_per_s": speed}
        peer = "(none has a CPU cone beam)"
        yield Row("cone", f"{work}, {threads}", call, speed, None, "G/s", peer, speed, TARGET,
                  details=details)  # fmt: skip
        name, peer = f"{call}, relative difference", "oracle, float64"
        yield Row("cone", f"{work}, {part}", name, error, None, "", peer, error, AGREEMENT,
                  at_most=True)  # fmt: skip


def _rays() -> RayGeometry3D:
    """The source circles the z axis, with a flat panel beyond it."""
    theta = (np.arange(ANGLES) + 0.5) * 2 * math.pi / ANGLES
    zero, one = np.zeros_like(theta), np.ones_like(theta)
    direction = np.stack([-np.sin(theta), np.cos(theta), zero], axis=1)
    column = PITCH * np.stack([np.cos(theta), np.sin(theta), zero], axis=1)
    row = PITCH * np.stack([zero, zero, one], axis=1)
    first = AXIS_TO_DETECTOR * direction - (COLUMNS - 1) / 2 * column - (ROWS - 1) / 2 * row
    return RayGeometry3D(
        vectors=np.concatenate([-SOURCE_TO_AXIS * direction, first, column, row], axis=1),
        cone=True,
        detectors=(ROWS, COLUMNS),
        shape=(SIZE,) * 3,
        pixel=(1.0, 1.0, 1.0),
    )


def _differences(rays: RayGeometry3D, volume: Tensor, data: Tensor) -> dict[str, float]:
    """‖float32 kernel - float64 oracle‖ / ‖oracle‖, on every tenth angle."""
    part, some = rays.subset(slice(None, None, 10)), data[::10].contiguous()
    pairs = {
        "forward": (joseph3d.forward(volume, part), oracle3d.forward(volume.double(), part)),
        "adjoint": (joseph3d.adjoint(some, part), oracle3d.adjoint(some.double(), part)),
    }
    return {call: distance(ours, exact) for call, (ours, exact) in pairs.items()}
