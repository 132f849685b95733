"""Nonlinear operators whose values and derivatives another library computes."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from learnedrecon.errors import DifferentiationError, describe
from learnedrecon.operators.adapters.foreign import interrupted
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space, inner

Context: TypeAlias = Any  # of autograd, where attributes may be put


class Curve(Protocol):
    """Protocol: T, T'(u) and T'(u)* on plain tensors that share their leading axes.

    Attributes:
        image_axes: Number of axes of one image.
        precision: float32 or float64, in which T computes.
    """

    image_axes: int
    precision: torch.dtype

    def value(self, u: Tensor) -> Tensor:
        """T(u)."""
        ...

    def push(self, u: Tensor, d: Tensor) -> Tensor:
        """T'(u) d."""
        ...

    def pull(self, u: Tensor, v: Tensor) -> Tensor:
        """T'(u)* v, exact for the unweighted inner product."""
        ...


class ForeignNonlinear(Operator):
    """A nonlinear operator T(u) with the derivative that the library computes.

    The derivative of T'(u)* v in u, which the training of a scheme needs, is a central difference
    of T'(u)*, with a relative error below 1e-8; only for float64 arithmetic.

    Args:
        curve: T and its derivative.
        domain: X, one sample.
        codomain: Y, one sample.
    """

    def __init__(self, curve: Curve, domain: Space, codomain: Space) -> None:
        super().__init__(domain, codomain)
        self.curve = curve

    def evaluate(self, u: Tensor) -> Tensor:
        return interrupted(_Value.apply, u, self.curve)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        u = self.domain.check(u, "an image")
        return self(u), Tangent(self, u)


class Tangent(LinearOperator):
    """The derivative T'(u), one per sample of u.

    Args:
        operator: T.
        point: u, (..., *domain.shape).
    """

    point: Tensor

    def __init__(self, operator: ForeignNonlinear, point: Tensor) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.curve = operator.curve
        self.register_buffer("point", point, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        point, direction = torch.broadcast_tensors(self.point, u)
        return interrupted(_Push.apply, point, direction, self.curve)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        leading = v.shape[: v.ndim - self.codomain.ndim]
        before = self.point.shape[: self.point.ndim - self.domain.ndim]
        common = torch.broadcast_shapes(leading, before)
        point = self.point.expand(*common, *self.domain.shape)
        data = v.expand(*common, *self.codomain.shape)
        return interrupted(_Pull.apply, point, data, self.curve)


class _Value(torch.autograd.Function):
    """u ↦ T(u)."""

    @staticmethod
    def forward(u: Tensor, curve: Curve) -> Tensor:
        return curve.value(u)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor, Curve], output: Tensor) -> None:
        _keep(ctx, (inputs[0],), inputs[-1], output)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return _Pull.apply(u, grad, ctx.curve), None

    @staticmethod
    def jvp(ctx: Context, tangent: Tensor, *_: None) -> Tensor:
        (u,) = ctx.saved_tensors
        return _Push.apply(u, tangent, ctx.curve)


class _Push(torch.autograd.Function):
    """(u, d) ↦ T'(u) d."""

    @staticmethod
    def forward(u: Tensor, d: Tensor, curve: Curve) -> Tensor:
        return curve.push(u, d)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor, Tensor, Curve], output: Tensor) -> None:
        _keep(ctx, inputs[:2], inputs[-1], output)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        u, d = ctx.saved_tensors
        by_point, by_direction, _ = ctx.needs_input_grad
        return (
            _Curvature.apply(u, d, grad, ctx.curve) if by_point else None,
            _Pull.apply(u, grad, ctx.curve) if by_direction else None,
            None,
        )


class _Pull(torch.autograd.Function):
    """(u, v) ↦ T'(u)* v."""

    @staticmethod
    def forward(u: Tensor, v: Tensor, curve: Curve) -> Tensor:
        return curve.pull(u, v)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor, Tensor, Curve], output: Tensor) -> None:
        _keep(ctx, inputs[:2], inputs[-1], output)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        u, v = ctx.saved_tensors
        by_point, by_data, _ = ctx.needs_input_grad
        return (
            _Curvature.apply(u, grad, v, ctx.curve) if by_point else None,
            _Push.apply(u, grad, ctx.curve) if by_data else None,
            None,
        )


class _Curvature(torch.autograd.Function):
    """(u, w, v) ↦ ∇_u Re⟨T'(u)w, v⟩ = d/dε T'(u + εw)* v, as second derivatives are symmetric."""

    @staticmethod
    def forward(ctx: Context, u: Tensor, w: Tensor, v: Tensor, curve: Curve) -> Tensor:
        del ctx
        if curve.precision != torch.float64:
            raise DifferentiationError(
                describe(
                    expected="an operator that computes in float64, for its second derivative",
                    found=str(curve.precision),
                    fix="build it in float64; from_odl(operator, torch.float32) then still gives "
                    "images in float32",
                )
            )
        wide = torch.promote_types(u.dtype, torch.float64)
        point, direction = u.to(wide), w.to(wide)
        data = v.to(torch.promote_types(v.dtype, torch.float64))
        step = _step(point, direction, curve.image_axes)
        ahead = curve.pull(point + step * direction, data)
        behind = curve.pull(point - step * direction, data)
        return ((ahead - behind) / (2 * step)).to(u.dtype)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> Tensor:
        del ctx, grad
        raise DifferentiationError(
            describe(
                expected="at most two derivatives of an operator of another library",
                found="a third",
                fix="write the operator in torch, or do without it",
            )
        )


def _keep(ctx: Context, tensors: tuple[Tensor, ...], curve: Curve, output: Tensor) -> None:
    del output
    ctx.curve = curve
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)


def _step(u: Tensor, w: Tensor, axes: int) -> Tensor:
    """ε per sample: the cube root of the rounding error, relative to the size of u."""
    root = torch.finfo(torch.float64).eps ** (1 / 3)
    sizes = [inner(x, x, axes).sqrt() for x in (u, w)]
    of_u, of_w = (torch.where(size > 0, size, torch.ones_like(size)) for size in sizes)
    return (root * of_u / of_w).reshape(*of_u.shape, *[1] * axes)
