"""Distances, random elements, dense matrices and difference quotients, for the checks."""

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
    """Re⟨a, b⟩ over every axis, summed in float64."""
    return float(inner(a.flatten(), b.flatten(), 1))


def norm_of(a: Tensor) -> float:
    """‖a‖ over every axis, summed in float64."""
    return math.sqrt(total_inner(a, a))


def distance(a: Tensor, b: Tensor) -> float:
    """‖a - b‖ / ‖b‖; infinite for unequal shapes, absolute where b = 0."""
    if a.shape != b.shape or a.is_complex() != b.is_complex():
        return math.inf
    wide = torch.complex128 if b.is_complex() else torch.float64
    difference = norm_of(a.detach().cpu().to(wide) - b.detach().cpu().to(wide))
    return difference / (norm_of(b.detach()) or 1.0)


def device_of(operator: Operator) -> torch.device:
    """Where the operator's tensors are; the CPU for one that has none."""
    return next((tensor.device for tensor in operator.buffers()), torch.device("cpu"))


def seeded(seed: int) -> torch.Generator:
    """A generator that does not repeat what the caller drew from the same seed."""
    return torch.Generator().manual_seed(seed + 99_991)


class Draw:
    """Seeded random images and data of an operator.

    Args:
        operator: T.
        leading: the leading axes of every element.
        device: where to make them.
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
        leading: axes in front of the domain's, for operators with per-sample tensors; they are
            part of the vector.
        precision: float32 or float64, in which T is applied.

    Returns:
        float64 (codomain.size, domain.size), each doubled where complex and multiplied by the
        size of ``leading``.
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
    """(batch, ...) to (batch, entries) in float64, real parts before imaginary parts."""
    rows = batch.flatten(1)
    parts = torch.cat([rows.real, rows.imag], dim=1) if rows.is_complex() else rows
    return parts.double()


def pull_back(
    value: Tensor, leaf: Tensor, cotangent: Tensor, *, create_graph: bool = False
) -> Tensor:
    """The gradient of Re⟨value, cotangent⟩ in ``leaf``; zero where autograd knows of none."""
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(
        value, leaf, cotangent, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    return torch.zeros_like(leaf) if gradient is None else gradient


def push_forward(function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor) -> Tensor:
    """f'(at) direction by forward-mode autograd.

    Raises:
        PropertyError: something in f has no derivative of this kind.
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
    """Central differences against a derivative.

    Attributes:
        error: the smallest relative error over all step sizes.
        order: how fast the error falls with the step size; None where the differences are exact.
    """

    error: float
    order: float | None


@torch.no_grad()
def central_differences(
    function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor, expected: Tensor
) -> Quotients:
    """Compares (f(u + h d) - f(u - h d)) / 2h with ``expected`` = f'(u) d for falling h.

    Args:
        function: f, in double precision.
        at: u.
        direction: d, of about the size of u.
        expected: the derivative that is to be checked.
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
