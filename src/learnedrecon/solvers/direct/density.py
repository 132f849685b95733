"""Density compensation weights of non-Cartesian trajectories.

Weights are areas (volumes) in units of a cell of the Cartesian grid, ∏ 2π/n: the frequencies of the
discrete Fourier transform have the weight 1, and Σ_j w_j f(k_j) is a quadrature of
n/(2π)^d ∫ f(k) dk over the part of [-π, π]^d that is sampled. With them T*WT is near the identity.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.mri.nufft import nufft, nufft_adjoint
from learnedrecon.operators.mri.trajectories import Kooshball, Radial, Stacked
from learnedrecon.solvers.direct.views import coverage

if TYPE_CHECKING:
    from learnedrecon.operators.mri.non_cartesian import NonCartesianMRI

    Shape = tuple[int, ...]

_known: WeakIdKeyDictionary = WeakIdKeyDictionary()


class Density(NamedTuple):
    """Density compensation weights computed by iteration.

    Attributes:
        weights: Weights (..., interleave, sample), float64.
        iterations: Number of iterations.
        defect: Root mean square of (C w)_j - 1, weighted by w; 0 for a solution.
    """

    weights: Tensor
    iterations: int
    defect: float


def density_weights(operator: NonCartesianMRI) -> Tensor:
    """The weights of :func:`pipe_menon`, cached as long as the trajectory exists.

    Args:
        operator: T; operators that share a trajectory share its weights.

    Returns:
        Weights (..., interleave, sample), float64, without gradients.
    """
    trajectory = operator.trajectory
    version, weights = _known.get(trajectory, (None, None))
    if version != trajectory._version or weights is None:  # noqa: SLF001 (learned ones change)
        weights = pipe_menon(trajectory, operator.domain.shape).weights
        _known[trajectory] = (trajectory._version, weights)  # noqa: SLF001 - torch has no public name
    return weights


@torch.no_grad()
def pipe_menon(trajectory: Tensor, shape: Shape, iterations: int = 30) -> Density:
    """Density weights of any trajectory by w ← w/(C w) (Pipe, Menon, Magn. Reson. Med. 41, 1999).

    (C w)_i = Σ_j c(k_i - k_j) w_j with the squared transform of the field of view, the product of
    Fejér kernels, c(0) = 1: its own transform is the autocorrelation of the image's box, so that
    aliases of the point spread function fall outside of the image (Johnson, Pipe, Magn. Reson. Med.
    61(2), 2009). A sample farther than a cell from all others gets the weight 1.

    Args:
        trajectory: Trajectory (..., interleave, sample, axis) in radians per pixel.
        shape: Shape of the image.
        iterations: Number of iterations, each of which takes two NUFFTs on a doubled grid.

    Raises:
        GeometryError: The number of iterations is below 1.
    """
    if iterations < 1:
        raise GeometryError(
            describe(expected="at least 1 iteration", found=f"{iterations}", fix="use about 30")
        )
    points = trajectory.detach().double().flatten(-3, -2)
    doubled = tuple(2 * n for n in shape)
    window = _autocorrelation(shape, points) * math.prod(doubled)
    weights = points.new_ones(points.shape[:-1])
    seen = weights
    for _ in range(iterations):
        image = nufft_adjoint(weights.to(torch.complex64), points, doubled)
        seen = nufft(window * image, points, doubled).real.double()
        weights = weights / seen
    defect = ((weights * (seen - 1) ** 2).sum() / weights.sum()).sqrt()
    return Density(weights.unflatten(-1, trajectory.shape[-3:-1]), iterations, float(defect))


def ramp_weights(trajectory: Radial | Kooshball | Stacked, shape: Shape) -> Tensor:
    """Density weights of spokes in closed form, |r| Δr Δθ in two dimensions and r² Δr ΔΩ in three.

    Sums along a spoke have the correction of Euler and Maclaurin for the kink of |r|: Δr²/6 in
    place of 0 at r = 0. Δθ is half the gap to the spokes on either side, as of
    :func:`learnedrecon.solvers.direct.views.coverage`; ΔΩ = 2π/spokes.

    Args:
        trajectory: Radial trajectory in two or three dimensions, or stack of stars.
        shape: Shape of the image.

    Returns:
        Weights (spokes, samples), float64.

    Raises:
        GeometryError: The trajectory is of another kind.
    """
    return _ramp(trajectory, shape)


@singledispatch
def _ramp(trajectory: object, shape: Shape) -> Tensor:  # noqa: ARG001 - of the kinds below
    raise GeometryError(
        describe(
            expected="a Radial, a Kooshball, or a Stacked with Radial planes",
            found=f"{trajectory!r:.80}",
            fix="use pipe_menon or voronoi_weights",
        )
    )


@_ramp.register(Stacked)
def _of_stars(trajectory: Stacked, shape: Shape) -> Tensor:
    plane = _ramp(trajectory.plane, shape[1:])
    return (shape[0] / trajectory.partitions) * plane.repeat(trajectory.partitions, 1)


@_ramp.register(Radial)
def _of_spokes(trajectory: Radial, shape: Shape) -> Tensor:
    radii, step = np.abs(trajectory.radii), 2 * math.pi / trajectory.samples
    turns = coverage(tuple(trajectory.angles.tolist()), math.pi).weights
    along = np.where(radii > 0, radii, step / 6) * step
    return torch.from_numpy(turns[:, None] * along) * _per_cell(shape)


@_ramp.register(Kooshball)
def _of_directions(trajectory: Kooshball, shape: Shape) -> Tensor:
    turns = np.full(trajectory.directions, 2 * math.pi / trajectory.directions)
    along = trajectory.radii**2 * (2 * math.pi / trajectory.samples)
    return torch.from_numpy(turns[:, None] * along) * _per_cell(shape)


def _autocorrelation(shape: Shape, like: Tensor) -> Tensor:
    """Π (n - |x|)/n² for x from -n to n - 1 along each axis; it sums to 1."""
    window = like.new_ones(())
    for n in shape:
        x = torch.arange(-n, n, dtype=like.dtype, device=like.device)
        window = window[..., None] * ((n - x.abs()) / n**2)
    return window.to(torch.complex64)


def _per_cell(shape: Shape) -> float:
    return math.prod(n / (2 * math.pi) for n in shape)
