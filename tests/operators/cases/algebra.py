"""Adjoints, multiples, sums, compositions and diagonals, of real and of complex operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.pointwise import Diagonal, RealPairing
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.linear import LinearOperator

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


def _complex(dtype: torch.dtype, seed: int = 0) -> LinearOperator:
    """A complex diagonal before complex differences: nothing commutes, nothing is symmetric."""
    space = Space((5, 4), dtype.to_complex())
    diagonal = Diagonal(space, space.random(torch.Generator().manual_seed(seed)))
    return FiniteDifference(space) @ diagonal


def _square(dtype: torch.dtype) -> LinearOperator:
    return _complex(dtype).H @ _complex(dtype, 1)


def _pairing(dtype: torch.dtype) -> LinearOperator:
    space = Space((5, 4), dtype.to_complex())
    return RealPairing(space, space.random(_seeded()))


def _own_angles(dtype: torch.dtype) -> tuple[Operator, Tensor]:
    """A composition whose norm is that of the worse of two samples."""
    angles = torch.tensor([[0.1, 0.9, 2.0], [0.3, 1.2, 2.8]], dtype=torch.float64)
    ray = RayTransform(_SCAN.subset([0, 1, 2]), dtype)
    weights = Diagonal(ray.codomain, ray.codomain.random(_seeded()))
    operator = (weights @ ray).with_tensors({"angles": angles[:, None]})
    return operator, ray.domain.random(_seeded(), (2, 1))


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
    "rows of a composition": lambda dtype: (
        Diagonal(_ray(dtype).codomain, _ray(dtype).codomain.random(_seeded())) @ _ray(dtype)
    ),
    "composition, angles per sample": _own_angles,
    "complex diagonal": lambda dtype: Diagonal(
        Space((5, 4), dtype.to_complex()), Space((5, 4), dtype.to_complex()).random(_seeded())
    ),
    "real pairing": _pairing,
    "complex composition": _complex,
    "complex multiple": lambda dtype: (0.4 - 1.3j) * _complex(dtype),
    "complex sum": lambda dtype: 1j * _complex(dtype) - _complex(dtype, 1),
    "complex adjoint": lambda dtype: ((0.4 - 1.3j) * _complex(dtype)).H,
    "complex normal operator": lambda dtype: _complex(dtype).H @ _complex(dtype),
    "real part of a complex multiple": lambda dtype: _pairing(dtype) @ (1j * _square(dtype)),
    "normal operator": lambda dtype: _ray(dtype).H @ _ray(dtype),
}
