"""Adjoints, multiples, sums, compositions and diagonals, of real and of complex operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.operators.algebra import Diagonal
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.geometry import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray_transform import RayTransform
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.base import Operator

_SCAN = ParallelBeam((5, 12), AngleRange(6, start=0.2), FlatDetector(14, 1.1))


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _ray(dtype: torch.dtype) -> RayTransform:
    return RayTransform(_SCAN, dtype)


def _other(dtype: torch.dtype) -> RayTransform:
    return RayTransform(_SCAN.subset(range(5, -1, -1)), dtype)


def _difference(*shape: int) -> Callable[[torch.dtype], Operator]:
    return lambda dtype: FiniteDifference(Space(shape, dtype))


def _diagonal(dtype: torch.dtype) -> Operator:
    space = Space((5, 6), dtype)
    return Diagonal(space, space.random(_seeded()))


def _own_diagonal(dtype: torch.dtype) -> tuple[Operator, Tensor]:
    """One diagonal for each of two samples."""
    space = Space((4, 5), dtype)
    return Diagonal(space, space.random(_seeded(), (2, 1))), space.random(_seeded(), (2, 1))


CASES: dict[str, Callable[[torch.dtype], Operator | tuple[Operator, Tensor]]] = {
    "difference, 1D": _difference(7),
    "difference, one row": _difference(1, 4),
    "difference, 2D": _difference(5, 6),
    "difference, 3D": _difference(3, 1, 4),
    "difference, complex": lambda dtype: FiniteDifference(Space((5, 6), dtype.to_complex())),
    "diagonal": _diagonal,
    "diagonal, per sample": _own_diagonal,
    "adjoint": lambda dtype: _ray(dtype).H,
    "adjoint twice": lambda dtype: _ray(dtype).H.H,
    "multiple": lambda dtype: -0.3 * _ray(dtype),
    "sum": lambda dtype: _ray(dtype) + 2 * _other(dtype),
    "subtraction": lambda dtype: _ray(dtype) - _other(dtype),
    "composition": lambda dtype: _ray(dtype) @ FiniteDifference(_ray(dtype).domain).H,
    "normal operator": lambda dtype: _ray(dtype).H @ _ray(dtype),
}
