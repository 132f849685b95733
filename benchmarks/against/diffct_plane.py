"""diffct's projectors of images on the CPU: Siddon's method in PyTorch, with an exact adjoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks.against.stand_in import load
from learnedrecon.operators.ray.geometry2d import FanBeam

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry

NAME = "diffct, CPU"


def projector(geometry: Geometry) -> Any:  # noqa: ANN401 - a class of diffct
    """The projector of a scan with unit pixels and a centred axis in diffct.

    Args:
        geometry: Parallel or fan beam.
    """
    diffct = load("diffct")
    angles = torch.tensor(geometry.angle_values)
    if isinstance(geometry, FanBeam):
        source, whole = geometry.source_origin, geometry.source_origin + geometry.origin_detector
        beam, path = "fan", diffct.circular_trajectory_2d_fan(angles, source, whole, device="cpu")
    else:
        beam, path = "parallel", diffct.circular_trajectory_2d_parallel(angles, device="cpu")
    return diffct.Projector(
        tuple(part.float() for part in path),
        geometry.shape,
        geometry.detector.pixels,
        beam=beam,
        detector_spacing=geometry.detector.pitch,
        backend="torch",
        precision="float32",
    )
