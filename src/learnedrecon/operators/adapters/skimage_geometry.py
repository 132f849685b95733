"""The convention of ``skimage.transform.radon``, without scikit-image itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import image_shape, number
from learnedrecon.operators.ray.arranged import Arranged
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.nominal import nominal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def geometry_from_skimage(
    shape: Sequence[int],
    theta: Sequence[float],
    *,
    circle: bool = True,
    pixel_size: float = 1.0,
) -> Arranged:
    """The scan that ``skimage.transform.radon(image, theta, circle=circle)`` computes.

    Its axis goes through pixel (ny // 2, nx // 2), half a pixel beside the middle of an even image,
    it turns the other way, and its sinogram is (detector, angle). An odd image gives a
    :class:`ParallelBeam`, an even one vectors. Values are those of ``radon`` times the pixel size,
    but for its interpolation.

    Args:
        shape: Shape of the image, (ny, nx).
        theta: Angles in degrees.
        circle: True for a detector as long as the sides of the image, which must be square and 0
            outside of a circle; False for one as long as its diagonal, as in ``radon``.
        pixel_size: Size of a pixel of the image in mm.

    Returns:
        Its ``geometry`` is the scan in coordinates of this library;
        ``ArrangedTransform(arranged)`` takes the image and gives sinograms as ``radon`` does.

    Raises:
        GeometryError: No angles, others than numbers, or an image that is not square where
            ``circle`` is True.
    """
    sizes = image_shape(shape)
    size = number(pixel_size)
    degrees = _degrees(theta)
    square = len(sizes) == 2 and (sizes[0] == sizes[1] or not circle)
    if not square or not len(degrees):
        raise GeometryError(
            describe(
                expected="at least one angle and an image (ny, nx), square where circle is True",
                found=f"{len(degrees)} angles and shape {sizes}",
                fix="set circle=False, or cut the image to a square as radon does",
            )
        )
    pixels = sizes[0] if circle else math.ceil(math.sqrt(2) * max(sizes))
    angles = -np.deg2rad(degrees % 360)
    cos, sin = np.cos(angles), np.sin(angles)
    along = np.stack([cos, sin], axis=1)
    axis = np.array([n // 2 - (n - 1) / 2 for n in sizes[::-1]]) * size
    first = axis - (pixels // 2) * size * along
    vectors = np.concatenate([np.stack([-sin, cos], axis=1), first, size * along], axis=1)
    plane = RayVectors2D(sizes, vectors, pixels, size, "parallel")  # type: ignore[arg-type]
    return Arranged(nominal(plane, angles.tolist()), data_axes=("column", "angle"))


def _degrees(theta: Sequence[float]) -> NDArray[np.float64]:
    try:
        return np.array(theta, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise GeometryError(
            describe(
                expected="a list of angles in degrees",
                found=f"{theta!r:.80}",
                fix="give numbers, such as [0, 1.5, 3]",
            )
        ) from error
