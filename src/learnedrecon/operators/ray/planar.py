"""The kinds of scans of an image, as types."""

from __future__ import annotations

from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.geometry2d import FanBeam, ParallelBeam

RotatingGeometry = ParallelBeam | FanBeam | CurvedFanBeam
"""Scans with a rotation axis through the centre of the image."""

PlanarGeometry = ParallelBeam | FanBeam | CurvedFanBeam | RayVectors2D
