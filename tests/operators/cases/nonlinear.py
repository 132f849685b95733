"""Operators that are not linear, and what is composed with them."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.magnitude import Magnitude, PhaseRetrieval
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.fourier import CentredFFT
from learnedrecon.operators.pointwise import Diagonal, ScaledArgument
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.saturation import Response, Saturation
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.ray.geometry2d import Geometry

    Made = Operator | tuple[Operator, Tensor]

_SCANS: dict[str, Geometry] = {
    "parallel": ParallelBeam((10, 10), AngleRange(7), FlatDetector(15)),
    "wide": ParallelBeam((5, 12), AngleRange(6, start=0.2), FlatDetector(14, 1.1)),
    "fan": FanBeam((10, 10), AngleRange(6, arc=2 * math.pi), FlatDetector(16, 1.7), 40.0, 25.0),
}
_SMALL = ParallelBeam((6, 7), (0.1, 0.9, 2.0), FlatDetector(11))


class _Fourier(LinearOperator):
    """The orthonormal Fourier transform of an image in a frame of zeros twice its size."""

    row_axis = -2

    def __init__(self, space: Space, lines: tuple[int, ...] | None = None) -> None:
        ny, nx = space.shape
        self.lines = tuple(range(2 * ny)) if lines is None else lines
        super().__init__(space, Space((len(self.lines), 2 * nx), space.dtype.to_complex()))

    def evaluate(self, u: Tensor) -> Tensor:
        size = tuple(2 * n for n in self.domain.shape)
        return torch.fft.fft2(u, s=size, norm="ortho")[..., list(self.lines), :]

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        ny, nx = self.domain.shape
        whole = v.new_zeros(*v.shape[:-2], 2 * ny, 2 * nx)
        index = torch.tensor(self.lines, device=v.device)
        image = torch.fft.ifft2(whole.index_add(-2, index, v), norm="ortho")[..., :ny, :nx]
        return image if self.domain.is_complex else image.real

    def restrict(self, rows: tuple[int, ...]) -> _Fourier:
        return _Fourier(self.domain, tuple(self.lines[row] for row in rows))


def _random(space: Space, *leading: int, seed: int = 0) -> Tensor:
    return space.random(torch.Generator().manual_seed(seed), leading)


def _transmission(scan: str, dtype: torch.dtype, mu: float = 0.07) -> TransmissionCT:
    return TransmissionCT(Transmission(_SCANS[scan], mu), dtype)


def _counts(dtype: torch.dtype) -> TransmissionCT:
    return TransmissionCT(Transmission(_SCANS["wide"], 0.07, intensity=250.0, scatter=12.5), dtype)


def _own_scatter(dtype: torch.dtype) -> Made:
    plain = TransmissionCT(Transmission(_SMALL, 0.1), dtype)
    operator = plain.with_tensors({"scatter": _random(plain.codomain, 2, 1).abs()})
    return operator, _random(plain.domain, 2, 1, seed=1)


def _own_angles(dtype: torch.dtype) -> Made:
    angles = torch.tensor([[0.1, 0.9, 2.0], [0.3, 1.2, 2.8]], dtype=torch.float64)
    plain = TransmissionCT(Transmission(_SMALL, 0.1, scatter=0.2), dtype)
    return plain.with_tensors({"angles": angles[:, None]}), _random(plain.domain, 2, 1)


def _scaled(scale: float, dtype: torch.dtype) -> Operator:
    return ScaledArgument(_transmission("fan", dtype, 0.02), scale)


def _scaled_per_sample(dtype: torch.dtype) -> Made:
    inner = _transmission("fan", dtype, 0.02)
    scale = torch.tensor([0.5, 2.0], dtype=dtype).reshape(2, 1, 1, 1)
    return ScaledArgument(inner, scale), _random(inner.domain, 2, 1)


def _fourier(dtype: torch.dtype, *, complex_images: bool = True) -> _Fourier:
    return _Fourier(Space((4, 3), dtype.to_complex() if complex_images else dtype))


def _sense(dtype: torch.dtype) -> CartesianMRI:
    """Three coils, every second line."""
    mask = torch.arange(6) % 2 == 0
    kind = dtype.to_complex()
    maps = _random(Space((3, 5, 6), kind), seed=4)
    return CartesianMRI(Cartesian((5, 6), coils=3), mask, maps, kind)


def _sense_per_sample(dtype: torch.dtype) -> Made:
    """Masks of their own for two samples, put into the saturated magnitude of k-space."""
    inner = Magnitude(_sense(dtype), 0.1)
    mask = torch.rand(2, 1, 1, 5, 6, generator=torch.Generator().manual_seed(0)) < 0.6
    operator = (Saturation(inner.codomain, 2.0) @ inner).with_tensors({"mask": mask})
    return operator, _random(inner.domain, 2, 1, seed=1)


def _one_map(dtype: torch.dtype) -> LinearOperator:
    """An image seen through one map."""
    space = Space((5, 4), dtype.to_complex())
    return Diagonal(space, _random(space, seed=3))


def _real_magnitude(dtype: torch.dtype) -> Operator:
    return Magnitude(FiniteDifference(Space((5, 6), dtype)), 0.1)


def _saturation(response: Response, dtype: torch.dtype) -> Made:
    """Away from the kinks at 0 and at the level."""
    space = Space((3, 4), dtype)
    x = 0.2 + 0.3 * torch.rand(3, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)
    x[1:] = x[1:] + 2.0
    return Saturation(space, 1.3, response), x


def _saturated(response: Response, dtype: torch.dtype) -> Made:
    inner = _counts(dtype)
    at = 0.1 * _random(inner.domain).abs()
    return Saturation(inner.codomain, 150.0, response) @ inner, at


CASES: dict[str, Callable[[torch.dtype], Made]] = {
    **{f"transmission_ct, {scan}": partial(_transmission, scan) for scan in _SCANS},
    "transmission_ct, counts with scatter": _counts,
    "transmission_ct, scatter per sample": _own_scatter,
    "transmission_ct, angles per sample": _own_angles,
    "transmission_ct, subset": lambda dtype: _counts(dtype).subset([4, 0, 1]),
    "scaled argument, int": partial(_scaled, 3),
    "scaled argument, float": partial(_scaled, 0.25),
    "scaled argument, per sample": _scaled_per_sample,
    "phase retrieval, centred FFT": lambda dtype: PhaseRetrieval(
        CentredFFT(Space((5, 4), dtype.to_complex()))
    ),
    "phase retrieval, complex images": lambda dtype: PhaseRetrieval(_fourier(dtype)),
    "phase retrieval, real images": lambda dtype: PhaseRetrieval(
        _fourier(dtype, complex_images=False)
    ),
    "phase retrieval, real data": lambda dtype: PhaseRetrieval(
        FiniteDifference(Space((5, 6), dtype))
    ),
    "magnitude, SENSE": lambda dtype: Magnitude(_sense(dtype), 0.05),
    "magnitude, SENSE, saturated, masks per sample": _sense_per_sample,
    "magnitude, k-space": lambda dtype: Magnitude(_fourier(dtype), 0.05),
    "magnitude, real images": lambda dtype: Magnitude(_fourier(dtype, complex_images=False), 0.05),
    "magnitude, coil image": lambda dtype: Magnitude(_one_map(dtype), 0.1),
    "magnitude, gradient": _real_magnitude,
    "saturation, tanh": partial(_saturation, "tanh"),
    "saturation, dead time": partial(_saturation, "dead time"),
    "saturation, clip": partial(_saturation, "clip"),
    "saturation of transmission_ct, tanh": partial(_saturated, "tanh"),
    "saturation of transmission_ct, dead time": partial(_saturated, "dead time"),
    "saturation of magnitude": lambda dtype: (
        Saturation(Space((8, 6), dtype), 0.8) @ Magnitude(_fourier(dtype), 0.1)
    ),
    "linear of nonlinear": lambda dtype: _counts(dtype).ray.H @ _counts(dtype),
    "nonlinear of linear": lambda dtype: (
        _transmission("wide", dtype) @ FiniteDifference(_transmission("wide", dtype).domain).H
    ),
    "sum of nonlinear": lambda dtype: _counts(dtype) + _transmission("wide", dtype),
    "linear minus nonlinear": lambda dtype: _counts(dtype).ray - _counts(dtype) / 100,
    "multiple of nonlinear": lambda dtype: -0.3 * _transmission("parallel", dtype),
    "diagonal of nonlinear": lambda dtype: (
        Diagonal(_counts(dtype).codomain, _random(_counts(dtype).codomain)) @ _counts(dtype)
    ),
}
