"""Elements of ODL's spaces as arrays, and the weights of their inner products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.adapters.checks import Theirs
from learnedrecon.operators.adapters.foreign import kind_of, precision_of
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True)
class Elements:
    """Conversion between elements of an ODL space and arrays.

    Attributes:
        theirs: ODL space.
        shape: Shape of an element; the powers of a space come first.
        name: ODL's name of the dtype.
        weights: Weights w of the inner product Σ w·a·conj(b), which broadcast to ``shape``.
    """

    theirs: Theirs
    shape: tuple[int, ...]
    name: str
    weights: Array

    @classmethod
    def of(cls, space: Theirs, odl: Theirs) -> Self:
        """The conversion for a given ODL space.

        Raises:
            GeometryError: It has no diagonal inner product, or is no space of arrays.
        """
        if isinstance(space, odl.ProductSpace) and len(space) and space.is_power_space:
            part = cls.of(space[0], odl)
            factors = np.broadcast_to(_weights(space), (len(space),))
            weights = factors.reshape(-1, *[1] * len(part.shape)) * part.weights
            return cls(space, (len(space), *part.shape), part.name, weights)
        name = getattr(space, "dtype_identifier", "")
        if name not in {"float32", "float64", "complex64", "complex128"} or not space.shape:
            raise _no_space(space)
        return cls(space, tuple(space.shape), name, np.broadcast_to(_weights(space), space.shape))

    @property
    def precision(self) -> torch.dtype:
        """float32 or float64, the precision of the ODL space."""
        return precision_of(self.name)

    def space_in(self, dtype: torch.dtype | None) -> Space:
        """The space of this library, in the precision of ``dtype``."""
        kind = kind_of(self.name)
        if dtype is not None:
            kind = dtype.to_real().to_complex() if kind.is_complex else dtype.to_real()
        return Space(self.shape, kind)

    def element(self, array: Array) -> Theirs:
        """The ODL element that contains a copy of ``array``."""
        return self.theirs.element(_nested(self.theirs, np.array(array, self.name)))

    def elements(self, batch: Array) -> list[Any]:
        """One ODL element per sample."""
        return [self.element(array) for array in batch]

    def arrays(self, elements: Theirs) -> Array:
        """The array (batch, *shape) of ODL elements."""
        return np.stack([_flat(element) for element in elements])


def _weights(space: Theirs) -> Array:
    """Of one space, without those of the parts of a product."""
    weighting = space.weighting
    found = getattr(weighting, "const", getattr(weighting, "array", None))
    if found is None or weighting.exponent != 2.0:
        raise _no_space(space)
    return np.asarray(torch.as_tensor(found, dtype=torch.float64).cpu())


def _no_space(space: Theirs) -> GeometryError:
    return GeometryError(
        describe(
            expected="an ODL space of float arrays with a constant or array weighting and "
            "exponent 2, or a power of one",
            found=f"{space!r:.120}",
            fix="wrap each part of a product separately, and operators rather than functionals",
        )
    )


def _nested(space: Theirs, array: Array) -> Theirs:
    """An array as lists of arrays, one level for every power."""
    if not hasattr(space, "is_power_space"):
        return array
    return [_nested(part, one) for part, one in zip(space, array, strict=True)]


def _flat(element: Theirs) -> Array:
    """An element as one array."""
    if hasattr(element.space, "is_power_space"):
        return np.stack([_flat(part) for part in element])
    return np.asarray(torch.as_tensor(element.asarray()).cpu())
