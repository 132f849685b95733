"""Block operators: columns, rows and diagonals of linear operators."""

from __future__ import annotations

import math
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.errors import GeometryError, ShapeError, describe
from learnedrecon.operators.joined_space import Joined
from learnedrecon.operators.leading import Norm, joined
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import lanczos_norm, require_settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.operators.space import Space


class _Blocks(LinearOperator):
    """Base class of operators with several parts."""

    parts: nn.ModuleList

    def __init__(self, operators: Sequence[LinearOperator], domain: Space, codomain: Space) -> None:
        super().__init__(domain, codomain)
        self.parts = nn.ModuleList(operators)
        self.tensor_names = frozenset(
            f"{number}.{name}"
            for number, part in enumerate(operators)
            for name in part.tensor_names
        )

    @property
    def operators(self) -> tuple[LinearOperator, ...]:
        """The parts."""
        return tuple(self.parts)  # type: ignore[arg-type]

    def split_tensors(self, tensors: dict[str, Tensor]) -> list[LinearOperator]:
        """The parts with their tensors, named '0.mask' for that of the first part.

        Raises:
            GeometryError: no number of a part in front.
        """
        shares: list[dict[str, Tensor]] = [{} for _ in self.operators]
        for name, tensor in tensors.items():
            number, dot, rest = name.partition(".")
            if not (dot and number.isdecimal() and int(number) < len(shares)):
                raise GeometryError(
                    describe(
                        expected=f"tensors of the {len(shares)} parts of a {type(self).__name__}: "
                        + (", ".join(sorted(self.tensor_names)) or "they have none"),
                        found=f"'{name}'",
                        fix="put the number of the part in front, such as '0.mask'",
                    )
                )
            shares[int(number)][rest] = tensor
        return [op.with_tensors(own) for op, own in zip(self.operators, shares, strict=True)]

    def tensors(self) -> dict[str, Tensor]:
        return {
            f"{number}.{name}": tensor
            for number, part in enumerate(self.operators)
            for name, tensor in part.tensors().items()
        }

    def own_axes(self, name: str) -> int:
        number, _, rest = name.partition(".")
        return self.operators[int(number)].own_axes(rest)

    def compute_norm(self) -> Norm:
        """By Lanczos."""
        return require_settled(lanczos_norm(self), f"a {type(self).__name__}")

    def norm_bound(self) -> Norm | None:
        """√Σ‖T_k‖²."""
        bounds = self._bounds()
        return None if bounds is None else joined(bounds, math.hypot, torch.hypot)

    def _bounds(self) -> list[Norm] | None:
        """Those of the parts, if all of them know one."""
        bounds = [bound for op in self.operators if (bound := op.norm_bound()) is not None]
        return bounds if len(bounds) == len(self.operators) else None


class Stack(_Blocks):
    """A column of blocks, T u = (T_1 u, ..., T_k u): several measurements of one image.

    The data are one tensor: joined along ``axis`` where shapes agree in all others, and flattened
    (C order, one part after the other) where it is None; ``split`` takes them apart. The adjoint is
    the sum Σ_i T_i* v_i, and ``Stack(...).H`` a row of adjoints.

    Rows are those of the joined axis if it is the row axis of every part. Otherwise, if all parts
    count rows along the same axis and have equally many, row i means row i of every part.

    Args:
        operators: T_1, ..., T_k on a common domain.
        axis: Axis of the codomains along which data are joined (negative), or None; a single common
            axis counts as -1.

    Raises:
        GeometryError: No operators.
        ShapeError: Domains or codomains do not agree.
    """

    def __init__(self, operators: Sequence[LinearOperator], axis: int | None = None) -> None:
        axis = _axis_of([op.codomain for op in _some(operators)], axis)
        self._joined = Joined([op.codomain for op in operators], axis)
        _require_one([op.domain for op in operators], "domain")
        super().__init__(operators, operators[0].domain, self._joined.space)
        self.axis = axis
        self.row_axis = self._common_rows()
        self.folded_axes = _folded(operators, axis)

    def split(self, data: Tensor) -> list[Tensor]:
        """The data of each part."""
        return self._joined.split(data)

    def evaluate(self, u: Tensor) -> Tensor:
        return self._joined.join([op.evaluate(u) for op in self.operators])

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        pairs = zip(self.operators, self._joined.split(v), strict=True)
        return _sum([op.evaluate_adjoint(part) for op, part in pairs])

    def with_tensors(self, tensors: dict[str, Tensor]) -> Stack:
        """The stack with tensors of its parts; '0.mask' is the mask of the first part.

        Raises:
            GeometryError: A name does not begin with the number of a part, or that part has no such
                tensor.
        """
        return Stack(self.split_tensors(tensors), self.axis) if tensors else self

    def restrict(self, rows: tuple[int, ...]) -> Stack:
        if self.row_axis != self.axis:
            return Stack([op.subset(rows) for op in self.operators], self.axis)
        ends = list(accumulate(self._joined.lengths, initial=0))
        places = [_place(row, ends) for row in rows]
        runs = [(part, [row for _, row in run]) for part, run in groupby(places, lambda p: p[0])]
        return Stack([self.operators[part].subset(run) for part, run in runs], self.axis)

    def _common_rows(self) -> int | None:
        axes = {op.row_axis for op in self.operators}
        if len(axes) != 1 or None in axes or self.axis is None:
            return None
        (axis,) = axes
        assert axis is not None
        numbers = {op.codomain.shape[axis] for op in self.operators}
        return axis if axis == self.axis or len(numbers) == 1 else None


class HorizontalStack(_Blocks):
    """A row of blocks, T (u_1, ..., u_k) = T_1 u_1 + ... + T_k u_k: several images, one data set.

    The images are one tensor, joined as in :class:`Stack`; ``split`` takes it apart.

    Args:
        operators: T_1, ..., T_k into a common codomain.
        axis: Axis of the domains along which images are joined (negative), or None; a single common
            axis counts as -1.

    Raises:
        GeometryError: No operators.
        ShapeError: Domains or codomains do not agree.
    """

    def __init__(self, operators: Sequence[LinearOperator], axis: int | None = None) -> None:
        axis = _axis_of([op.domain for op in _some(operators)], axis)
        self._joined = Joined([op.domain for op in operators], axis)
        _require_one([op.codomain for op in operators], "codomain")
        super().__init__(operators, self._joined.space, operators[0].codomain)
        self.axis = axis
        axes = {op.row_axis for op in operators}
        self.row_axis = axes.pop() if len(axes) == 1 else None
        self.folded_axes = _folded(operators, -1)

    def split(self, images: Tensor) -> list[Tensor]:
        """The image of each part."""
        return self._joined.split(images)

    def evaluate(self, u: Tensor) -> Tensor:
        pairs = zip(self.operators, self._joined.split(u), strict=True)
        return _sum([op.evaluate(part) for op, part in pairs])

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self._joined.join([op.evaluate_adjoint(v) for op in self.operators])

    def with_tensors(self, tensors: dict[str, Tensor]) -> HorizontalStack:
        """The row with tensors of its parts, as in :meth:`Stack.with_tensors`."""
        return HorizontalStack(self.split_tensors(tensors), self.axis) if tensors else self

    def restrict(self, rows: tuple[int, ...]) -> HorizontalStack:
        return HorizontalStack([op.subset(rows) for op in self.operators], self.axis)


class BlockDiagonal(_Blocks):
    """A diagonal of blocks, T (u_1, ..., u_k) = (T_1 u_1, ..., T_k u_k).

    Args:
        operators: T_1, ..., T_k.
        axis: Axis along which images are joined, as in :class:`Stack`.
        data_axis: Axis along which data are joined.

    Raises:
        GeometryError: No operators.
        ShapeError: Domains or codomains do not agree.
    """

    def __init__(
        self,
        operators: Sequence[LinearOperator],
        axis: int | None = None,
        data_axis: int | None = None,
    ) -> None:
        domains = [op.domain for op in _some(operators)]
        codomains = [op.codomain for op in operators]
        self.axes = (_axis_of(domains, axis), _axis_of(codomains, data_axis))
        self._images = Joined(domains, self.axes[0])
        self._data = Joined(codomains, self.axes[1])
        super().__init__(operators, self._images.space, self._data.space)
        self.folded_axes = _folded(operators, self.axes[1])

    def evaluate(self, u: Tensor) -> Tensor:
        pairs = zip(self.operators, self._images.split(u), strict=True)
        return self._data.join([op.evaluate(part) for op, part in pairs])

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        pairs = zip(self.operators, self._data.split(v), strict=True)
        return self._images.join([op.evaluate_adjoint(part) for op, part in pairs])

    def with_tensors(self, tensors: dict[str, Tensor]) -> BlockDiagonal:
        """The diagonal with tensors of its parts, as in :meth:`Stack.with_tensors`."""
        return BlockDiagonal(self.split_tensors(tensors), *self.axes) if tensors else self

    def compute_norm(self) -> Norm:
        """The largest norm of all blocks."""
        return joined([op.norm() for op in self.operators], max, torch.maximum)

    def norm_bound(self) -> Norm | None:
        """The largest norm bound of all blocks."""
        bounds = self._bounds()
        return None if bounds is None else joined(bounds, max, torch.maximum)


def _some(operators: Sequence[LinearOperator]) -> Sequence[LinearOperator]:
    if not operators or not all(isinstance(op, LinearOperator) for op in operators):
        raise GeometryError(
            describe(
                expected="a list of at least one linear operator",
                found=f"{operators!r:.80}",
                fix="write for example Stack([first, second], axis=-1)",
            )
        )
    return operators


def _axis_of(spaces: Sequence[Space], axis: int | None) -> int | None:
    """-1 where None is asked for and all spaces have one axis, which is the same thing."""
    return -1 if axis is None and all(space.ndim == 1 for space in spaces) else axis


def _folded(operators: Sequence[LinearOperator], axis: int | None) -> int:
    """The common number of folded axes, where data are joined along none of them."""
    numbers = {op.folded_axes for op in operators}
    if axis is None or len(numbers) > 1 or operators[0].codomain.ndim + axis < min(numbers):
        return 0
    return numbers.pop()


def _require_one(spaces: Sequence[Space], what: str) -> None:
    if len({(space.shape, space.is_complex) for space in spaces}) != 1:
        raise ShapeError(
            describe(
                expected=f"operators with one common {what}",
                found=", ".join(map(str, spaces)),
                fix="crop, pad or compose them with RealToComplex until these agree",
            )
        )


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _place(row: int, ends: list[int]) -> tuple[int, int]:
    """The part that a row belongs to, and its number there."""
    part = next(k for k, end in enumerate(ends[1:]) if row < end)
    return part, row - ends[part]
