"""The interface of forward operators, linear or not, and their sums, multiples and compositions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.arithmetic import (
    is_scalar,
    plain_scalar,
    reject_tensors,
    require_same,
    split_tensors,
)
from learnedrecon.operators.leading import over
from learnedrecon.operators.meta import on_meta
from learnedrecon.operators.rows import row_indices

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.operators.rows import Rows
    from learnedrecon.operators.space import Space


class Operator(nn.Module, ABC):
    """T: X → Y, differentiable, batched over every leading axis.

    An operator is a module so that ``.to()`` moves its buffers; otherwise it is immutable. It runs
    outside autocast, in float32 or better. ``F @ G``, ``F + G``, ``F - G``, ``a * F`` and ``F / a``
    are operators, and linear ones where both parts are linear.

    Attributes:
        domain: X, one sample.
        codomain: Y, one sample.
        row_axis: Axis of the codomain along which ``subset`` counts (negative), or None.
        pointwise: True where every value depends only on the entry in its place, so that F ∘ G has
            the rows of G.
        tensor_names: Names of the tensors that :meth:`with_tensors` accepts.
        precise: The names of buffers that keep their precision when the operator is moved.
        spec: Frozen dataclass that the operator was built from, such as a geometry; None where no
            value describes everything but tensors, as for compositions, subsets of k-space, or
            samples with geometries of their own.
        folded_axes: Number of leading axes of the codomain that networks treat as a batch, as for
            coils.
    """

    spec: Any = None
    folded_axes: int = 0
    precise: tuple[str, ...] = ()
    row_axis: int | None = None
    pointwise: bool = False
    tensor_names: frozenset[str] = frozenset()

    def __init__(self, domain: Space, codomain: Space) -> None:
        super().__init__()
        self.domain = domain
        self.codomain = codomain

    @property
    def measured(self) -> Tensor | None:
        """Boolean mask of the measured data, which broadcasts against the data; None for all.

        Data that are not measured are 0 in this operator, such as k-space outside the mask.
        """
        return None

    @abstractmethod
    def evaluate(self, u: Tensor) -> Tensor:
        """T(u) for a checked ``u``; subclasses implement this, users call the operator."""

    @abstractmethod
    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        """The pair (T(u), T'(u)); the adjoint of the second is [∂T(u)]*."""

    def forward(self, u: Tensor) -> Tensor:
        """T(u).

        Args:
            u: Images, (..., *domain.shape).

        Returns:
            Data, (..., *codomain.shape), of the same precision.

        Raises:
            ShapeError: The last axes of ``u`` are not those of the domain.
            DtypeError: ``u`` is not a floating tensor of the domain's kind, or has no values and
                the operator needs them.
        """
        u = self.domain.check(u, "an image")
        with without_autocast(u):
            if u.device.type == "meta":
                return on_meta(self.evaluate, u, type(self).__name__)
            return self.evaluate(u)

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        """A new operator with the given per-sample tensors, which shares everything else.

        Args:
            tensors: Tensors by name, each with every leading axis, such as ``mask`` (batch, 1, 1,
                ky, kx).

        Raises:
            GeometryError: This operator has no tensor of that name.
        """
        if not tensors:
            return self
        raise GeometryError(
            describe(
                expected=f"no per-sample tensors for {type(self).__name__}",
                found=", ".join(sorted(tensors)),
                fix="remove them from the samples, or use an operator that has them",
            )
        )

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that :meth:`with_tensors` accepts and that are present, by name."""
        found = {name: getattr(self, name, None) for name in sorted(self.tensor_names)}
        return {name: tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}

    def own_axes(self, name: str) -> int:  # noqa: ARG002 - what other classes look at
        """The number of axes of a tensor of :meth:`with_tensors` behind its leading axes."""
        return self.domain.ndim

    def of_sample(self, index: int) -> Self:
        """The operator of one sample of a batch, with that sample's tensors.

        Args:
            index: Index along the first axis of the images (batch, channel, *domain.shape).
        """
        own = {
            name: tensor[index : index + 1]
            for name, tensor in self.tensors().items()
            if tensor.ndim > self.own_axes(name) + 1 and tensor.shape[0] > 1
        }
        return self.with_tensors(own)

    def restrict(self, rows: tuple[int, ...]) -> Operator:
        """The operator of the given rows, for :meth:`subset`, which has checked ``rows``.

        Raises:
            GeometryError: The operator has no rows.
        """
        raise GeometryError(
            describe(
                expected="an operator with a row axis",
                found=f"{type(self).__name__}, which has none, and {len(rows)} rows",
                fix="use the whole operator",
            )
        )

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Operator:
        """A pointwise operator on the entries ``rows`` of ``axis`` (negative) only.

        Raises:
            GeometryError: The operator is not pointwise.
        """
        raise GeometryError(
            describe(
                expected="a pointwise operator",
                found=f"{type(self).__name__}, and {len(rows)} rows of axis {axis}",
                fix="use the whole operator",
            )
        )

    def subset(self, rows: Rows) -> Operator:
        """The rows ``rows`` of T, counted along :attr:`row_axis` of the codomain.

        Args:
            rows: Whole numbers in any order (a sequence, an array or a tensor), or a slice.

        Raises:
            GeometryError: No rows, a row out of range, or an operator without rows.
        """
        return self.restrict(self.row_indices(rows))

    def row_indices(self, rows: Rows) -> tuple[int, ...]:
        """The row indices selected by ``rows``, as in :meth:`subset`.

        Raises:
            GeometryError: As for :meth:`subset`.
        """
        if self.row_axis is None:
            raise GeometryError(
                describe(
                    expected="an operator with a row axis",
                    found=f"{type(self).__name__}, which has none",
                    fix="use the whole operator",
                )
            )
        return row_indices(rows, self.codomain.shape[self.row_axis])

    def __matmul__(self, other: Operator) -> Operator:
        """(F @ G)(u) = F(G(u))."""
        if not isinstance(other, Operator):
            reject_tensors(other, "@")
            return NotImplemented
        return self._after(other)

    def __add__(self, other: Operator) -> Operator:
        """(F + G)(u) = F(u) + G(u)."""
        return self._plus(other) if isinstance(other, Operator) else NotImplemented

    def __sub__(self, other: Operator) -> Operator:
        """(F - G)(u) = F(u) - G(u)."""
        return self._plus(-other) if isinstance(other, Operator) else NotImplemented

    def __mul__(self, scalar: complex) -> Operator:
        """(a·F)(u) = a·F(u) for a real number, or a complex one into a complex space."""
        if not is_scalar(scalar, self.codomain):
            reject_tensors(scalar, "*")
            return NotImplemented
        return self.multiple(scalar)

    def __rmul__(self, scalar: complex) -> Operator:
        return self * scalar

    def __truediv__(self, scalar: complex) -> Operator:
        """(F/a)(u) = F(u)/a for a number that is not zero."""
        if not is_scalar(scalar, self.codomain):
            return NotImplemented
        return self.multiple(1 / plain_scalar(scalar, self.codomain))

    def __neg__(self) -> Operator:
        return self.multiple(-1.0)

    def _after(self, other: Operator) -> Operator:
        return Composition(self, other)

    def _plus(self, other: Operator) -> Operator:
        return Sum(self, other)

    def multiple(self, scalar: complex | Tensor) -> Operator:
        """a·F, the same as ``a * F``; a tensor (*lead) gives one factor per sample."""
        return Multiple(self, scalar)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002 - as in torch
        """Moves buffers as ``nn.Module`` does, keeps complex ones complex and the spaces true.

        Buffers of :attr:`precise` move between devices and keep their precision. Whatever fails,
        such as a device that is not there or has no room, leaves the operator as it was.
        """

        def convert(tensor: Tensor) -> Tensor:
            if not tensor.is_complex():
                return fn(tensor)
            real = fn(tensor.real)
            return tensor.to(real.device, torch.promote_types(real.dtype, torch.complex64))

        before = [(module, _state(module)) for module in self.modules()]
        weights = [(parameter, parameter.data) for parameter in self.parameters()]
        kept = {name: getattr(self, name) for name in self.precise}
        try:
            for name, tensor in kept.items():
                setattr(
                    self, name, tensor.new_empty(0, dtype=torch.float32)
                )  # to see where it goes
            super()._apply(convert, recurse)
            for name, tensor in kept.items():
                setattr(self, name, moved(tensor, getattr(self, name).device))
            self.domain = _converted(self.domain, convert)
            self.codomain = _converted(self.codomain, convert)
            self.refresh()
        except BaseException:
            for module, state in before:
                module.__dict__.clear()
                module.__dict__.update(state)
            for parameter, data in weights:
                parameter.data = data
            raise
        return self

    def refresh(self) -> None:
        """Recomputation of what depends on the device or the precision."""


class Composition(Operator):
    """F ∘ G where F or G is not linear: (F∘G)'(u) = F'(G(u)) G'(u).

    Its rows are those of F, or of G where F is pointwise.

    Args:
        outer: F.
        inner: G.
    """

    outer: Operator
    inner: Operator

    def __init__(self, outer: Operator, inner: Operator) -> None:
        require_same(outer.domain, inner.codomain, "spaces between two composed operators")
        super().__init__(inner.domain, outer.codomain)
        self.outer = outer
        self.inner = inner
        self.row_axis = inner.row_axis if outer.pointwise else outer.row_axis
        self.pointwise = outer.pointwise and inner.pointwise
        self.tensor_names = outer.tensor_names | inner.tensor_names
        self.folded_axes = inner.folded_axes if outer.pointwise else outer.folded_axes

    @property
    def measured(self) -> Tensor | None:
        if self.outer.measured is None and self.outer.pointwise:
            return self.inner.measured
        return self.outer.measured

    def evaluate(self, u: Tensor) -> Tensor:
        return self.outer.evaluate(self.inner.evaluate(u))

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        between, first = self.inner.linearise(u)
        value, second = self.outer.linearise(between)
        return value, second @ first

    def restrict(self, rows: tuple[int, ...]) -> Self:
        if self.outer.pointwise and self.row_axis is not None:
            return type(self)(self.outer.at_rows(rows, self.row_axis), self.inner.subset(rows))
        return type(self)(self.outer.subset(rows), self.inner)

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Self:
        return type(self)(self.outer.at_rows(rows, axis), self.inner.at_rows(rows, axis))

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        outer, inner = split_tensors(tensors, self.outer, self.inner)
        return type(self)(self.outer.with_tensors(outer), self.inner.with_tensors(inner))

    def tensors(self) -> dict[str, Tensor]:
        return {**self.outer.tensors(), **self.inner.tensors()}

    def own_axes(self, name: str) -> int:
        return (self.outer if name in self.outer.tensor_names else self.inner).own_axes(name)


class Sum(Operator):
    """F + G where F or G is not linear, on a common domain and codomain.

    Args:
        left: F.
        right: G.
    """

    left: Operator
    right: Operator

    def __init__(self, left: Operator, right: Operator) -> None:
        require_same(left.domain, right.domain, "domains of a sum")
        require_same(left.codomain, right.codomain, "codomains of a sum")
        super().__init__(left.domain, left.codomain)
        self.left = left
        self.right = right
        self.row_axis = left.row_axis if left.row_axis == right.row_axis else None
        self.pointwise = left.pointwise and right.pointwise
        self.tensor_names = left.tensor_names | right.tensor_names
        self.folded_axes = max(left.folded_axes, right.folded_axes)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.left.evaluate(u) + self.right.evaluate(u)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        (a, first), (b, second) = self.left.linearise(u), self.right.linearise(u)
        return a + b, first + second

    def restrict(self, rows: tuple[int, ...]) -> Self:
        return type(self)(self.left.subset(rows), self.right.subset(rows))

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Self:
        return type(self)(self.left.at_rows(rows, axis), self.right.at_rows(rows, axis))

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        left, right = split_tensors(tensors, self.left, self.right)
        return type(self)(self.left.with_tensors(left), self.right.with_tensors(right))

    def tensors(self) -> dict[str, Tensor]:
        return {**self.left.tensors(), **self.right.tensors()}

    def own_axes(self, name: str) -> int:
        return (self.left if name in self.left.tensor_names else self.right).own_axes(name)


class Multiple(Operator):
    """a·F for an F that is not linear.

    Args:
        operator: F.
        scalar: a, a number; or real numbers (*lead), one per sample, as a tensor, in which a·F is
            differentiable.

    Raises:
        DtypeError: A complex number and a real codomain.
    """

    operator: Operator
    scalar: complex | Tensor

    def __init__(self, operator: Operator, scalar: complex | Tensor) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        if isinstance(scalar, Tensor) and (scalar.ndim or scalar.requires_grad):
            self.register_buffer("scalar", scalar, persistent=False)
        else:
            self.scalar = plain_scalar(complex(scalar), operator.codomain)
        self.row_axis = operator.row_axis
        self.pointwise = operator.pointwise
        self.tensor_names = operator.tensor_names
        self.folded_axes = operator.folded_axes

    @property
    def measured(self) -> Tensor | None:
        return self.operator.measured

    def evaluate(self, u: Tensor) -> Tensor:
        value = self.operator.evaluate(u)
        return over(self.scalar, value, self.codomain.ndim) * value

    def divided(self, data: Tensor) -> Tensor:
        """The data of F that belong to data of a·F: ``data`` / a."""
        return data / over(self.scalar, data, self.codomain.ndim)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        value, derivative = self.operator.linearise(u)
        value = over(self.scalar, value, self.codomain.ndim) * value
        return value, derivative.multiple(self.scalar)

    def restrict(self, rows: tuple[int, ...]) -> Self:
        return type(self)(self.operator.subset(rows), self.scalar)

    def at_rows(self, rows: tuple[int, ...], axis: int) -> Self:
        return type(self)(self.operator.at_rows(rows, axis), self.scalar)

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        return type(self)(self.operator.with_tensors(tensors), self.scalar)

    def tensors(self) -> dict[str, Tensor]:
        return self.operator.tensors()

    def own_axes(self, name: str) -> int:
        return self.operator.own_axes(name)


def without_autocast(like: Tensor) -> AbstractContextManager[None]:
    """A context without autocast on the device of ``like``.

    It costs nothing where autocast is off already.

    Args:
        like: Tensor on the device concerned.
    """
    device = like.device.type
    if device != "meta" and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor on another device; float64 stays on the CPU where the device lacks it (MPS).

    Args:
        tensor: Tensor to move.
        device: Target device.
    """
    if torch.device(device).type == "mps" and tensor.dtype == torch.float64:
        return tensor.cpu()
    return tensor.to(device)


def _state(module: nn.Module) -> dict[str, Any]:
    """The members of a module, with new dictionaries for its tensors and parts."""
    return {
        name: dict(value) if isinstance(value, dict) else value
        for name, value in vars(module).items()
    }


def _converted(space: Space, convert: Callable[[Tensor], Tensor]) -> Space:
    probe = convert(torch.empty(0, dtype=space.dtype))
    return replace(space, dtype=probe.dtype)
