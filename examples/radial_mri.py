"""A head measured along few spokes by eight coils: gridding, and SENSE by conjugate gradients.

    python examples/radial_mri.py

The measurement is exact: ellipses have a Fourier transform in closed form, and coil maps that are
trigonometric polynomials only shift and add it (Guerquin-Kern et al., IEEE Trans. Med. Imaging
31(3), 2012). So nothing here computes data with the operator that reconstructs them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import j1

import learnedrecon as lr
from learnedrecon.data.phantoms.ellipses import ellipse_image
from learnedrecon.data.phantoms.shepp_logan import shepp_logan_ellipses
from learnedrecon.evaluation.figure import Panel, Row, comparison
from learnedrecon.solvers.cg import cg
from learnedrecon.solvers.direct.density import ramp_weights

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 2


def ellipse_transform(ellipses: np.ndarray, k: np.ndarray, size: int) -> np.ndarray:
    """∫ u(x) exp(-ik·x) dx of ellipses on [-1, 1]², in pixels from the one of index size // 2.

    Args:
        ellipses: in the columns of :mod:`learnedrecon.data.phantoms.ellipses`.
        k: (..., 2) in radians per pixel, (ky, kx).
        size: pixels along each side.
    """
    half, total = size / 2, np.zeros(k.shape[:-1], dtype=complex)
    for value, a, b, x, y, turn in ellipses:
        along = k[..., 1] * math.cos(turn) + k[..., 0] * math.sin(turn)
        across = k[..., 0] * math.cos(turn) - k[..., 1] * math.sin(turn)
        radius = np.maximum(half * np.hypot(a * along, b * across), 1e-9)
        centre = [half * c + half - 0.5 - size // 2 for c in (y, x)]
        shape = 2 * math.pi * a * b * half**2 * j1(radius) / radius
        total += value * shape * np.exp(-1j * (k @ centre))
    return total


def waves(size: int) -> np.ndarray:
    """The frequencies of the coil maps, (number, 2), half cycles per field of view."""
    steps = range(-ORDER, ORDER + 1)
    return np.array(list(itertools.product(steps, steps))) * math.pi / size


def coil_waves(coils: int, size: int) -> np.ndarray:
    """Coefficients (coil, wave) of maps that fall off with the distance from a ring of coils."""
    axis = (np.arange(size) - size // 2 + 0.5) * 2 / size
    y, x = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    turns = 2 * math.pi * np.arange(coils)[:, None] / coils
    dy, dx = y - 1.3 * np.sin(turns), x - 1.3 * np.cos(turns)
    wanted = np.exp(1j * (turns + 0.3 * (dx + dy))) / (0.5 + dy**2 + dx**2)
    return np.linalg.lstsq(wave_images(size), wanted.T, rcond=None)[0].T


def wave_images(size: int) -> np.ndarray:
    """exp(iω·x) of every wave, (pixel, wave)."""
    axis = np.arange(size) - size // 2
    pixels = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.exp(1j * pixels @ waves(size).T)


def measure(trajectory: lr.operators.Radial, coefficients: np.ndarray, size: int) -> Tensor:
    """The exact data (coil, spoke, sample) of the head."""
    k = trajectory.points()
    moved = [ellipse_transform(shepp_logan_ellipses(), k - wave, size) for wave in waves(size)]
    return torch.from_numpy(np.einsum("cw,wsj->csj", coefficients, np.stack(moved)) / size)


def truth_of(size: int) -> Tensor:
    """The head averaged over each pixel, from 8 × 8 points in it."""
    fine = torch.from_numpy(ellipse_image(shepp_logan_ellipses(), (8 * size, 8 * size)))
    return torch.nn.functional.avg_pool2d(fine[None, None], 8)


def sense(operator: lr.operators.NonCartesianMRI, data: Tensor, weight: float) -> Tensor:
    """The minimiser of ½‖Tu - y‖² + λ/2 ‖u‖², T*T by FFTs alone; λ in units of ‖T‖²."""
    normal, size = operator.normal(), operator.norm() ** 2
    result = cg(
        lambda u: normal(u) + weight * size * u,
        operator.adjoint(data),
        tolerance=1e-4,
        axes=operator.domain.ndim,
    )
    print(result.status)
    return result.solution


def reconstruct(
    operator: lr.operators.NonCartesianMRI, data: Tensor, weight: float
) -> dict[str, Tensor]:
    """T*y without density compensation, times the best constant; gridding; SENSE."""
    plain = operator.adjoint(data)
    again = operator(plain)
    plain = plain * ((again.conj() * data).sum().real / again.abs().square().sum())
    trajectory = operator.scan.trajectory
    assert isinstance(trajectory, lr.operators.Radial)
    ramp = ramp_weights(trajectory, operator.scan.shape)
    return {
        "adjoint": plain,
        "gridding, ramp": lr.solvers.gridding(operator, data, weights=ramp),
        "gridding": lr.solvers.gridding(operator, data),
        "SENSE": sense(operator, data, weight),
    }


def psnr(image: Tensor, truth: Tensor) -> float:
    """In dB, the range being that of the truth."""
    error = (image - truth).square().mean()
    return float(10 * torch.log10((truth.max() - truth.min()) ** 2 / error))


@torch.no_grad()
def main() -> None:
    """Simulates, reconstructs, and writes a figure."""
    parser = argparse.ArgumentParser(description="A head along few spokes, by eight coils.")
    parser.add_argument("--size", type=int, default=192, help="pixels along each side")
    parser.add_argument("--acceleration", type=float, default=8.0)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--noise", type=float, default=0.01, help="of the root mean square of y")
    parser.add_argument("--weight", type=float, default=1e-4, help="λ of SENSE, in ‖T‖²")
    parser.add_argument("--figure", type=Path, default=Path("runs/radial-mri.png"))
    given = parser.parse_args()
    spokes = math.ceil(math.pi / 2 * given.size / given.acceleration)
    trajectory = lr.operators.Radial(spokes, 2 * given.size)
    coefficients = coil_waves(given.coils, given.size)
    exact = measure(trajectory, coefficients, given.size).to(torch.complex64)
    noise = torch.randn(exact.shape, dtype=exact.dtype, generator=torch.Generator().manual_seed(0))
    data = exact + given.noise * exact.abs().square().mean().sqrt() * noise
    maps = torch.from_numpy(wave_images(given.size) @ coefficients.T).T.to(torch.complex64)
    maps = maps.reshape(given.coils, given.size, given.size)
    spec = lr.operators.NonCartesian((given.size, given.size), trajectory, given.coils)
    truth, begun = truth_of(given.size).float(), time.perf_counter()
    images = reconstruct(lr.operators.NonCartesianMRI(spec, maps), data[None, None], given.weight)
    panels = []
    for name, image in images.items():
        score = f"{psnr(image.abs(), truth):.2f} dB"
        panels.append(Panel(name, image.abs()[0, 0].numpy(), score))
        print(f"{name}: {score}")
    print(f"{spokes} spokes, {time.perf_counter() - begun:.1f} s for all")
    row = Row(f"{spokes} spokes", Panel("head", truth[0, 0].numpy()), tuple(panels), (0.0, 0.6))
    given.figure.parent.mkdir(parents=True, exist_ok=True)
    comparison([row], given.figure)


if __name__ == "__main__":
    main()
