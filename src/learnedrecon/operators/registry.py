"""The operators that a configuration or a checkpoint can name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from learnedrecon.operators.beam3d import RayVectors3D
from learnedrecon.operators.geometry import FanBeam, ParallelBeam
from learnedrecon.operators.geometry3d import ConeBeam, ParallelBeam3D
from learnedrecon.operators.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.ray_transform import RayTransform
from learnedrecon.operators.ray_transform3d import RayTransform3D
from learnedrecon.operators.transmission import Transmission, TransmissionCT
from learnedrecon.specs import Entry, Registry

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator

OPERATORS: Registry[Operator] = MappingProxyType(
    {
        "parallel_beam": Entry(ParallelBeam, RayTransform, "2D parallel-beam ray transform"),
        "fan_beam": Entry(FanBeam, RayTransform, "2D flat-panel fan-beam ray transform"),
        "cone_beam": Entry(ConeBeam, RayTransform3D, "3D flat-panel cone-beam ray transform"),
        "parallel_beam_3d": Entry(ParallelBeam3D, RayTransform3D, "3D parallel-beam ray transform"),
        "ray_vectors_3d": Entry(RayVectors3D, RayTransform3D, "3D ray transform, pose by pose"),
        "non_cartesian_mri": Entry(
            NonCartesian, NonCartesianMRI, "MRI along radial, spiral and other trajectories"
        ),
        "transmission_ct": Entry(Transmission, TransmissionCT, "exp(-μ P u), nonlinear"),
    }
)
