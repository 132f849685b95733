"""What of a ray transform is not a tensor."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """The constants of a scan in two or three dimensions; its poses are a tensor of vectors.

    Attributes:
        diverging: whether the first columns of the vectors are sources rather than directions.
        detectors: (detectors,) of a 2D scan, (rows, columns) of a 3D one.
        shape: of the image, (ny, nx) or (nz, ny, nx).
        pixel: (dy, dx) or (dz, dy, dx) in mm.
    """

    diverging: bool
    detectors: tuple[int, ...]
    shape: tuple[int, ...]
    pixel: tuple[float, ...]
