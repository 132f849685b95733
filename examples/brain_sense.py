"""A measured brain from undersampled k-space: zero-filled, CG-SENSE and total variation.

    python examples/brain_sense.py --data ../shared/data/brain_kspace.npy

One slice, eight coils, a variable-density Poisson-disc mask. There is no ground truth, so every
method is judged by what it predicts of samples that it has not seen: a tenth of the acquired places
in k-space (outside the centre, all coils) is left out for the test, another tenth for the choice of
the regularisation. Coil maps come from the remaining centre, by ESPIRiT.

Writes runs/brain.png and runs/brain.json; what the page shows was written to docs/figures/ and
studies/results/ by --figure and --results.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from learnedrecon.files import atomic_path, write_text
from learnedrecon.functionals.combined import FunctionalMultiple, Misfit
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.functionals.norms import GroupL1
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.sampling import acceleration, sampling_mask
from learnedrecon.solvers.cg_sense import cg_sense
from learnedrecon.solvers.coils.espirit import espirit
from learnedrecon.solvers.pdhg import Term, pdhg
from learnedrecon.training.environment import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CENTRE, SHARE = 24, 0.1
TIKHONOV = (0.0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
VARIATION = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


@dataclass(frozen=True, eq=False)
class Split:
    """Acquired places in k-space, (ky, kx) each: to reconstruct from, to choose by, to test on."""

    used: Tensor
    choosing: Tensor
    testing: Tensor


def split(mask: Tensor, seed: int = 0) -> Split:
    """Draws two tenths of all acquired places, none of them in the centre."""
    outside = mask.clone()
    rows, columns = ((n - CENTRE) // 2 for n in mask.shape)
    outside[rows : rows + CENTRE, columns : columns + CENTRE] = False
    places = outside.flatten().nonzero().flatten()
    order = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))]
    number = round(SHARE * int(mask.sum()))
    choosing, testing = (torch.zeros_like(mask) for _ in range(2))
    choosing.view(-1)[order[:number]] = True
    testing.view(-1)[order[number : 2 * number]] = True
    return Split(mask & ~choosing & ~testing, choosing, testing)


@dataclass(frozen=True, eq=False)
class Scan:
    """k-space (coil, ky, kx), scaled to a largest zero-filled magnitude of 1, and coil maps."""

    kspace: Tensor
    maps: Tensor

    def operator(self, mask: Tensor) -> CartesianMRI:
        """SENSE with the samples of a mask."""
        spec = Cartesian(tuple(mask.shape), coils=len(self.maps))
        return CartesianMRI(spec, mask, self.maps)

    def residual(self, image: Tensor, mask: Tensor) -> float:
        """‖M(Au - y)‖ / ‖My‖."""
        data = self.kspace * mask
        return float((self.operator(mask)(image)[0, 0] - data).norm() / data.norm())


def zero_filled(scan: Scan, mask: Tensor) -> Tensor:
    """A*y."""
    return scan.operator(mask).adjoint((scan.kspace * mask)[None, None])


def tikhonov(scan: Scan, mask: Tensor, weight: float) -> tuple[Tensor, str]:
    """CG-SENSE."""
    data = (scan.kspace * mask)[None, None]
    found = cg_sense(scan.operator(mask), data, weight, tolerance=1e-5, max_iterations=300)
    return found.solution, found.status


def variation(scan: Scan, mask: Tensor, weight: float) -> tuple[Tensor, str]:
    """The minimiser of ½‖Au - y‖² + α Σ|∇u|, for complex u."""
    operator, data = scan.operator(mask), (scan.kspace * mask)[None, None]
    terms = (
        Term(Misfit(LeastSquares(), data), operator),
        Term(FunctionalMultiple(GroupL1(), weight), FiniteDifference(operator.domain)),
    )
    found = pdhg(terms, None, operator.adjoint(data), tolerance=1e-3, max_iterations=2000)
    return found.solution, found.status


def read_scan(path: Path, used: Callable[[Tensor], Tensor]) -> tuple[Scan, Tensor]:
    """The scan with maps from the samples that ``used`` leaves of the mask, and the whole mask."""
    kspace = torch.from_numpy(np.load(path)).to(torch.complex64)
    mask = sampling_mask(kspace)[0]
    maps = espirit(kspace * used(mask), calibration=CENTRE).maps
    plain = Scan(kspace, maps)
    return Scan(kspace / zero_filled(plain, mask).abs().max(), maps), mask


@dataclass(frozen=True, eq=False)
class Outcome:
    """An image and how it was made."""

    image: Tensor
    weight: float | None
    seconds: float
    status: str = ""
    tried: tuple[tuple[float, float], ...] = ()


def chosen(
    scan: Scan,
    parts: Split,
    method: Callable[[Scan, Tensor, float], tuple[Tensor, str]],
    weights: Sequence[float],
) -> Outcome:
    """The method with the weight that predicts the samples for choosing best."""
    tried, best = [], None
    for weight in weights:
        begun = time.perf_counter()
        image, status = method(scan, parts.used, weight)
        seconds = time.perf_counter() - begun
        tried.append((weight, scan.residual(image, parts.choosing)))
        if best is None or tried[-1][1] < min(score for _, score in tried[:-1]):
            best = Outcome(image, weight, seconds, status)
    assert best is not None
    return Outcome(best.image, best.weight, best.seconds, best.status, tuple(tried))


def outcomes(scan: Scan, parts: Split, *, quick: bool = False) -> dict[str, Outcome]:
    """All methods, each with its best weight, or with one that is known to be good."""
    ridge, edges = ((1e-2,), (1e-3,)) if quick else (TIKHONOV, VARIATION)
    begun = time.perf_counter()
    image = zero_filled(scan, parts.used)
    return {
        "zero-filled": Outcome(image, None, time.perf_counter() - begun),
        "CG-SENSE": chosen(scan, parts, tikhonov, ridge),
        "TV-SENSE": chosen(scan, parts, variation, edges),
    }


def draw(found: dict[str, Outcome], scores: dict[str, float], path: Path) -> None:
    """The magnitudes side by side, and a detail of each."""
    figure, axes = plt.subplots(2, len(found), figsize=(9, 7.2), constrained_layout=True)
    top = float(found["CG-SENSE"].image.abs().quantile(0.998))
    for column, (name, outcome) in zip(axes.T, found.items(), strict=True):
        magnitude = outcome.image[0, 0].abs().numpy()
        ny, nx = magnitude.shape
        detail = magnitude[ny // 3 : ny // 3 + 70, nx // 3 : nx // 3 + 55]
        for axis, picture in zip(column, (magnitude, detail), strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=top)
            axis.set_axis_off()
        column[0].set_title(f"{name}\nheld-out residual {scores[name]:.3f}", fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")
    plt.close(figure)


def plain(outcome: Outcome, score: float) -> dict[str, Any]:
    """As JSON holds it."""
    return {
        "held_out_residual": score,
        "weight": outcome.weight,
        "seconds": outcome.seconds,
        "status": outcome.status,
        "tried": [{"weight": w, "residual": r} for w, r in outcome.tried],
    }


def main() -> None:
    """Reconstructs, and writes a figure and numbers."""
    parser = argparse.ArgumentParser(description="A measured brain from undersampled k-space.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/brain_kspace.npy"))
    parser.add_argument("--quick", action="store_true", help="one weight for each method")
    parser.add_argument("--figure", type=Path, default=Path("runs/brain.png"))
    parser.add_argument("--results", type=Path, default=Path("runs/brain.json"))
    given = parser.parse_args()
    begun = time.perf_counter()
    scan, mask = read_scan(given.data, lambda whole: split(whole).used)
    parts = split(mask)
    found = outcomes(scan, parts, quick=given.quick)
    scores = {name: scan.residual(one.image, parts.testing) for name, one in found.items()}
    draw(found, scores, given.figure)
    table = Table("method", "weight", "held-out residual", "seconds", title="a measured brain")
    for name, one in found.items():
        weight = "" if one.weight is None else f"{one.weight:g}"
        table.add_row(name, weight, f"{scores[name]:.4f}", f"{one.seconds:.2f}")
    Console(width=100).print(table)
    content = {
        "command": shlex.join(["python", *sys.argv]),
        "seconds": time.perf_counter() - begun,
        "acceleration": {"all": float(acceleration(mask)), "used": float(acceleration(parts.used))},
        "held_out": {"choosing": int(parts.choosing.sum()), "testing": int(parts.testing.sum())},
        "methods": {name: plain(one, scores[name]) for name, one in found.items()},
        "environment": environment(),
    }
    write_text(given.results, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
