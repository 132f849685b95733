"""What tests in many rooms share: random numbers, dense operators, distances."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator


class Dense(LinearOperator):
    """u ↦ M u for a matrix (rows, columns), or one per sample, (batch, 1, rows, columns)."""

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        rows, columns = matrix.shape[-2:]
        super().__init__(Space((columns,), matrix.dtype), Space((rows,), matrix.dtype))
        self.register_buffer("matrix", matrix)

    def evaluate(self, u: Tensor) -> Tensor:
        matrix = self.matrix.to(torch.promote_types(self.matrix.dtype, u.dtype))
        return (matrix @ u.unsqueeze(-1)).squeeze(-1)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        matrix = self.matrix.to(torch.promote_types(self.matrix.dtype, v.dtype))
        return (matrix.mH @ v.unsqueeze(-1)).squeeze(-1)


class Conjugating(LinearOperator):
    """u ↦ M u + N conj(u): linear over the real numbers only."""

    def __init__(self, first: Tensor, second: Tensor) -> None:
        rows, columns = first.shape
        super().__init__(Space((columns,), first.dtype), Space((rows,), first.dtype))
        self.first, self.second = Dense(first), Dense(second)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.first.evaluate(u) + self.second.evaluate(u.conj())

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.first.evaluate_adjoint(v) + self.second.evaluate_adjoint(v).conj()


def largest_singular_value(operator: LinearOperator) -> float:
    """‖T‖ from the dense matrix."""
    return float(torch.linalg.matrix_norm(dense_matrix(operator), 2))


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normally distributed numbers, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spd(n: int, condition: float = 100.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """A positive definite matrix with eigenvalues from 1 to ``condition``."""
    basis, _ = torch.linalg.qr(normal(n, n, dtype=dtype))
    values = torch.logspace(0, 1, n, base=condition, dtype=dtype.to_real())
    return (basis * values) @ basis.mH


def complex_normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> Tensor:
    """Complex numbers with E|z|² = 1, the same every time."""
    return normal(*shape, seed=seed, dtype=dtype)


def relative(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest entry, in double precision."""
    assert found.shape == expected.shape
    wide = torch.promote_types(expected.dtype, torch.float64)
    return float((found.to(wide) - expected).abs().max() / expected.abs().max())


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends what would wait for ever, with a TimeoutError: a test that hangs cannot fail."""

    def end(_signal: int, _frame: object) -> None:
        raise TimeoutError

    handler = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
