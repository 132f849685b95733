"""Figures to draw on, whose library is imported with the first one, and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    import os

    from matplotlib.backends.backend_agg import FigureCanvasAgg

_LAYOUT: Literal["constrained"] | None = "constrained"


def canvas(width: float, height: float, dpi: float) -> FigureCanvasAgg:
    """A canvas with an empty figure, without a window; the figure is its attribute.

    Args:
        width: Width in inches.
        height: Height in inches.
        dpi: Pixels per inch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return FigureCanvasAgg(Figure(figsize=(width, height), layout=_LAYOUT, dpi=dpi))


def write_png(sheet: FigureCanvasAgg, target: str | os.PathLike[str]) -> None:
    """Writes a figure, which is drawn once: ``savefig`` would draw and arrange it twice.

    Args:
        sheet: Result of :func:`canvas` with something on it.
        target: Path of the file, written atomically.

    Raises:
        FileFormatError: The file cannot be written.
    """
    sheet.draw()
    image = Image.fromarray(np.asarray(sheet.buffer_rgba()))
    with atomic_path(target) as temporary:
        image.save(temporary, format="PNG")


def colours(name: str, number: int) -> np.ndarray:
    """Equally spaced colours of a colour map, (number, 3), in [0, 1].

    Args:
        name: Name of the colour map.
        number: Number of colours.
    """
    from matplotlib import colormaps

    return np.asarray(colormaps[name](np.linspace(0, 1, number)))[:, :3]
