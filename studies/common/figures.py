"""How figures are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure and frees it."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
