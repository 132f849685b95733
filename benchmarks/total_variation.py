"""Total variation to a relative gap of 1e-3, against ODL's primal-dual method with ASTRA.

    make peers
    .venv-peers/bin/python -m benchmarks.total_variation

Ours stops by its certificate, P(u) - D ≤ 1e-3 P(u), which proves what it returns. ODL has none: its
time is that of the iterations after which P is within 1e-3 of its value after 1000 iterations. On
128² all of them run; on large scans, where they take an hour, a few are timed, and their number is
that of the same iteration with our T.
Writes benchmarks/results/total_variation.json. One thread.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import torch
import typer

from benchmarks.against.odl_tv import NAME, OdlTotalVariation
from benchmarks.against.odl_tv import SHARE as SHARE_OF_GRADIENT
from benchmarks.against.stand_in import load
from benchmarks.harness.cases import LARGE, LODOPAB, SMALL, describe_scan
from benchmarks.harness.row import Row, table_of_rows
from benchmarks.harness.run import Benchmark
from benchmarks.harness.timing import running
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.solvers.tv import tv_reconstruction
from learnedrecon.solvers.tv_parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmarks.harness.run import Settings
    from learnedrecon.operators.ray.geometry2d import ParallelBeam

NOISE, GAP, TARGET = 0.025, 1e-3, 5.0
LONG, CHECK, TIMED = 1000, 25, 3
SHARE = 3e-3
"""α as a share of max|T*y|."""


class Solved(NamedTuple):
    """What one run of ours took."""

    seconds: float
    iterations: int
    value: float


def rows_of(settings: Settings) -> Iterator[Row]:
    """Every scan: with parts and without, and against ODL."""
    for geometry in (SMALL,) if settings.quick else (SMALL, LODOPAB, LARGE):
        running(1)()
        yield from _rows(geometry)


def _rows(geometry: ParallelBeam) -> Iterator[Row]:
    operator, data, alpha = problem(geometry)
    work = f"{describe_scan(geometry)}, 1 thread"
    ours, whole = solved(operator, data, alpha), solved(operator, data, alpha, parts=False)
    details: dict[str, Any] = {"alpha": alpha, "ours": ours._asdict(), "whole": whole._asdict()}

    def row(call: str, theirs: float | None, peer: str, target: float | None) -> Row:
        value = None if theirs is None else theirs / ours.seconds
        return Row(
            "tv", work, call, ours.seconds, theirs, "s", peer, value, target, details=details
        )

    text = f"{ours.iterations} passes, or iterations"
    yield row(text, whole.seconds, f"ours without parts, {whole.iterations} iterations", None)
    if load("astra") is None or load("odl") is None:
        yield row(text, None, f"{NAME} (missing)", TARGET)
        return
    peer = OdlTotalVariation(geometry, shepp_logan(geometry.shape).astype("float32"), NOISE, alpha)
    if geometry is SMALL:
        seconds, number = until_close(peer)
        yield row(text, seconds, f"{NAME}, {number} iterations", TARGET)
    else:
        number = close_after([float(value) for value in values(operator, data, alpha)])
        details["odl_seconds_per_iteration"] = peer.run(TIMED) / TIMED
        seconds = number * details["odl_seconds_per_iteration"]
        yield row(text, seconds, f"{NAME}, {number} iterations, {TIMED} of them timed", TARGET)


def problem(geometry: ParallelBeam) -> tuple[RayTransform, Tensor, float]:
    """T, noisy data of the Shepp-Logan phantom, and α."""
    operator = RayTransform(geometry)
    image = torch.from_numpy(shepp_logan(geometry.shape)).float()[None, None]
    clean = operator(image)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    data = clean + NOISE * clean.abs().mean() * noise
    return operator, data, SHARE * float(operator.adjoint(data).abs().max())


def solved(operator: RayTransform, data: Tensor, alpha: float, *, parts: bool = True) -> Solved:
    """Our solution, with the data in parts where they pay, or all of it at once."""
    chosen = parts_of if parts else lambda _: ()
    operator.norm()
    begun = time.perf_counter()
    with mock.patch("learnedrecon.solvers.tv.parts_of", chosen):
        found = tv_reconstruction(operator, data, alpha, gap=GAP, nonnegative=True)
    seconds = time.perf_counter() - begun
    assert bool(found.converged.all())
    return Solved(seconds, int(found.iterations.max()), float(found.objective.max()))


def until_close(peer: OdlTotalVariation) -> tuple[float, int]:
    """Seconds and iterations until P is within the gap of its value after many iterations."""
    seconds, found = [0.0], [peer.value()]
    for _ in range(LONG // CHECK):
        seconds.append(seconds[-1] + peer.run(CHECK))
        found.append(peer.value())
    number = close_after(found)
    return seconds[number // CHECK], number


def close_after(found: list[float]) -> int:
    """Iterations until P is within the gap of the last of its values."""
    last = found[-1]
    return CHECK * next(k for k, value in enumerate(found) if value - last <= GAP * value)


@torch.no_grad()
def values(operator: RayTransform, y: Tensor, alpha: float) -> Iterator[Tensor]:
    """P of the iterates of the method that ODL runs, with our T, every few iterations."""
    difference = FiniteDifference(operator.domain)
    norm = float(operator.norm())
    kappa = math.sqrt(SHARE_OF_GRADIENT) * norm / math.sqrt(8)
    size = float(operator.adjoint(y).norm()) / (norm**2 * math.sqrt(operator.domain.size))
    ratio = 0.1 * size / min(alpha / kappa, float(y.square().mean().sqrt()))
    whole = 1.01 * norm * math.sqrt(1 + SHARE_OF_GRADIENT)
    tau, sigma = ratio / whole, 1 / (ratio * whole)
    u = torch.zeros_like(operator.adjoint(y))
    ahead, p, q = u, torch.zeros_like(y), difference(u)
    for k in range(LONG + 1):
        if k % CHECK == 0:
            yield 0.5 * (operator(u) - y).square().sum() + alpha * _lengths(difference(u)).sum()
        p = (p + sigma * (operator(ahead) - y)) / (1 + sigma)
        q = q + sigma * kappa * difference(ahead)
        q = q / (_lengths(q) * kappa / alpha).clamp(min=1)
        moved = (u - tau * (operator.adjoint(p) + kappa * difference.adjoint(q))).clamp(min=0)
        u, ahead = moved, 2 * moved - u


def _lengths(q: Tensor) -> Tensor:
    return q.norm(dim=-3, keepdim=True)


BENCHMARK = Benchmark(
    "total_variation",
    {"tv": rows_of},
    lambda content: [table_of_rows(content["rows"])],
    peers=("astra-toolbox", "odl"),
)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
