"""Not one geometry: the cost of an update and the adjoint, wherever the geometry is unusual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchmarks.harness.cases import CALLS, call_of, data_for, describe_scan, image_for, updates
from benchmarks.harness.row import Row
from benchmarks.harness.timing import Contestant, interleaved, running
from learnedrecon.kernels import joseph
from learnedrecon.operators.ray.geometry2d import (
    AngleRange,
    FanBeam,
    FlatDetector,
    Geometry,
    ParallelBeam,
)
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmarks.harness.run import Settings
    from benchmarks.harness.timing import Timing

WITHIN, EXACT = 3.0, 1e-5


@dataclass(frozen=True)
class Case:
    """A geometry, and how many images."""

    name: str
    geometry: Geometry
    batch: int = 1


def cases(settings: Settings) -> list[Case]:
    """What the issue names, and a fan beam."""
    number = 100 if settings.quick else 1000

    def scan(
        detectors: int, pitch: float, offset: float = 0.0, shape: tuple[int, int] = (362, 362)
    ) -> ParallelBeam:
        return ParallelBeam(shape, AngleRange(number), FlatDetector(detectors, pitch, offset))

    generator = torch.Generator().manual_seed(3)
    irregular = tuple((math.pi * torch.rand(37, generator=generator)).tolist())
    fan = FanBeam(
        (362, 362), AngleRange(number, arc=2 * math.pi), FlatDetector(513, 1.7), 700.0, 400.0
    )
    return [
        Case("pitch 0.998", scan(513, 0.998)),
        Case("pitch 0.5", scan(1025, 0.5)),
        Case("pitch 1.7", scan(302, 1.7)),
        Case("pitch 3", scan(171, 3.0)),
        Case("axis 20.3 pixels off centre", scan(553, 0.998, 20.3)),
        Case("300 × 500 pixels", scan(585, 0.998, shape=(300, 500))),
        Case("37 irregular angles", scan(513, 0.998).with_angles(irregular)),
        Case("509 detector pixels", scan(509, 1.0)),
        Case("batch 3", scan(513, 0.998), batch=3),
        Case("fan beam", fan),
    ]


def sweep_rows(settings: Settings) -> Iterator[Row]:
    """Cost per update against the best case, and the error of the adjoint."""
    if joseph.current_isa() is None:
        raise RuntimeError("expected compiled kernels; reinstall the package with a compiler")
    chosen = cases(settings)
    for call in CALLS:
        prepare = running(settings.threads)
        contestants = [
            Contestant(case.name, call_of(case.geometry, call, case.batch), prepare)
            for case in chosen
        ]
        times = interleaved(contestants, settings.budget)
        yield from _costs(chosen, call, times)
    for case in chosen:
        yield Row(
            "sweep, adjoint error", f"{case.name}: {describe_scan(case.geometry)}",
            "|⟨Tu,v⟩ - ⟨u,T*v⟩| / ‖Tu‖‖v‖", ours=None, theirs=None, unit="", peer="",
            value=adjoint_error(case), target=EXACT, at_most=True
        )  # fmt: skip


def _costs(chosen: list[Case], call: str, times: dict[str, Timing]) -> Iterator[Row]:
    cost = {
        case.name: 1e9 * times[case.name].median / case.batch / updates(case.geometry.rays())
        for case in chosen
    }
    best = min(cost.values())
    for case in chosen:
        yield Row(
            f"sweep, {call}", f"{case.name}: {describe_scan(case.geometry)}", call,
            ours=cost[case.name], theirs=best, unit="ns/update", peer="best case of the sweep",
            value=cost[case.name] / best, target=WITHIN, at_most=True,
            details={"ours": times[case.name].to_plain(), "isa": joseph.current_isa()}
        )  # fmt: skip


def adjoint_error(case: Case) -> float:
    """The larger error of a random v and of v = Tu, in float32 with sums in float64."""
    transform = RayTransform(case.geometry)
    u = image_for(case.geometry, case.batch)
    seen = transform(u)
    errors = []
    for v in (data_for(case.geometry, case.batch) - 0.5, seen):
        left, right = _inner(seen, v), _inner(u, transform.adjoint(v))
        errors.append(abs(left - right) / float(seen.double().norm() * v.double().norm()))
    return max(errors)


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a.double() * b.double()).sum())
