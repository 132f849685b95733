"""The figure of the undersampling masks and of a brain's coil maps.

    python -m studies.masks_and_maps       # writes docs/figures/masks-and-maps.png

The masks are of 128 × 128 samples at acceleration 4, drawn for the file name file1000000.h5; above
each is the acceleration that it has in all. The maps are ESPIRiT's, of the brain of
../shared/data/brain_kspace.npy.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
import typer
from PIL import Image

from learnedrecon import specs
from learnedrecon.files import atomic_path
from learnedrecon.operators.mri.sampling import MASKS, acceleration
from learnedrecon.solvers.coils.espirit import espirit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "docs" / "figures" / "masks-and-maps.png"
NO_DITHER = Image.Dither.NONE
BRAIN = ROOT.parent / "shared" / "data" / "brain_kspace.npy"


def masks(figure: SubFigure) -> None:
    """One panel for each kind."""
    for axis, name in zip(figure.subplots(2, 4).flat, MASKS, strict=True):
        mask = specs.named_from_plain(MASKS, {"name": name}).draw((128, 128), "file1000000.h5")
        axis.imshow(mask.numpy(), cmap="gray", interpolation="nearest")
        axis.set_title(f"{name}, {float(acceleration(mask)):.2f}", size=8)
        bare(axis)


def maps(figure: SubFigure) -> None:
    """Magnitude above, phase relative to the first coil below; black where there are none."""
    found = espirit(torch.from_numpy(np.load(BRAIN))).maps.numpy()
    axes = figure.subplots(2, len(found))
    outside = np.ma.masked_equal(found, 0)
    for coil, one in enumerate(outside):
        largest = axes[0, coil].imshow(np.abs(one).filled(0), cmap="inferno", vmin=0, vmax=1)
        hue = np.ma.array(np.angle(one.data), mask=one.mask)
        phase = axes[1, coil].imshow(hue, cmap="twilight", vmin=-np.pi, vmax=np.pi)
        axes[1, coil].set_facecolor("black")
        axes[0, coil].set_title(f"coil {coil}", size=8)
        bare(axes[0, coil])
        bare(axes[1, coil])
    for row, (shown, label) in enumerate(((largest, "|S|"), (phase, "arg S"))):
        bar = figure.colorbar(shown, ax=axes[row], fraction=0.02, pad=0.01)
        bar.set_label(label, size=8)
        bar.ax.tick_params(labelsize=7)


def palette() -> Image.Image:
    """The colours of the figure: both colour maps and some greys."""
    parts = [
        mpl.colormaps[name](np.linspace(0, 1, number))
        for name, number in (("inferno", 120), ("twilight", 120), ("gray", 16))
    ]
    image = Image.new("P", (1, 1))
    image.putpalette((255 * np.concatenate(parts)[:, :3]).round().astype(np.uint8).tobytes())
    return image


def bare(axis: Axes) -> None:
    """No ticks."""
    axis.set(xticks=[], yticks=[])


def main(*, output: Annotated[Path, typer.Option(help="Where to write the PNG.")] = FIGURE) -> None:
    """Draws both and writes."""
    mpl.use("Agg")
    figure = plt.figure(figsize=(11.0, 9.4), layout="constrained")
    parts: NDArray[np.object_] = figure.subfigures(2, 1, height_ratios=(5.6, 3.4), squeeze=False)
    masks(parts[0, 0])
    maps(parts[1, 0])
    whole = BytesIO()
    figure.savefig(whole, dpi=100)
    plt.close(figure)
    with atomic_path(output) as temporary:
        # 256 colours are enough, and a third of the bytes.
        indexed = Image.open(whole).convert("RGB").quantize(palette=palette(), dither=NO_DITHER)
        indexed.save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    typer.run(main)
