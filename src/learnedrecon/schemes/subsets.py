"""Steps on subsets of the data (Tang, Mukherjee, Schönlieb 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from learnedrecon.errors import ConfigError, GeometryError, describe
from learnedrecon.schemes.step import Step, units_of
from learnedrecon.schemes.units import Recording, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from learnedrecon.problem import Problem

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]


@dataclass(frozen=True)
class Partition:
    """A partition of the data into interleaved parts: rows k, k + m, k + 2m, ... for k = 0..m-1.

    Attributes:
        parts: Number m of parts.

    Raises:
        ConfigError: m < 1.
    """

    parts: int

    def __post_init__(self) -> None:
        if self.parts < 1:
            raise ConfigError(
                describe(
                    expected="parts >= 1",
                    found=str(self.parts),
                    fix="use 1 for a single part with all data",
                )
            )

    def part(self, problem: Problem, index: int) -> Problem:
        """The problem of part ``index`` mod m.

        Raises:
            GeometryError: The rows cannot be divided equally, or the operator has none.
        """
        if self.parts == 1:
            return problem
        chosen = problem.subset(slice(index % self.parts, None, self.parts))
        if chosen.data.numel() * self.parts != problem.data.numel():
            raise GeometryError(
                describe(
                    expected=f"rows that can be parted into {self.parts} equal sets",
                    found=f"data of shape {tuple(problem.data.shape)}",
                    fix="choose a number of parts that divides the number of angles or lines",
                )
            )
        return chosen


class OnSubset(Step[S]):
    """A step on part k mod m of the data, or on part ``problem.draws[k]`` mod m.

    Only the problem changes, so a dual variable has the size of one part and is carried from part
    to part.

    Args:
        step: Λ.
        partition: Partition of the rows.
        k: Number of the step.
        drawn: True to take the part from ``problem.draws``, which the data side draws at random
            before the scheme runs, so that recomputation sees the same part.

    Raises:
        GeometryError: In a call, draws are missing, or rows cannot be divided equally.
    """

    def __init__(self, step: Step[S], partition: Partition, k: int, *, drawn: bool = False) -> None:
        super().__init__()
        self.step = step
        self.partition = partition
        self.k = k
        self.drawn = drawn

    def forward(self, state: S, problem: Problem) -> S:
        return self.step(state, self.part(problem))

    def begin(self, image: Tensor, problem: Problem) -> S:
        return self.step.begin(image, self.part(problem))

    def image(self, state: S) -> Tensor:
        return self.step.image(state)

    def extra(self, state: S) -> Mapping[str, Tensor]:
        return self.step.extra(state)

    def states(self) -> type[Any]:
        return self.step.states()

    def iterates(self, state: S, problem: Problem) -> Iterator[S]:
        return self.step.iterates(state, self.part(problem))

    def elements(self) -> Sequence[Step[S]]:
        inner = self.step.elements()
        if len(inner) == 1:
            return [self]
        return [OnSubset(one, self.partition, self.k, drawn=self.drawn) for one in inner]

    def units(self) -> Sequence[Unit[S]]:
        return [_OnPart(unit, self) for unit in units_of(self.step)]

    def part(self, problem: Problem) -> Problem:
        """The part of the problem that the step sees.

        Raises:
            GeometryError: The problem has too few draws.
        """
        if not self.drawn:
            return self.partition.part(problem, self.k)
        if self.k >= len(problem.draws):
            raise GeometryError(
                describe(
                    expected=f"at least {self.k + 1} random draws in the problem",
                    found=f"draws = {problem.draws}",
                    fix="let the data side draw one number for each step, or use drawn=False",
                )
            )
        return self.partition.part(problem, problem.draws[self.k])


@dataclass(frozen=True)
class _OnPart(Unit[S], Generic[S]):
    unit: Unit[S]
    place: OnSubset[S]

    def changes(self, field: str) -> bool:
        return self.unit.changes(field)

    def problem_for_unit(self, problem: Problem) -> Problem:
        return self.unit.problem_for_unit(self.place.part(problem))

    def forward(self, state: S, problem: Problem) -> S:
        return self.unit.forward(state, problem)

    def inverse(self, state: S, problem: Problem) -> S:
        return self.unit.inverse(state, problem)

    def replay(self, state: S, problem: Problem, flags: Sequence[bool], record: Recording) -> S:
        return self.unit.replay(state, problem, flags, record)
