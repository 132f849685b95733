"""Fourier transforms and Cartesian MRI for the table operator × property."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch

from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.fourier import CentredFFT
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.linear import LinearOperator

    Case: TypeAlias = Operator | tuple[Operator, Tensor]


def _fft(*shape: int) -> Callable[[torch.dtype], Case]:
    return lambda real: CentredFFT(Space(shape, real.to_complex()))


def _random(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _mask(*shape: int, share: float = 0.5) -> Tensor:
    """At random, with a one in the middle."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(5)) < share
    mask[tuple(n // 2 for n in shape)] = True
    return mask


def _mri(
    spec: Cartesian,
    mask: Tensor | None = None,
    *,
    per_sample: tuple[str, ...] = (),
    rows: tuple[int, ...] | None = None,
) -> Callable[[torch.dtype], Case]:
    """A case with random maps whose Σ|S|² is 1; three samples with masks or maps of their own."""

    def build(real: torch.dtype) -> Case:
        dtype = real.to_complex()
        lead = (3, 1) if per_sample else ()
        maps = None
        if spec.coils is not None:
            own = lead if "maps" in per_sample else ()
            maps = _random((*own, spec.coils, *spec.shape), dtype, 1)
            maps = maps / maps.abs().square().sum(-len(spec.shape) - 1, keepdim=True).sqrt()
        operator: LinearOperator
        operator = CartesianMRI(spec, None if "mask" in per_sample else mask, None, dtype)
        tensors = {} if maps is None else {"maps": maps}
        if "mask" in per_sample and mask is not None:
            tensors["mask"] = mask
        operator = operator.with_tensors(tensors)
        if rows is not None:
            operator = operator.subset(rows)
        return (operator, _random((*lead, *spec.shape), dtype, 2)) if per_sample else operator

    return build


_LINES = Cartesian((8, 12), coils=3)
CASES: dict[str, Callable[[torch.dtype], Case]] = {
    "CentredFFT, 1D odd": _fft(7),
    "CentredFFT, 2D even": _fft(6, 8),
    "CentredFFT, 2D mixed": _fft(5, 4),
    "CentredFFT, 3D": _fft(3, 4, 5),
    "CartesianMRI, all of k-space": _mri(Cartesian((6, 5))),
    "CartesianMRI, 2D mask": _mri(Cartesian((6, 8)), _mask(6, 8)),
    "CartesianMRI, 2D mask, odd": _mri(Cartesian((5, 7)), _mask(5, 7)),
    "CartesianMRI, lines along y": _mri(Cartesian((6, 9)), _mask(9, share=0.3)),
    "CartesianMRI, lines along x": _mri(Cartesian((9, 6), row_axis=-2), _mask(9, 1, share=0.3)),
    "CartesianMRI, crop": _mri(Cartesian((5, 6), encoded=(10, 7)), _mask(10, 7)),
    "CartesianMRI, crop and lines": _mri(Cartesian((4, 6), encoded=(8, 7)), _mask(7, share=0.4)),
    "CartesianMRI, SENSE": _mri(Cartesian((6, 7), coils=3), _mask(6, 7)),
    "CartesianMRI, SENSE, lines": _mri(_LINES, _mask(12, share=0.3)),
    "CartesianMRI, SENSE, crop and lines": _mri(
        Cartesian((5, 7), coils=2, encoded=(10, 8)), _mask(1, 8, share=0.3)
    ),
    "CartesianMRI, SENSE, rows": _mri(_LINES, _mask(12), rows=(7, 0, 3, 11, 6)),
    "CartesianMRI, SENSE, rows of a 2D mask": _mri(
        Cartesian((5, 6), coils=2, row_axis=-2), _mask(5, 6), rows=(4, 0, 2)
    ),
    "CartesianMRI, rows twice": _mri(Cartesian((4, 6)), rows=(3, 1, 3)),
    "CartesianMRI, 3D mask": _mri(Cartesian((3, 4, 2), coils=2), _mask(3, 4, 2)),
    "CartesianMRI, 3D, readout along x": _mri(
        Cartesian((5, 4, 3), coils=2, encoded=(5, 4, 6), row_axis=-2), _mask(5, 4, 1, share=0.3)
    ),
    "CartesianMRI, 3D, readout along z": _mri(
        Cartesian((3, 4, 5), coils=2, encoded=(6, 4, 5)), _mask(4, 5, share=0.3)
    ),
    "CartesianMRI, masks per sample": _mri(
        Cartesian((5, 6)), _mask(3, 1, 5, 6), per_sample=("mask",)
    ),
    "CartesianMRI, SENSE, masks per sample": _mri(
        Cartesian((5, 4), coils=2), _mask(3, 1, 1, 5, 4), per_sample=("mask",)
    ),
    "CartesianMRI, SENSE, lines and maps per sample": _mri(
        Cartesian((4, 8), coils=2),
        _mask(3, 1, 1, 1, 8, share=0.3),
        per_sample=("mask", "maps"),
    ),
    "CartesianMRI, SENSE, maps per sample": _mri(
        Cartesian((4, 5), coils=2), _mask(5), per_sample=("maps",)
    ),
}
