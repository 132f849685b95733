"""Measurements without phase: |Au|² of phase retrieval and |Au| of magnitude images."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Self

from learnedrecon.errors import ConfigError, GeometryError, describe
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.pointwise import Diagonal, RealPairing, real_space

if TYPE_CHECKING:
    from torch import Tensor


class Phaseless(Operator):
    """u ↦ g(Au) with a pointwise real g of |Au|²; its rows and tensors are those of A.

    Args:
        operator: Linear operator A.

    Raises:
        GeometryError: A is not a linear operator.
    """

    def __init__(self, operator: LinearOperator) -> None:
        if not isinstance(operator, LinearOperator):
            raise GeometryError(
                describe(
                    expected="a linear operator A",
                    found=f"{operator!r:.80} of type {type(operator).__name__}",
                    fix="write for example PhaseRetrieval(A)",
                )
            )
        super().__init__(operator.domain, real_space(operator.codomain))
        self.operator = operator
        self.row_axis = operator.row_axis
        self.tensor_names = operator.tensor_names
        self.folded_axes = operator.folded_axes

    @abstractmethod
    def of(self, operator: LinearOperator) -> Self:
        """The same measurement of another linear operator A."""

    @abstractmethod
    def value(self, z: Tensor) -> Tensor:
        """g(z), real."""

    @abstractmethod
    def slope(self, z: Tensor) -> Tensor:
        """The factor d of the derivative g'(z)h = Re(d̄·h)."""

    @abstractmethod
    def intensity(self, data: Tensor) -> Tensor:
        """|Au|² for data y = g(|Au|²), not negative.

        Args:
            data: y, (..., *codomain.shape).
        """

    def evaluate(self, u: Tensor) -> Tensor:
        return self.value(self.operator.evaluate(u))

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        z, first = self.operator.linearise(u)
        pointwise = RealPairing if z.is_complex() else Diagonal
        return self.value(z), pointwise(self.operator.codomain, self.slope(z)) @ first

    def restrict(self, rows: tuple[int, ...]) -> Self:
        return self.of(self.operator.subset(rows))

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        return self.of(self.operator.with_tensors(tensors))

    def tensors(self) -> dict[str, Tensor]:
        return self.operator.tensors()

    def own_axes(self, name: str) -> int:
        return self.operator.own_axes(name)


class PhaseRetrieval(Phaseless):
    """T(u) = |Au|², the intensity of a field (Candès, Li, Soltanolkotabi 2015, equation 1.1).

    T'(u)h = 2 Re(conj(Au)·Ah) is only real-linear; T'(u)*v = 2A*(Au·v), whose real part is taken
    where the images are real. T(u) does not depend on a global phase: T(e^{iφ}u) = T(u).

    Args:
        operator: Linear operator A, such as a Fourier transform of masked images.

    Raises:
        GeometryError: A is not a linear operator.

    Shapes: as A; the data are real.
    """

    def of(self, operator: LinearOperator) -> Self:
        return type(self)(operator)

    def value(self, z: Tensor) -> Tensor:
        return squared(z)

    def slope(self, z: Tensor) -> Tensor:
        return 2 * z

    def intensity(self, data: Tensor) -> Tensor:
        return data.clamp_min(0)


class Magnitude(Phaseless):
    """T(u) = √(|Au|² + ε²), the magnitude of an image or of its data; magnitude MRI.

    T'(u)h = Re(conj(Au)·Ah)/T(u) and T'(u)*v = A*(Au·v/T(u)). |·| has no derivative at 0. With ε >
    0 the derivative at 0 is 0, and its Lipschitz constant is 1/ε. The values increase by ε²/(2|Au|)
    where |Au| is large, and by ε where it is 0: choose ε well below the noise.

    Args:
        operator: Linear operator A, complex or real: :class:`CartesianMRI` for magnitudes of
            k-space, the coil maps alone for magnitude images.
        smoothing: ε > 0, in the unit of the data.

    Raises:
        GeometryError: A is not a linear operator.
        ConfigError: ε is not positive and finite.

    Shapes: as A; the data are real.
    """

    def __init__(self, operator: LinearOperator, smoothing: float = 1e-3) -> None:
        super().__init__(operator)
        self.smoothing = float(smoothing)
        if not (self.smoothing > 0 and math.isfinite(self.smoothing)):
            raise ConfigError(
                describe(
                    expected="a smoothing > 0 in the unit of the data",
                    found=str(smoothing),
                    fix="choose it well below the noise, for example a thousandth of the data",
                )
            )

    def of(self, operator: LinearOperator) -> Self:
        return type(self)(operator, self.smoothing)

    def value(self, z: Tensor) -> Tensor:
        return (squared(z) + self.smoothing**2).sqrt()

    def slope(self, z: Tensor) -> Tensor:
        return z / self.value(z)

    def intensity(self, data: Tensor) -> Tensor:
        return (data.square() - self.smoothing**2).clamp_min(0)


def squared(z: Tensor) -> Tensor:
    """|z|², real, differentiable everywhere and any number of times.

    Args:
        z: Real or complex tensor.
    """
    return z.real.square() + z.imag.square() if z.is_complex() else z.square()
