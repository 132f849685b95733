"""Sums of Gaussians at equidistant nodes: learned activations with exact derivatives.

    φ(x) = Σ_j w_j g(x - j),   g(x) = exp(-x²/2)/√(2π),   j = -(n-1)/2, ..., (n-1)/2

x is in units of the distance of the nodes. Around the centre c of seven nodes, with t = x - c and
m = j - c,

    exp(-(t - m)²/2) = exp(-t²/2) · (eᵗ)^m · exp(-m²/2),

so that seven Gaussians are two exponentials and a polynomial in eᵗ, by Horner's rule. Derivatives
have the same form with Hermite polynomials, He_k(t - m) = Σ_i C(k, i) (-m)^i He_{k-i}(t). No array
has more elements than x, and what autograd saves is x and w alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from learnedrecon.compiling import Context

_HALF: Final = 3
_SIZE: Final = 2 * _HALF + 1
_BLOCK: Final = 1 << 17
# Beyond so many distances a Gaussian is less than the rounding of the largest one.
_REACH: Final = {torch.float32: 6.0, torch.float64: 9.0}
_ROOT: Final = math.sqrt(2 * math.pi)


def radial_sum(x: Tensor, weights: Tensor, order: int = 0) -> Tensor:
    """The sum Σ_j w_j g⁽ᵏ⁾(x - j) of derivatives of Gaussians; differentiable any number of times.

    Args:
        x: Arguments in node distances from the middle node, (batch, features, *space), float32 or
            float64.
        weights: Weights w, (features, nodes), of the same dtype.
        order: Order k of the derivative; -1 for the distribution function of g, by erf.

    Returns:
        Values, of the shape of ``x``.
    """
    found: Tensor = _Sum.apply(x, weights, order)
    return found


class _Sum(torch.autograd.Function):
    """(x, w) ↦ Σ_j w_j g⁽ᵏ⁾(x - j)."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weights: Tensor, order: int) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.order = order
        blocks = [_value(part, weights, order) for part in _blocks(x)]
        return torch.cat(blocks, dim=-1).reshape(x.shape)

    @staticmethod
    def backward(ctx: Context, slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weights = ctx.saved_tensors
        in_x = in_w = None
        if ctx.needs_input_grad[0]:
            in_x = slopes * radial_sum(x, weights, ctx.order + 1)
        if ctx.needs_input_grad[1]:
            in_w = _Moments.apply(x, slopes, weights.shape[1], ctx.order)
        return in_x, in_w, None


class _Moments(torch.autograd.Function):
    """(x, h) ↦ Σ h g⁽ᵏ⁾(x - j) over batch and space, (features, nodes): the transpose in w."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, slopes: Tensor, nodes: int, order: int) -> Tensor:
        ctx.save_for_backward(x, slopes)
        ctx.order = order
        total = x.new_zeros(x.shape[1], nodes)
        for part, h in zip(_blocks(x), _blocks(slopes), strict=True):
            total += _moments(part, h, nodes, order)
        return total

    @staticmethod
    def backward(ctx: Context, v: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, slopes = ctx.saved_tensors
        in_x = slopes * radial_sum(x, v, ctx.order + 1) if ctx.needs_input_grad[0] else None
        in_slopes = radial_sum(x, v, ctx.order) if ctx.needs_input_grad[1] else None
        return in_x, in_slopes, None, None


def _blocks(x: Tensor) -> tuple[Tensor, ...]:
    """The pixels in parts that fit into a processor's cache, (batch, features, pixels)."""
    flat = x.flatten(2)
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return (flat,)
    return flat.split(max(_BLOCK // max(flat.shape[0] * flat.shape[1], 1), 1), dim=-1)


def _value(x: Tensor, weights: Tensor, order: int) -> Tensor:
    total = torch.zeros_like(x)
    if order < 0:
        for j, column in _columns(weights):
            total += column * torch.special.ndtr(x - j)
        return total
    nodes = weights.shape[1]
    padded = functional.pad(weights, (0, -nodes % _SIZE))
    for start in range(0, nodes, _SIZE):
        t, base = _around(x, start + _HALF - (nodes - 1) / 2)
        q, value = t.exp(), torch.zeros_like(x)
        for i in range(order + 1):
            polynomial = _horner(q, padded[:, start : start + _SIZE] * _factors(x, i))
            value += polynomial.mul_(_hermite(t, order, i)) if i < order else polynomial
        total.addcmul_(value, base, value=(-1) ** order)
    return total


def _moments(x: Tensor, slopes: Tensor, nodes: int, order: int) -> Tensor:
    if order < 0:
        middle = (nodes - 1) / 2
        sums = [(slopes * torch.special.ndtr(x - (j - middle))).sum((0, 2)) for j in range(nodes)]
        return torch.stack(sums, dim=1)
    found = []
    for start in range(0, nodes, _SIZE):
        t, base = _around(x, start + _HALF - (nodes - 1) / 2)
        q, total = t.exp(), x.new_zeros(x.shape[1], _SIZE)
        for i in range(order + 1):
            power = base * slopes * _hermite(t, order, i)
            sums = [power.sum((0, 2))]
            for _ in range(1, _SIZE):
                sums.append(power.mul_(q).sum((0, 2)))
            total += torch.stack(sums, dim=1) * _factors(x, i)
        found.append((-1) ** order * total)
    return torch.cat(found, dim=1)[:, :nodes]


def _around(x: Tensor, centre: float) -> tuple[Tensor, Tensor]:
    """The difference t = x - c within reach, and exp(-t²/2) (eᵗ)^-3 of the lowest power."""
    reach = _HALF + _REACH[x.dtype]
    t = (x - centre).clamp_(-reach, reach)
    return t, t.square().mul_(-0.5).sub_(t, alpha=_HALF).exp_()


def _factors(x: Tensor, i: int) -> Tensor:
    """(-m)^i exp(-m²/2)/√(2π) of the nodes of a group."""
    m = torch.arange(-_HALF, _HALF + 1, dtype=x.dtype, device=x.device)
    return (-m) ** i * torch.exp(-0.5 * m.square()) / _ROOT


def _horner(q: Tensor, coefficients: Tensor) -> Tensor:
    """Σ_m c_m q^m with coefficients (features, powers), for q (batch, features, pixels)."""
    first, *columns = coefficients.unsqueeze(-1).unbind(1)
    value = columns[-1] * q
    for column in reversed(columns[:-1]):
        value.add_(column).mul_(q)
    return value.add_(first)


def _hermite(t: Tensor, order: int, i: int) -> Tensor:
    """C(k, i) He_{k-i}(t), the factor of the i-th moment in a derivative of order k."""
    before, value = torch.zeros_like(t), torch.ones_like(t)
    for degree in range(order - i):
        before, value = value, t * value - degree * before
    return math.comb(order, i) * value


def _columns(weights: Tensor) -> Iterator[tuple[float, Tensor]]:
    """Every node with its weights, (features, 1)."""
    middle = (weights.shape[1] - 1) / 2
    return ((j - middle, w) for j, w in enumerate(weights.unsqueeze(-1).unbind(1)))
