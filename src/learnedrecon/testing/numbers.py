"""Distances, random elements, dense matrices and difference quotients for checks."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from learnedrecon.errors import PropertyError, describe
from learnedrecon.operators.space import inner

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.linear import LinearOperator

_CHUNK = 256


def total_inner(a: Tensor, b: Tensor) -> float:
    """Re⟨a, b⟩ over every axis, summed in float64.

    Args:
        a: First tensor.
        b: Second tensor, of the same shape.
    """
    return float(inner(a.flatten(), b.flatten(), 1))


def norm_of(a: Tensor) -> float:
    """‖a‖ over every axis, summed in float64.

    Args:
        a: Tensor of any shape.
    """
    return math.sqrt(total_inner(a, a))


def distance(a: Tensor, b: Tensor) -> float:
    """The relative distance ‖a - b‖ / ‖b‖.

    It is infinite for different shapes, and absolute where b = 0.

    Args:
        a: Tensor.
        b: Reference.
    """
    if a.shape != b.shape or a.is_complex() != b.is_complex():
        return math.inf
    wide = torch.complex128 if b.is_complex() else torch.float64
    difference = norm_of(a.detach().cpu().to(wide) - b.detach().cpu().to(wide))
    return difference / (norm_of(b.detach()) or 1.0)


def device_of(operator: Operator) -> torch.device:
    """The device of the operator's tensors; the CPU if it has none.

    Args:
        operator: Operator.
    """
    return next((tensor.device for tensor in operator.buffers()), torch.device("cpu"))


def seeded(seed: int) -> torch.Generator:
    """A generator with other random numbers than the caller's generator of the same seed.

    Args:
        seed: Seed of the caller.
    """
    return torch.Generator().manual_seed(seed + 99_991)


class Draw:
    """Seeded random images and data of an operator.

    Args:
        operator: T.
        leading: Leading axes of every element.
        device: Device of the elements.
        seed: Seed of the generator.
    """

    def __init__(
        self, operator: Operator, leading: tuple[int, ...], device: torch.device, seed: int
    ) -> None:
        self.operator = operator
        self.leading = leading
        self.device = device
        self.generator = seeded(seed)

    def image(self, *batch: int) -> Tensor:
        """A random element of the domain, with ``batch`` before the leading axes."""
        space = self.operator.domain
        return space.random(self.generator, batch + self.leading).to(self.device)

    def data(self, *batch: int) -> Tensor:
        """A random element of the codomain, with ``batch`` before the leading axes."""
        space = self.operator.codomain
        return space.random(self.generator, batch + self.leading).to(self.device)

    def index(self, below: int) -> int:
        """A random index."""
        return int(torch.randint(below, (), generator=self.generator))


@torch.no_grad()
def dense_matrix(
    operator: LinearOperator,
    *,
    leading: tuple[int, ...] = (),
    precision: torch.dtype = torch.float64,
) -> Tensor:
    """The matrix of T over the real numbers, column by column.

    A complex entry z counts as two real ones, all real parts before all imaginary parts, so that
    the matrix of T* is the transposed matrix of T.

    Args:
        operator: T.
        leading: Axes before those of the domain, for operators with per-sample tensors; they are
            part of the vector.
        precision: float32 or float64, the precision in which T is applied.

    Returns:
        Matrix (codomain.size, domain.size), float64, with each size doubled where complex and
        multiplied by the size of ``leading``.
    """
    domain = operator.domain
    size = domain.size * math.prod(leading)
    dtype = precision.to_complex() if domain.is_complex else precision
    basis = torch.eye(size, dtype=dtype, device=device_of(operator))
    if domain.is_complex:
        basis = torch.cat([basis, 1j * basis])
    columns = [
        as_real_rows(operator(part.reshape(-1, *leading, *domain.shape)))
        for part in basis.split(_CHUNK)
    ]
    return torch.cat(columns).T.contiguous()


def as_real_rows(batch: Tensor) -> Tensor:
    """(batch, ...) as real rows (batch, entries) in float64, real parts before imaginary parts.

    Args:
        batch: Tensor (batch, ...), real or complex.
    """
    rows = batch.flatten(1)
    parts = torch.cat([rows.real, rows.imag], dim=1) if rows.is_complex() else rows
    return parts.double()


def pull_back(
    value: Tensor, leaf: Tensor, cotangent: Tensor, *, create_graph: bool = False
) -> Tensor:
    """The gradient of Re⟨value, cotangent⟩ in ``leaf``; zero where autograd has none.

    Args:
        value: Function of ``leaf``.
        leaf: Tensor that requires a gradient.
        cotangent: Tensor of the shape of ``value``.
        create_graph: True for a gradient that can be differentiated again.
    """
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(
        value, leaf, cotangent, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    return torch.zeros_like(leaf) if gradient is None else gradient


def push_forward(function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor) -> Tensor:
    """The directional derivative f'(at) direction by forward-mode autograd.

    Args:
        function: Function f.
        at: Point.
        direction: Direction, of the shape of ``at``.

    Raises:
        PropertyError: An operation of f has no forward-mode derivative.
    """
    with warnings.catch_warnings():
        # On its first use torch compiles its own rules with a function that it deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return torch.func.jvp(function, (at,), (direction,))[1]
        except RuntimeError as error:
            raise PropertyError(
                describe(
                    expected="forward-mode autograd through the operator",
                    found=str(error).splitlines()[0],
                    fix="give its autograd.Function a jvp, or write it in torch operations",
                )
            ) from error


class Quotients(NamedTuple):
    """The result of a comparison of a derivative with central differences.

    Attributes:
        error: Smallest relative error over all step sizes.
        order: Order of the error in the step size; None where the differences are exact.
    """

    error: float
    order: float | None


@torch.no_grad()
def central_differences(
    function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor, expected: Tensor
) -> Quotients:
    """Comparison of (f(u + h d) - f(u - h d)) / 2h with ``expected`` = f'(u) d for decreasing h.

    Args:
        function: f, in double precision.
        at: Point u.
        direction: Direction d, of about the size of u.
        expected: Derivative to check.
    """
    errors = []
    for k in range(2, 20):
        h = 2.0**-k
        quotient = (function(at + h * direction) - function(at - h * direction)) / (2 * h)
        errors.append(distance(quotient, expected))
    before_rounding = errors[: errors.index(min(errors)) + 1]
    floor = max(1e-9, 100 * min(errors))
    pairs = [(a, b) for a, b in itertools.pairwise(before_rounding) if a < 0.5 and b > floor]
    orders = sorted(math.log2(a / b) for a, b in pairs)
    return Quotients(min(errors), orders[len(orders) // 2] if orders else None)
