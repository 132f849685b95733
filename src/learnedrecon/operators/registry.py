"""The operators that a configuration or a checkpoint can name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from learnedrecon.operators.geometry import FanBeam, ParallelBeam
from learnedrecon.operators.ray_transform import RayTransform
from learnedrecon.operators.transmission import Transmission, TransmissionCT
from learnedrecon.specs import Entry, Registry

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator

OPERATORS: Registry[Operator] = MappingProxyType(
    {
        "parallel_beam": Entry(ParallelBeam, RayTransform, "2D parallel-beam ray transform"),
        "fan_beam": Entry(FanBeam, RayTransform, "2D flat-panel fan-beam ray transform"),
        "transmission_ct": Entry(Transmission, TransmissionCT, "exp(-μ P u), nonlinear"),
    }
)
