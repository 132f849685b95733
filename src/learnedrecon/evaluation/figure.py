"""Figures of images with their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from learnedrecon.errors import DataError, describe
from learnedrecon.evaluation.canvas import canvas, colours
from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_PANEL = 2.1
_SCALE = 0.6


@dataclass(frozen=True)
class Panel:
    """One image of a comparison.

    Attributes:
        title: Text above the image.
        image: Image (ny, nx).
        caption: Text on the image, such as its PSNR.
    """

    title: str
    image: np.ndarray
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """One object with its reconstructions by several methods.

    Attributes:
        label: Text at the left of the row.
        truth: Reference panel.
        panels: One panel per method.
        window: Grey values shown as black and white.
        unit: Unit of the image values, such as "1/mm".
    """

    label: str
    truth: Panel
    panels: tuple[Panel, ...]
    window: tuple[float, float]
    unit: str = ""


def comparison(rows: Sequence[Row], target: str | os.PathLike[str], *, dpi: int = 110) -> None:
    """Writes a PNG with the truth, every method and their error maps for each row.

    The images of a row share one grey scale, and its error maps one symmetric scale; both stand at
    their right. The error maps of a single row are below the images, those of several rows at their
    right, so that the figure is wide rather than tall.

    Args:
        rows: Rows, at least one, each with at least one method.
        target: Path of the file, written atomically.
        dpi: Dots per inch; a panel is 2.1 inches wide.

    Raises:
        DataError: There is nothing to compare.
        FileFormatError: The file cannot be written.
    """
    if not rows or not all(row.panels for row in rows):
        raise DataError(
            describe(
                expected="at least one row, and a method in each",
                found=f"{len(rows)} rows with {[len(row.panels) for row in rows]} methods",
                fix="give something to compare with the truth",
            )
        )
    methods = max(len(row.panels) for row in rows)
    sheet = canvas(*_size(len(rows), methods), dpi)
    figure = sheet.figure
    if len(rows) == 1:
        axes = figure.subplots(2, 1 + methods, squeeze=False)
        _images(figure, axes[0], rows[0])
        axes[1, 0].set_axis_off()
        axes[1, 0].text(0.5, 0.5, "error maps", ha="center", va="center", fontsize=9)
        _errors(figure, axes[1, 1:], rows[0])
    else:
        axes = figure.subplots(len(rows), 1 + 2 * methods, squeeze=False)
        for row, line in zip(rows, axes, strict=True):
            _images(figure, line[: 1 + methods], row)
            _errors(figure, line[1 + methods :], row, titled=True)
    sheet.draw()
    image = _indexed(np.asarray(sheet.buffer_rgba())[..., :3])
    with atomic_path(target) as temporary:
        image.save(temporary, format="PNG", optimize=True)


def _indexed(rgb: np.ndarray) -> Image.Image:
    """The nearest of 128 greys and 128 colours of the error maps: a third of the bytes.

    Args:
        rgb: uint8 (height, width, 3).
    """
    levels = np.linspace(0, 1, 128)
    errors = colours("RdBu_r", len(levels))
    palette = (255 * np.concatenate([levels[:, None].repeat(3, 1), errors])).round()
    code = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    codes, place = np.unique(code, return_inverse=True)
    exact = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    nearest = ((exact[:, None] - palette) ** 2).sum(-1).argmin(1).astype(np.uint8)
    image = Image.fromarray(nearest[place.reshape(code.shape)])
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def _size(rows: int, methods: int) -> tuple[float, float]:
    """Width and height in inches, with room for the scales."""
    if rows == 1:
        return _PANEL * (1 + methods) + _SCALE, 2.1 * _PANEL
    return _PANEL * (1 + 2 * methods) + 2 * _SCALE, 1.05 * _PANEL * rows


def _images(figure: Figure, axes: np.ndarray, row: Row) -> None:
    for axis in axes:
        axis.set_axis_off()
    low, high = row.window
    shown = None
    for axis, panel in zip(axes, (row.truth, *row.panels), strict=False):
        shown = axis.imshow(panel.image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(panel.title, fontsize=9)
        _caption(axis, panel.caption)
    axes[0].text(
        -0.06, 0.5, row.label, transform=axes[0].transAxes, rotation=90, va="center", ha="right",
        fontsize=9,
    )  # fmt: skip
    _scale(figure, shown, axes[: 1 + len(row.panels)], row.unit)


def _scale(figure: Figure, shown: AxesImage | None, axes: np.ndarray, unit: str) -> None:
    """The values of colours at the right of some axes, with their unit."""
    if shown is not None:
        bar = figure.colorbar(shown, ax=axes.tolist(), shrink=0.8, pad=0.01)
        bar.ax.tick_params(labelsize=8)
        bar.set_label(unit, fontsize=8)


def _errors(figure: Figure, axes: np.ndarray, row: Row, *, titled: bool = False) -> None:
    for axis in axes:
        axis.set_axis_off()
    errors = [panel.image - row.truth.image for panel in row.panels]
    limit = max(float(np.quantile(np.abs(error), 0.995)) for error in errors) or 1.0
    shown = None
    for axis, panel, error in zip(axes, row.panels, errors, strict=False):
        shown = axis.imshow(error, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        _caption(axis, f"rms {np.sqrt(np.mean(error**2)):.2g}")
        if titled:
            axis.set_title(f"{panel.title} - truth", fontsize=9)
    _scale(figure, shown, axes[: len(row.panels)], row.unit)


def _caption(axis: Axes, text: str) -> None:
    if text:
        axis.text(
            0.02, 0.02, text, transform=axis.transAxes, fontsize=8, color="white",
            bbox={"facecolor": "black", "alpha": 0.6, "pad": 1.5, "edgecolor": "none"},
        )  # fmt: skip
