"""Content of a raw scan, in sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.experiments.geometry_text import geometry_text
from learnedrecon.experiments.raw import RawInput, detector_rows, kind_of, read_line_integrals
from learnedrecon.experiments.truncation_lines import truncation_lines

if TYPE_CHECKING:
    from pathlib import Path


def raw_lines(path: Path, key: str | None, raw: RawInput) -> tuple[tuple[str, ...], str]:
    """Sentences about a raw scan, and YAML of its geometry to fill in.

    Of several detector rows the middle one is looked at where none is chosen, which is said.

    Args:
        path: A file or a folder.
        key: Data set in it, or None.
        raw: Frames, rows, angles and corrections.

    Raises:
        FileFormatError: A file that cannot be read.
        ShapeError: Frames, angles or rows that do not fit.
        DataError: Values that cannot be corrected.
    """
    rows = detector_rows(path, key)
    chosen = raw.rows or (rows // 2, rows // 2 + 1)
    lines = read_line_integrals(path, key, replace(raw, rows=chosen))
    angles, _, pixels = lines.values.shape
    one = chosen[1] - chosen[0] == 1
    which = f"row {chosen[0]}" if one else f"rows {chosen[0]} to {chosen[1] - 1}"
    of = f"{which} of {rows}" + ("" if raw.rows or rows == 1 else " (--row chooses another)")
    span = "angles that are not in the file (--theta FILE)"
    if lines.theta is not None:
        first, last = np.rad2deg([lines.theta[0], lines.theta[-1]])
        span = f"angles from {first:.4g} to {last:.4g} degrees"
    low, high = lines.values.min(), lines.values.max()
    seen = (
        f"{path}: {kind_of(path, key)}, {of}: {angles} {span}.",
        f"{pixels} detector pixels; line integrals from {low:.4g} to {high:.4g}.",
        *lines.notes,
        *truncation_lines(np.moveaxis(lines.values, 1, 0)[0]),
        "Missing: the detector's pitch, the rotation axis, the image's shape and pixel size.",
    )
    theta = None if lines.theta is None else list(lines.theta)
    return seen, geometry_text((angles, pixels), theta=theta)
