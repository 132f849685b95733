"""What every part of the benchmark is told."""

from __future__ import annotations

from dataclasses import dataclass, replace

from learnedrecon.operators.ray.geometry2d import AngleRange, ParallelBeam
from measuring.timing import QUICK, Budget


@dataclass(frozen=True)
class Settings:
    """How long and how large.

    Attributes:
        threads: of torch, where a row does not say otherwise.
        budget: of every group of contestants.
        quick: a tenth of the angles where memory or minutes are at stake, and few rounds.
    """

    threads: int
    budget: Budget = Budget()  # noqa: RUF009
    quick: bool = False

    @staticmethod
    def of(threads: int, *, quick: bool) -> Settings:
        """The settings of a run."""
        return Settings(threads, QUICK if quick else Budget(), quick)

    def sized(self, geometry: ParallelBeam) -> ParallelBeam:
        """The scan to measure."""
        if not self.quick:
            return geometry
        return replace(geometry, angles=AngleRange(len(geometry.angle_values) // 10))
