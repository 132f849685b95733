"""Several spaces joined into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, broadcast_shapes, cat

from learnedrecon.errors import ShapeError, describe
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Sequence


class Joined:
    """Several spaces joined into one space.

    The spaces are joined along an axis, where their shapes agree in all others; without an axis,
    the entries of all are put one after the other in C order on a single axis.

    Args:
        spaces: Spaces to join, at least one, all real or all complex.
        axis: Axis along which they are joined (negative), or None.

    Attributes:
        space: Joined space.

    Raises:
        ShapeError: The shapes differ in another axis, or real and complex spaces are mixed.
    """

    def __init__(self, spaces: Sequence[Space], axis: int | None) -> None:
        self.spaces, self.axis = tuple(spaces), axis
        shapes = [list(space.shape) for space in spaces]
        fits = len({space.is_complex for space in spaces}) == 1
        if fits and axis is not None:
            fits = all(-len(shape) <= axis < 0 for shape in shapes)
            fits = fits and len({_without(shape, axis) for shape in shapes}) == 1
        if not fits:
            raise ShapeError(
                describe(
                    expected="spaces whose shapes differ only in the joined axis (negative), all"
                    " real or all complex",
                    found=f"axis {axis} and {', '.join(map(str, spaces))}",
                    fix="choose another axis, or axis=None to join their entries; RealToComplex"
                    " makes real spaces complex",
                )
            )
        dtype = spaces[0].dtype
        self.lengths = [s.size if axis is None else s.shape[axis] for s in spaces]
        if axis is None:
            self.space = Space((sum(self.lengths),), dtype)
        else:
            shape = shapes[0]
            shape[axis] = sum(self.lengths)
            self.space = Space(tuple(shape), dtype)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """One tensor (..., *space.shape) from one tensor per space."""
        leading = [
            part.shape[: part.ndim - s.ndim] for part, s in zip(parts, self.spaces, strict=True)
        ]
        if len(set(leading)) > 1:
            common = broadcast_shapes(*leading)
            pairs = zip(parts, self.spaces, strict=True)
            parts = [part.expand(*common, *s.shape) for part, s in pairs]
        if self.axis is not None:
            return cat(list(parts), self.axis)
        flat = [part.flatten(-s.ndim) for part, s in zip(parts, self.spaces, strict=True)]
        return cat(flat, -1)

    def split(self, whole: Tensor) -> list[Tensor]:
        """The parts of a joined tensor."""
        if self.axis is not None:
            return list(whole.split(self.lengths, self.axis))
        parts = whole.split(self.lengths, -1)
        return [p.unflatten(-1, s.shape) for p, s in zip(parts, self.spaces, strict=True)]


def _without(shape: list[int], axis: int) -> tuple[int, ...]:
    place = len(shape) + axis
    return (*shape[:place], 0, *shape[place + 1 :])
