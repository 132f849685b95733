"""The discrete gradient: forward differences along every axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import (
    image_shape,
    length_or_lengths,
    positive,
    require_kind,
    store,
)
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

Border: TypeAlias = Literal["neumann", "periodic", "zero"]


@dataclass(frozen=True)
class Differences:
    """The configuration of a :class:`FiniteDifference`.

    Attributes:
        shape: Shape of the image.
        boundary: Boundary condition, as in :class:`FiniteDifference`.
        spacing: Size of a pixel, one number or one per axis; 1 for differences per pixel.

    Raises:
        GeometryError: The boundary is unknown, or spacings are not positive or not one per axis.
    """

    shape: tuple[int, ...]
    boundary: Border = "neumann"
    spacing: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        store(self, "shape", image_shape)
        store(self, "spacing", length_or_lengths)
        given = self.spacings
        if self.boundary not in ("neumann", "periodic", "zero") or not (
            len(given) == len(self.shape) and positive(*given)
        ):
            raise GeometryError(
                describe(
                    expected="neumann, periodic or zero, and one positive spacing or one per axis",
                    found=f"'{self.boundary}' and {self.spacing!r:.80} for shape {self.shape}",
                    fix="write for example FiniteDifference(space, 'periodic', spacing=(1.0, 0.5))",
                )
            )

    @property
    def spacings(self) -> tuple[float, ...]:
        """The size of a pixel along every axis."""
        if isinstance(self.spacing, float):
            return (self.spacing,) * len(self.shape)
        return self.spacing

    def build(self) -> FiniteDifference:
        """The operator on real images."""
        return FiniteDifference(Space(self.shape), self.boundary, self.spacing)


class FiniteDifference(LinearOperator):
    """Forward differences along every axis, zero across the last border (Neumann).

    (∇u)_a[i] = (u[i + e_a] - u[i])/h_a for i below the last index of axis a. At the last index it
    is 0 (neumann), or continues with the first pixel (periodic) or with a pixel of value 0 (zero).

    Args:
        domain: Space of images with any number of axes.
        boundary: "neumann", "periodic" or "zero".
        spacing: Size h of a pixel, one number or one per axis; differences are per pixel unless
            given.

    Raises:
        GeometryError: As for :class:`Differences`.

    Shapes: (..., *shape) to (..., number of axes, *shape).
    """

    spec: Differences

    def __init__(
        self,
        domain: Space,
        boundary: Border = "neumann",
        spacing: float | Sequence[float] = 1.0,
    ) -> None:
        require_kind(domain, Space, "FiniteDifference(Space(shape))")
        super().__init__(domain, Space((domain.ndim, *domain.shape), domain.dtype))
        self.spec = Differences(domain.shape, boundary, spacing)  # type: ignore[arg-type]

    def evaluate(self, u: Tensor) -> Tensor:
        return differences(u, self.spec.spacings, self.spec.boundary)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return differences_adjoint(v, self.spec.spacings, self.spec.boundary)

    def compute_norm(self) -> float:
        """‖∇‖² = Σ_a 4 sin²(θ_a)/h_a², the top eigenvalue of the Laplacian.

        θ_a = π(n_a - 1)/(2n_a) for neumann, π⌊n_a/2⌋/n_a for periodic, π/2 - π/(2n_a + 1) for zero.
        """
        pairs = zip(self.domain.shape, self.spec.spacings, strict=True)
        return math.sqrt(sum((2 * math.sin(self._angle(n)) / h) ** 2 for n, h in pairs))

    def norm_bound(self) -> float:
        return self.compute_norm()

    def _angle(self, n: int) -> float:
        if self.spec.boundary == "periodic":
            return math.pi * (n // 2) / n
        if self.spec.boundary == "zero":
            return math.pi / 2 - math.pi / (2 * n + 1)
        return math.pi * (n - 1) / (2 * n)

    def extra_repr(self) -> str:
        return f"boundary='{self.spec.boundary}', spacing={self.spec.spacing}"


def differences(u: Tensor, spacings: tuple[float, ...], boundary: Border = "neumann") -> Tensor:
    """∇u along the last axes, with one spacing per axis, as in :class:`FiniteDifference`.

    Args:
        u: Images (..., *shape).
        spacings: Size h of a pixel along every axis of the shape.
        boundary: "neumann", "periodic" or "zero".

    Returns:
        Differences (..., number of axes, *shape).
    """
    n = len(spacings)
    slopes = u.new_zeros(*u.shape[:-n], n, *u.shape[-n:])
    for index, axis in enumerate(range(-n, 0)):
        last = u.shape[axis] - 1
        whole = slopes.select(-n - 1, index)
        part = whole.narrow(axis, 0, last)
        part.copy_(u.narrow(axis, 1, last)).sub_(u.narrow(axis, 0, last))
        if boundary != "neumann":
            end = whole.narrow(axis, last, 1).sub_(u.narrow(axis, last, 1))
            if boundary == "periodic":
                end.add_(u.narrow(axis, 0, 1))
        if spacings[index] != 1.0:
            slopes.select(-n - 1, index).div_(spacings[index])
    return slopes


def differences_adjoint(
    v: Tensor, spacings: tuple[float, ...], boundary: Border = "neumann"
) -> Tensor:
    """The adjoint ∇*v of :func:`differences`.

    Args:
        v: Differences (..., number of axes, *shape).
        spacings: Size h of a pixel along every axis of the shape.
        boundary: "neumann", "periodic" or "zero".

    Returns:
        Images (..., *shape).
    """
    n = len(spacings)
    total = torch.zeros_like(v.select(-n - 1, 0))
    for index, axis in enumerate(range(-n, 0)):
        last = v.shape[axis] - 1
        whole = v.select(-n - 1, index)
        if spacings[index] != 1.0:
            whole = whole / spacings[index]
        part = whole.narrow(axis, 0, last)
        total.narrow(axis, 1, last).add_(part)
        total.narrow(axis, 0, last).sub_(part)
        if boundary != "neumann":
            end = whole.narrow(axis, last, 1)
            total.narrow(axis, last, 1).sub_(end)
            if boundary == "periodic":
                total.narrow(axis, 0, 1).add_(end)
    return total
