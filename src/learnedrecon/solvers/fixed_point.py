"""Fixed points z = f(z): solver interface and Picard's iteration, sample by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learnedrecon.compiling import real_of
from learnedrecon.errors import ConfigError, ShapeError, describe

Map = Callable[[tuple[Tensor, ...]], Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class FixedPointResult:
    """The result of a fixed point iteration.

    Attributes:
        state: Iterate with the smallest residual, of every sample.
        residual: ‖f(z) - z‖ / min(‖f(z)‖, limit) at that iterate, (batch,), float64.
        iterations: Number of evaluations of f until a sample converged, or of all, (batch,).
        converged: True where the residual is within the tolerance, (batch,), bool.
        history: Residual of every iterate, (evaluations, batch), float64; constant after
            convergence.
        status: Outcome in one sentence.
    """

    state: tuple[Tensor, ...]
    residual: Tensor
    iterations: Tensor
    converged: Tensor
    history: Tensor
    status: str


@dataclass(frozen=True)
class Iterate:
    """One iterate of a fixed point iteration, with its value and residual.

    Attributes:
        state: z.
        value: f(z).
        residual: ‖f(z) - z‖ / min(‖f(z)‖, limit), (batch,), float64.
    """

    state: Tensor
    value: Tensor
    residual: Tensor


@dataclass(frozen=True)
class FixedPointSolver(ABC):
    """Base class of solvers for z with ‖f(z) - z‖ ≤ tolerance·min(‖f(z)‖, limit), per sample.

    The limit keeps iterates that grow without end, as those of z ↦ z + b, from being taken for a
    fixed point because their steps become small beside them; see :meth:`limit`. Samples are
    independent: residuals are per sample, and a sample that has converged is not changed.

    Attributes:
        tolerance: Relative residual at which a sample has converged.
        max_iterations: Largest number of evaluations of f.

    Raises:
        ConfigError: A field is out of range.
    """

    tolerance: float = 1e-4
    max_iterations: int = 100

    def __post_init__(self) -> None:
        require("tolerance >= 0", self.tolerance, self.tolerance >= 0)
        require("max_iterations >= 1", self.max_iterations, self.max_iterations >= 1)

    @abstractmethod
    def iterate(self, f: Callable[[Tensor], Tensor], z: Tensor) -> Iterator[Iterate]:
        """The infinite sequence z_0 = ``z``, z_1, ..., each (batch, n), with value and residual.

        Samples whose residual is within the tolerance do not change.
        """

    def limit(self, first: Iterate) -> Tensor:
        """The largest ‖f(z)‖ of relative residuals, (‖z_0‖ + ‖f(z_0) - z_0‖) / (2·tolerance).

        Where ‖f(z)‖ is larger, a sample has converged if its step is at most half of the first one
        and half of ‖z_0‖.

        Args:
            first: Iterate z_0.

        Returns:
            Limits, (batch,), float64.
        """
        reach = _norms(first.state) + _norms(first.value - first.state)
        return reach / (2 * self.tolerance) if self.tolerance > 0 else reach + torch.inf

    def solve(self, f: Map, start: Sequence[Tensor]) -> FixedPointResult:
        """The fixed point iteration from ``start``.

        Args:
            f: Map from a state, a tuple of tensors with the same batch axis, to a state.
            start: Initial state z_0, tensors (batch, ...).

        Returns:
            Best iterate of every sample with its residuals; ``converged`` is False where
            ``max_iterations`` were not sufficient.
        """
        packing = Packing(start)

        def packed(z: Tensor) -> Tensor:
            return packing.join(f(packing.split(z)))

        return self._collect(self.iterate(packed, packing.join(start)), packing)

    def states(self, f: Map, start: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """The states f(z_0), f(z_1), ..., ``max_iterations`` of them, for curves."""
        packing = Packing(start)

        def packed(z: Tensor) -> Tensor:
            return packing.join(f(packing.split(z)))

        iterates = self.iterate(packed, packing.join(start))
        for _ in range(self.max_iterations):
            yield packing.split(next(iterates).value)

    def _collect(self, iterates: Iterator[Iterate], packing: Packing) -> FixedPointResult:
        history: list[Tensor] = []
        for number, current in enumerate(iterates, start=1):
            residual = current.residual
            if number == 1:
                best, least = current.state, residual
                needed = torch.full_like(residual, self.max_iterations, dtype=torch.int64)
            better = residual < least
            best = torch.where(better[:, None], current.state, best)
            least = torch.where(better, residual, least)
            fresh = (residual <= self.tolerance) & (needed == self.max_iterations)
            needed = torch.where(fresh, number, needed)
            history.append(residual)
            if number == self.max_iterations or bool((least <= self.tolerance).all()):
                break
        converged = least <= self.tolerance
        return FixedPointResult(
            state=packing.split(best),
            residual=least,
            iterations=needed,
            converged=converged,
            history=torch.stack(history),
            status=_status(converged, least, number, self.tolerance),
        )


@dataclass(frozen=True)
class Picard(FixedPointSolver):
    """Picard's damped iteration z ← (1 - β) z + β f(z).

    Attributes:
        damping: Damping β in (0, 1]; 1 is the plain iteration.
        tolerance: Relative residual at which a sample has converged.
        max_iterations: Largest number of evaluations of f.
    """

    damping: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("0 < damping <= 1", self.damping, 0 < self.damping <= 1)

    def iterate(self, f: Callable[[Tensor], Tensor], z: Tensor) -> Iterator[Iterate]:
        current = evaluated(f, z)
        limit = self.limit(current)
        while True:
            yield current
            moved = torch.lerp(z, current.value, self.damping)
            z = torch.where(_going(current.residual, self.tolerance), moved, z)
            current = evaluated(f, z, limit)


def evaluated(f: Callable[[Tensor], Tensor], z: Tensor, limit: Tensor | None = None) -> Iterate:
    """An iterate: the value of f at z, with the residual.

    Beyond the limit, the rounding of f(z) counts as a step: a z so large that z + b rounds to z is
    no fixed point.

    Args:
        f: Map.
        z: Point, (batch, n).
        limit: Largest ‖f(z)‖ of relative residuals, (batch,); None for no limit.
    """
    value = f(z)
    gap, size = _norms(value - z), _norms(value)
    if limit is not None:
        far = size > limit
        gap = torch.where(far, gap + torch.finfo(z.dtype).eps * size, gap)
        size = torch.where(far, limit, size)
    residual = torch.where(gap == 0, 0, gap / size)
    return Iterate(z, value, torch.where(residual.isnan(), torch.inf, residual))


def _norms(z: Tensor) -> Tensor:
    return torch.linalg.vector_norm(z, dim=1, dtype=torch.float64)


def _going(residual: Tensor, tolerance: float) -> Tensor:
    return (residual > tolerance)[:, None]


class Packing:
    """Conversion between a tuple of tensors and one real matrix (batch, n).

    Args:
        like: Tensors, each (batch, ...).

    Raises:
        ShapeError: There are no tensors, or their batch axes differ.
    """

    def __init__(self, like: Sequence[Tensor]) -> None:
        if not like or any(t.ndim == 0 or t.shape[0] != like[0].shape[0] for t in like):
            raise ShapeError(
                describe(
                    expected="tensors with one batch axis, the same for all",
                    found=f"shapes {[tuple(t.shape) for t in like]}",
                    fix="give every field of the state a batch axis",
                )
            )
        self._shapes = [t.shape for t in like]
        self._dtypes = [t.dtype for t in like]
        self._widths = [t[0].numel() * (2 if t.is_complex() else 1) for t in like]

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """The matrix (batch, n) of the tensors."""
        flat = [t.flatten(1) for t in tensors]
        return torch.cat([_real(t) for t in flat], dim=1)

    def split(self, matrix: Tensor) -> tuple[Tensor, ...]:
        """The tensors of a matrix (batch, n)."""
        parts = matrix.split(self._widths, dim=1)
        return tuple(map(self._shaped, parts, self._shapes, self._dtypes))

    def _shaped(self, part: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        if dtype.is_complex:
            pairs = part.to(real_of(dtype)).reshape(*shape, 2)
            return torch.view_as_complex(pairs)
        return part.to(dtype).reshape(shape)


def _real(flat: Tensor) -> Tensor:
    return torch.view_as_real(flat).flatten(1) if flat.is_complex() else flat


def require(expected: str, found: float, holds: object) -> None:
    """Check of a field of a solver.

    Args:
        expected: Condition in words.
        found: Value of the field.
        holds: True if the condition holds.

    Raises:
        ConfigError: The condition does not hold.
    """
    if not holds:
        raise ConfigError(
            describe(expected=expected, found=str(found), fix="choose a value in this range")
        )


def _status(converged: Tensor, residual: Tensor, number: int, tolerance: float) -> str:
    if not len(converged):
        return "Nothing to do: the batch is empty."
    reached = f"relative residual {float(residual.max()):.1e} (asked for {tolerance:.1e})"
    failed = int((~converged).sum())
    if failed == 0:
        return f"Converged in at most {number} evaluations to a {reached}."
    return (
        f"Not converged: {failed} of {len(converged)} samples stopped after {number} evaluations, "
        f"with a {reached}. Allow more iterations, or a larger tolerance."
    )
