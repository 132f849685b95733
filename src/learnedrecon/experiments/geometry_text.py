"""Geometry templates as commented YAML."""

from collections.abc import Sequence
from textwrap import indent

_COLUMN = 27


def geometry_text(
    data_shape: tuple[int, int],
    *,
    shape: tuple[int, int] | None = None,
    theta: Sequence[float] | None = None,
) -> str:
    """A parallel beam with FILL_IN for unknown lengths.

    Args:
        data_shape: Shape of the data, (angles, detector pixels).
        shape: Shape of the image, or None where it is not known.
        theta: Angles in radians, or None where they are not known.
    """
    angles, pixels = data_shape
    sure = shape is not None
    ny, nx = shape or (pixels, pixels)
    return _commented(
        ("name: parallel_beam", "CHECK: or fan_beam, with source_origin and origin_detector"),
        (f"shape: [{ny}, {nx}]", f"{'' if sure else 'CHECK: '}pixels of the image, (ny, nx)"),
        ("pixel_size: FILL_IN", "mm, of the image"),
        *_angle_lines(angles, theta),
        ("detector:", ""),
        (f"  pixels: {pixels}", ""),
        ("  pitch: FILL_IN", "mm, between the centres of detector pixels"),
        ("  axis_offset: 0.0", "CHECK: mm, from the detector's centre to the rotation axis"),
    )


def image_geometry_text(shape: tuple[int, int], pixel: tuple[float, float]) -> str:
    """A parallel beam for a known image, with FILL_IN for the scan.

    Args:
        shape: Shape of the image.
        pixel: Size of a pixel, (dy, dx) in mm.
    """
    (ny, nx), (dy, dx) = shape, pixel
    diagonal = ((ny * dy) ** 2 + (nx * dx) ** 2) ** 0.5
    return _commented(
        ("name: parallel_beam", "CHECK: or fan_beam, with source_origin and origin_detector"),
        (f"shape: [{ny}, {nx}]", "pixels of the image, (ny, nx), from the file"),
        (f"pixel_size: [{dy:.9g}, {dx:.9g}]", "mm, (dy, dx), from the file"),
        ("angles:", "at the midpoints of equal parts of the arc"),
        ("  number: FILL_IN", "how many views"),
        ("  start: 0.0", "CHECK: radians"),
        ("  arc: 3.141592653589793", "CHECK: radians"),
        ("detector:", f"pixels x pitch of {diagonal:.4g} mm sees the whole image"),
        ("  pixels: FILL_IN", ""),
        ("  pitch: FILL_IN", "mm, between the centres of detector pixels"),
        ("  axis_offset: 0.0", "CHECK: mm, from the detector's centre to the rotation axis"),
    )


def simulated_geometry_text(
    shape: tuple[int, int], pixel: tuple[float, float] | None = None, angles: int = 30
) -> str:
    """A complete parallel beam for an image.

    Args:
        shape: Shape of the image.
        pixel: Size of a pixel, (dy, dx) in mm, or None where it is not known: 1 mm.
        angles: Number of views.
    """
    (ny, nx), (dy, dx) = shape, pixel or (1.0, 1.0)
    pitch = min(dy, dx)
    pixels = round(((ny * dy) ** 2 + (nx * dx) ** 2) ** 0.5 / pitch) + 2
    size = "1.0" if pixel is None else f"[{dy:.9g}, {dx:.9g}]"
    return _commented(
        ("name: parallel_beam", ""),
        (f"shape: [{ny}, {nx}]", "pixels of the image, (ny, nx)"),
        (f"pixel_size: {size}", "mm" if pixel is None else "mm, (dy, dx), from the files"),
        (f"angles: {{number: {angles}, start: 0.0, arc: 3.141592653589793}}", "radians"),
        (f"detector: {{pixels: {pixels}, pitch: {pitch:.9g}, axis_offset: 0.0}}", "mm"),
    )


def geometry_file_text(body: str, source: object) -> str:
    """The text of a geometry file, with instructions.

    Args:
        body: YAML of the geometry.
        source: Path of the data, for the instructions.
    """
    return (
        f"# Scan geometry for {source}, lengths in mm and angles in radians.\n"
        "# Write values in place of FILL_IN, and look at what is marked with CHECK.\n"
        f"{body}"
    )


def nested(body: str) -> str:
    """YAML indented as the value of a key.

    Args:
        body: YAML of the geometry.
    """
    return indent(body, "  ")


def _angle_lines(angles: int, theta: Sequence[float] | None) -> list[tuple[str, str]]:
    if theta is None:
        arc = f"angles: {{number: {angles}, start: 0.0, arc: 3.141592653589793}}"
        return [
            (
                "",
                "CHECK: radians; at the midpoints of equal parts of the arc. Or a list: [0.0, ...]",
            ),
            (arc, ""),
        ]
    rows = [theta[start : start + 8] for start in range(0, len(theta), 8)]
    body = [(f"  {', '.join(f'{angle:.9g}' for angle in row)},", "") for row in rows]
    return [("angles: [", "radians, from the file"), *body, ("]", "")]


def _commented(*lines: tuple[str, str]) -> str:
    """Lines of YAML with comments in one column; a comment alone begins its line."""
    texts = (
        f"{text:<{_COLUMN - 1}} # {comment}" if text and comment else text or f"# {comment}"
        for text, comment in lines
    )
    return "\n".join(texts) + "\n"
