"""Empty figures, whose library is imported when the first one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import FigureCanvasAgg


def canvas(width: float, height: float, dpi: float) -> FigureCanvasAgg:
    """A canvas with an empty figure, without a window; the figure is its attribute.

    Args:
        width: Width in inches.
        height: Height in inches.
        dpi: Pixels per inch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return FigureCanvasAgg(Figure(figsize=(width, height), layout="constrained", dpi=dpi))


def colours(name: str, number: int) -> np.ndarray:
    """Equally spaced colours of a colour map, (number, 3), in [0, 1].

    Args:
        name: Name of the colour map.
        number: Number of colours.
    """
    from matplotlib import colormaps

    return np.asarray(colormaps[name](np.linspace(0, 1, number)))[:, :3]
