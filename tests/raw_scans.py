"""Raw scans of a phantom with closed forms: smooth blobs, whose line integrals are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

Array = NDArray[np.float64]

BLOBS = ((0.02, 0.0, 3.0, 13.0), (0.015, -14.0, -9.0, 8.0), (-0.008, 10.0, -6.0, 7.0))
"""(height in 1/mm, x, y, standard deviation in mm) of each blob."""


class Scan(NamedTuple):
    """Where the files of a scan are, and what was measured.

    Attributes:
        counts: File of the projections (angle, row, detector).
        flats: File of the flats (frame, row, detector).
        darks: File of the darks (frame, row, detector).
        theta: Text with the angles in degrees.
        dead: (row, detector), true where a pixel is bad.
        lines: The true line integrals of the middle row, (angle, detector).
    """

    counts: Path
    flats: Path
    darks: Path
    theta: Path
    dead: NDArray[np.bool_]
    lines: Array


def image(size: int) -> Array:
    """The phantom on size² pixels of 1 mm, row 0 at the lowest y."""
    place = np.arange(size) - (size - 1) / 2
    x, y = place[None, :], place[:, None]
    return sum(
        (
            height * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * width**2))
            for height, a, b, width in BLOBS
        ),
        start=np.zeros((size, size)),
    )


def line_integrals(
    theta: Array, pixels: int, axis_offset: float = 0.0, pitch: float = 1.0
) -> Array:
    """Along (-sin θ, cos θ) at the distances of a detector, lengths in mm."""
    s = (np.arange(pixels) - (pixels - 1) / 2) * pitch - axis_offset
    return sum(
        height
        * width
        * np.sqrt(2 * np.pi)
        * np.exp(
            -((s - a * np.cos(theta)[:, None] - b * np.sin(theta)[:, None]) ** 2) / (2 * width**2)
        )
        for height, a, b, width in BLOBS
    )


def frames_of(
    lines: Array, rows: int, dead: NDArray[np.bool_], seed: int = 0
) -> tuple[Array, Array, Array]:
    """Counts, flats and darks of a panel whose rows see the same, without noise of photons.

    Bad pixels are, by turns, dark, hardly sensitive, and stuck at one count.
    """
    rng = np.random.default_rng(seed)
    pixels = lines.shape[1]
    beam = 30000 * (1 + 0.2 * np.cos(np.arange(pixels) / 15)) * np.ones((rows, 1))
    dark = 100 + 5 * rng.random((rows, pixels))
    counts = np.repeat((np.exp(-lines))[:, None], rows, 1) * beam + dark
    flats = np.repeat((beam + dark)[None], 4, 0) + np.array([-20, 0, 0, 20])[:, None, None]
    darks = np.repeat(dark[None], 4, 0)
    for number, (row, pixel) in enumerate(np.argwhere(dead)):
        kind = number % 3
        share = (0.0, 0.01, 0.0)[kind]
        offset = (0.0, 0.0, 20000.0)[kind]
        noise = rng.normal(0, 3, (len(lines) + 4))
        counts[:, row, pixel] = (
            100 + offset + share * (counts[:, row, pixel] - 100) + noise[4:] * (kind < 2)
        )
        flats[:, row, pixel] = 100.5 + offset + share * beam[row, pixel] + noise[:4] * 0.1
        darks[:, row, pixel] = 100.0 if kind < 2 else 100 + offset
    return counts, flats, darks


def written(
    folder: Path, *, views: int = 120, pixels: int = 99, rows: int = 3, axis_offset: float = 0.0
) -> Scan:
    """A scan over half a turn as TIFF stacks, with 3 % of bad pixels."""
    degrees = np.arange(views) * 180.0 / views
    lines = line_integrals(np.deg2rad(degrees), pixels, axis_offset)
    dead = np.zeros((rows, pixels), np.bool_)
    rng = np.random.default_rng(1)
    dead.flat[rng.choice(dead.size, round(0.03 * dead.size), replace=False)] = True
    dead[rows // 2, [pixels // 2, pixels // 2 + 1, pixels // 3]] = True
    names = ("scan.tif", "flats.tif", "darks.tif", "theta.txt")
    files = [folder / name for name in names]
    for file, frames in zip(files, frames_of(lines, rows, dead), strict=False):
        tifffile.imwrite(file, np.rint(frames).astype(np.uint16), photometric="minisblack")
    files[3].write_text("angle\n" + "\n".join(f"{each:.8g}" for each in degrees) + "\n")
    scan, flats, darks, theta = files
    return Scan(scan, flats, darks, theta, dead, lines)
