"""The modified Shepp-Logan head phantom, with higher contrast than the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from learnedrecon.data.phantoms.ellipses import ellipse_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

# value, semi-axis a, semi-axis b, x, y (upwards), rotation in degrees (anticlockwise)
_MODIFIED_SHEPP_LOGAN: Final[tuple[tuple[float, ...], ...]] = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)


def shepp_logan_ellipses() -> NDArray[np.float64]:
    """The ten ellipses of the phantom, as rows of :mod:`learnedrecon.data.phantoms.ellipses`.

    The geometry is Shepp and Logan's (IEEE Trans. Nucl. Sci. 21, 1974), the values are Toft's (The
    Radon Transform, PhD thesis, DTU 1996). The published table has y upwards and angles
    anticlockwise; rows grow downwards here, so y and the angle change their sign and the head
    stands upright when row 0 is shown at the top.

    Returns:
        Ellipses (10, 6), float64.
    """
    ellipses = np.array(_MODIFIED_SHEPP_LOGAN)
    ellipses[:, 4] *= -1.0
    ellipses[:, 5] *= -np.pi / 180.0
    return ellipses


def shepp_logan(size: int | tuple[int, int] = 128) -> NDArray[np.float32]:
    """The modified Shepp-Logan phantom on [-1, 1]², with values in [0, 1].

    Args:
        size: Number of pixels along each side, or ``(ny, nx)``.

    Returns:
        Image ``(ny, nx)``, float32. The sum of the ellipses inside the two ventricles is 0 up to
        rounding, and negative values are set to 0.

    Raises:
        ShapeError: The image has no pixels.
    """
    shape = (size, size) if isinstance(size, int) else size
    return np.maximum(ellipse_image(shepp_logan_ellipses(), shape), 0.0).astype(np.float32)
