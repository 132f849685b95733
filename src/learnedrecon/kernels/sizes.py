"""Sizes and constants of a ray transform that are not tensors."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """The sizes and constants of a scan in two or three dimensions, without its poses.

    Attributes:
        diverging: True if the first columns of the vectors are sources, False if they are
            directions.
        detectors: Shape of the detector: (detectors,) in 2D, (rows, columns) in 3D.
        shape: Shape of the image, (ny, nx) or (nz, ny, nx).
        pixel: Size of a pixel, (dy, dx) or (dz, dy, dx) in mm.
    """

    diverging: bool
    detectors: tuple[int, ...]
    shape: tuple[int, ...]
    pixel: tuple[float, ...]
