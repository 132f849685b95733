"""Anderson acceleration of fixed point iterations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from learnedrecon.solvers.fixed_point import FixedPointSolver, Iterate, evaluated, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


@dataclass(frozen=True)
class Anderson(FixedPointSolver):
    """Anderson acceleration of type II, with the last ``window`` differences of every sample.

    z⁺ = z + βg - Σ_i γ_i (Δz_i + βΔg_i), with g = f(z) - z and γ = argmin ‖g - Σ γ_i Δg_i‖² +
    λ Σ_i γ_i² ‖Δg_i‖² (Walker, Ni, SIAM J. Numer. Anal. 49(4), 2011). The regularisation is
    relative to the length of every difference, so that units do not matter and small residuals late
    in the iteration keep their influence. Safeguard: a sample whose residual exceeds ``growth``
    times its smallest so far returns to the value at that iterate and discards its differences.

    Attributes:
        window: Number of differences that are kept.
        damping: Damping β in (0, 1].
        regularisation: Regularisation λ ≥ 0.
        growth: Growth of the residual, > 1, beyond which a sample restarts from its best iterate.
        tolerance: Relative residual ‖f(z) - z‖/‖f(z)‖ at which a sample has converged.
        max_iterations: Largest number of evaluations of f.

    Raises:
        ConfigError: A field is out of range.
    """

    window: int = 5
    damping: float = 1.0
    regularisation: float = 1e-8
    growth: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("window >= 1", self.window, self.window >= 1)
        require("0 < damping <= 1", self.damping, 0 < self.damping <= 1)
        require("regularisation >= 0", self.regularisation, self.regularisation >= 0)
        require("growth > 1", self.growth, self.growth > 1)

    def iterate(self, f: Callable[[Tensor], Tensor], z: Tensor) -> Iterator[Iterate]:
        memory = _Memory(self.window)
        current = best = evaluated(f, z)
        limit = self.limit(current)
        while True:
            yield current
            best = _better(best, current)
            lost = (current.residual > self.growth * best.residual)[:, None]
            done = (current.residual <= self.tolerance)[:, None]
            memory.note(z, current.value - z)
            moved = torch.where(lost, best.value, self._mixed(memory, z, current.value - z))
            memory.forget(lost | done)
            z = torch.where(done, z, moved)
            current = evaluated(f, z, limit)

    def _mixed(self, memory: _Memory, z: Tensor, g: Tensor) -> Tensor:
        plain = z + self.damping * g
        if not memory.moves:
            return plain
        weights = memory.weights(g, self.regularisation)
        for k, (dz, dg) in enumerate(zip(memory.moves, memory.changes, strict=True)):
            plain = plain - weights[:, k, None] * (dz + self.damping * dg)
        return plain


class _Memory:
    """The last differences Δz and Δg of every sample; zero where a sample has forgotten them.

    Args:
        window: how many.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.moves: list[Tensor] = []
        self.changes: list[Tensor] = []
        self._last: tuple[Tensor, Tensor] | None = None
        self._broken: Tensor | None = None

    def note(self, z: Tensor, g: Tensor) -> None:
        if self._last is not None and self._broken is not None:
            keep = (~self._broken).to(z)
            self.moves = [*self.moves, keep * (z - self._last[0])][-self.window :]
            self.changes = [*self.changes, keep * (g - self._last[1])][-self.window :]
        self._last = (z, g)

    def forget(self, which: Tensor) -> None:
        """Empties the memory of the samples in ``which``, (batch, 1)."""
        self._broken = which
        if bool(which.any()):
            keep = (~which).to(self._last[0] if self._last else which)
            self.moves = [keep * move for move in self.moves]
            self.changes = [keep * change for change in self.changes]

    def weights(self, g: Tensor, regularisation: float) -> Tensor:
        """γ, (batch, differences), in the precision of ``g``; inner products and all in float64.

        In float32 the rounding of inner products depends on the size of the batch, and the solution
        makes it thousands of times larger: samples would feel their neighbours.
        """
        table = torch.stack(self.changes, 1).double()
        lengths = table.norm(dim=2)
        scale = torch.where(lengths > 0, lengths, 1)
        gram = torch.bmm(table, table.mT) / (scale[:, :, None] * scale[:, None, :])
        gram = gram + regularisation * torch.eye(len(self.changes), dtype=gram.dtype).to(gram)
        right = torch.bmm(table, g[:, :, None].double()).squeeze(2) / scale
        empty = torch.diag_embed((lengths == 0).to(gram))
        # A sample that has run off to NaN goes back to its best iterate; its weights do not matter.
        inverse = torch.linalg.pinv((gram + empty).nan_to_num(0, 0, 0), hermitian=True)
        solution = (inverse @ right.nan_to_num(0, 0, 0)[:, :, None]).squeeze(2)
        return (solution / scale).to(g)


def _better(old: Iterate, new: Iterate) -> Iterate:
    take = new.residual < old.residual
    rows = take[:, None]
    return Iterate(
        torch.where(rows, new.state, old.state),
        torch.where(rows, new.value, old.value),
        torch.where(take, new.residual, old.residual),
    )
