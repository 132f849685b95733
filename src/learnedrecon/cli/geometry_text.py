"""Geometries as commented YAML, for people to fill in."""

from collections.abc import Sequence
from textwrap import indent


def geometry_text(
    data_shape: tuple[int, int],
    *,
    shape: tuple[int, int] | None = None,
    theta: Sequence[float] | None = None,
) -> str:
    """A parallel beam whose unknown lengths are null and marked with FILL IN.

    Args:
        data_shape: (angles, detector pixels).
        shape: of the image, or None where it is not known.
        theta: every angle in radians, or None where they are not known.
    """
    angles, pixels = data_shape
    sure = shape is not None
    ny, nx = shape or (pixels, pixels)
    lines = [
        "name: parallel_beam        # CHECK: or fan_beam, with source_origin and origin_detector",
        f"shape: [{ny}, {nx}]{' ' * 10}# {'' if sure else 'CHECK: '}pixels of the image, (ny, nx)",
        "pixel_size: null           # FILL IN: mm, of the image",
        *_angle_lines(angles, theta),
        "detector:",
        f"  pixels: {pixels}",
        "  pitch: null              # FILL IN: mm, between the centres of detector pixels",
        "  axis_offset: 0.0         # CHECK: mm, from the detector's centre to the rotation axis",
    ]
    return "\n".join(lines) + "\n"


def simulated_geometry_text(shape: tuple[int, int], angles: int = 30) -> str:
    """A parallel beam around an image of 1 mm pixels, complete."""
    ny, nx = shape
    pixels = round((ny**2 + nx**2) ** 0.5) + 2
    return (
        "name: parallel_beam\n"
        f"shape: [{ny}, {nx}]          # pixels of the image, (ny, nx)\n"
        "pixel_size: 1.0            # mm\n"
        f"angles: {{number: {angles}, start: 0.0, arc: 3.141592653589793}}  # radians\n"
        f"detector: {{pixels: {pixels}, pitch: 1.0, axis_offset: 0.0}}  # mm\n"
    )


def geometry_file_text(body: str, source: object) -> str:
    """A geometry file: what to do with it, and the geometry."""
    return (
        f"# Scan geometry for {source}, lengths in mm and angles in radians.\n"
        "# Fill in what is null, and look at what is marked with CHECK.\n"
        f"{body}"
    )


def nested(body: str) -> str:
    """The same, as the value of a key."""
    return indent(body, "  ")


def _angle_lines(angles: int, theta: Sequence[float] | None) -> list[str]:
    if theta is None:
        return [
            "# CHECK: radians; at the midpoints of equal parts of the arc. Or a list: [0.0, ...]",
            f"angles: {{number: {angles}, start: 0.0, arc: 3.141592653589793}}",
        ]
    rows = [theta[start : start + 8] for start in range(0, len(theta), 8)]
    body = [f"  {', '.join(f'{angle:.9g}' for angle in row)}," for row in rows]
    return ["angles: [                  # radians, from the file", *body, "]"]
