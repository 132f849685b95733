"""A cone beam: updates a second, and the float64 oracle for correctness."""

from __future__ import annotations

import importlib
import importlib.util
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from measuring.cases import threads_text
from measuring.row import Row
from measuring.timing import Contestant, interleaved, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ray_rows.settings import Settings

TARGET = 2.0
AGREEMENT = 1e-5
SIZE, ANGLES, ROWS, COLUMNS = 128, 90, 128, 192
SOURCE_TO_AXIS, AXIS_TO_DETECTOR, PITCH = 400.0, 200.0, 1.5


def cone_rows(settings: Settings) -> Iterator[Row]:
    """Forward and adjoint of a circular scan of 128³ voxels."""
    work = f"{SIZE}³ cone, {ANGLES} × ({COLUMNS} × {ROWS})"
    if importlib.util.find_spec("learnedrecon.kernels.joseph3d") is None:
        yield Row("cone", work, "both", None, None, "G/s", "no cone beam here", None, TARGET)
        return
    kernel = importlib.import_module("learnedrecon.kernels.joseph3d")
    rays = _rays()
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand((SIZE,) * 3, generator=generator)
    data = torch.rand((ANGLES, ROWS, COLUMNS), generator=generator)
    prepare = running(settings.threads)
    contestants = [
        Contestant("forward", lambda: kernel.forward(volume, rays), prepare),
        Contestant("adjoint", lambda: kernel.adjoint(data, rays), prepare),
    ]
    times = interleaved(contestants, settings.budget)
    count = ANGLES * ROWS * COLUMNS * SIZE
    for call, difference in _differences(kernel, rays, volume, data).items():
        speed = count / times[call].median / 1e9
        yield Row(
            "cone",
            f"{work}, {threads_text(settings.threads)}",
            call,
            ours=speed,
            theirs=None,
            unit="G/s",
            peer="(none has a CPU cone beam)",
            value=speed,
            target=TARGET,
            details={
                "ours": times[call].to_plain(),
                "updates": count,
                "giga_updates_per_s": speed,
            },
        )
        yield Row(
            "cone",
            f"{work}, every tenth angle",
            f"{call}, relative difference",
            ours=difference,
            theirs=None,
            unit="",
            peer="oracle, float64",
            value=difference,
            target=AGREEMENT,
            at_most=True,
        )


def _rays() -> Any:  # noqa: ANN401
    """The source circles the z axis, with a flat panel beyond it."""
    geometry3d = importlib.import_module("learnedrecon.kernels.geometry3d")
    theta = (np.arange(ANGLES) + 0.5) * 2 * math.pi / ANGLES
    zero, one = np.zeros_like(theta), np.ones_like(theta)
    direction = np.stack([-np.sin(theta), np.cos(theta), zero], axis=1)
    column = PITCH * np.stack([np.cos(theta), np.sin(theta), zero], axis=1)
    row = PITCH * np.stack([zero, zero, one], axis=1)
    first = AXIS_TO_DETECTOR * direction - (COLUMNS - 1) / 2 * column - (ROWS - 1) / 2 * row
    return geometry3d.RayGeometry3D(
        vectors=np.concatenate([-SOURCE_TO_AXIS * direction, first, column, row], axis=1),
        cone=True,
        detectors=(ROWS, COLUMNS),
        shape=(SIZE,) * 3,
        pixel=(1.0, 1.0, 1.0),
    )


def _differences(kernel: Any, rays: Any, volume: Tensor, data: Tensor) -> dict[str, float]:  # noqa: ANN401
    """‖float32 kernel - float64 oracle‖ / ‖oracle‖, on every tenth angle."""
    oracle = importlib.import_module("learnedrecon.kernels.oracle3d")
    part, some = rays.subset(slice(None, None, 10)), data[::10].contiguous()
    pairs = {
        "forward": (kernel.forward(volume, part), oracle.forward(volume.double(), part)),
        "adjoint": (kernel.adjoint(some, part), oracle.adjoint(some.double(), part)),
    }
    return {
        call: float((ours.double() - exact).norm() / exact.norm())
        for call, (ours, exact) in pairs.items()
    }
