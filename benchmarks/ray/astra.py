"""Parallel and fan beams against ASTRA's CPU projectors: times, and whether numbers agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmarks.against import astra_toolbox
from benchmarks.against.astra_toolbox import AstraProjector, with_autograd
from benchmarks.against.stand_in import load
from benchmarks.harness.cases import (
    FAN,
    LARGE,
    LODOPAB,
    SMALL,
    call_of,
    data_for,
    describe_scan,
    distance,
    image_for,
    threads_text,
    updates,
)
from benchmarks.harness.row import Row, timed
from benchmarks.harness.timing import Contestant, interleaved, running
from learnedrecon.kernels import joseph
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from benchmarks.harness.run import Settings
    from learnedrecon.operators.ray.geometry2d import Geometry

TARGETS = {
    "forward": {"all threads": 50.0, "one thread": 25.0, "batch 8": 50.0, "avx2": 10.0},
    "adjoint": {"all threads": 25.0, "one thread": 12.0, "batch 8": 30.0, "avx2": 7.0},
}
FAN_TARGET, AGREEMENT = 25.0, 1e-4
SMALL_TARGETS = {1: 10.0, 8: 20.0}
BATCH = 8


def main_rows(settings: Settings) -> Iterator[Row]:
    """Two parallel scans: all threads, one thread, a batch, and without AVX-512."""
    for geometry in (LODOPAB, LARGE):
        for call in ("forward", "adjoint"):
            yield from _parallel(settings, geometry, call)


def fan_rows(settings: Settings) -> Iterator[Row]:
    """A fan beam against `line_fanflat`, whose weights are the lengths in pixels."""
    for call in ("forward", "adjoint"):
        projector, theirs = _their(FAN, call)
        ours = Contestant("ours", call_of(FAN, call), running(settings.threads))
        times = interleaved([ours, *theirs], settings.budget)
        yield timed(
            "fan",
            f"{describe_scan(FAN)}, batch 1, {threads_text(settings.threads)}",
            call,
            times=(times["ours"], times.get("theirs")),
            peer=_name(projector, "line_fanflat"),
            target=FAN_TARGET,
        ).updating(updates(FAN.rays()))
        _close(projector)


def small_rows(settings: Settings) -> Iterator[Row]:
    """A small scan called from Python: value and gradient of ½‖Tu‖² by autograd."""
    transform = RayTransform(SMALL)
    projector = _projector(SMALL)
    for batch, target in SMALL_TARGETS.items():
        image = image_for(SMALL, batch).requires_grad_()
        contestants = [
            Contestant("ours", _gradient(transform, image), running(settings.threads)),
        ]
        if projector is not None:
            theirs = _gradient(lambda u: with_autograd(projector, u), image)
            contestants.append(Contestant("theirs", theirs, running(settings.threads)))
        times = interleaved(contestants, settings.budget)
        yield timed(
            "small",
            f"{describe_scan(SMALL)}, batch {batch}, {threads_text(settings.threads)}",
            "forward + gradient",
            times=(times["ours"], times.get("theirs")),
            peer=_name(projector, "linear") + " through autograd",
            target=target,
        ).updating(2 * batch * updates(SMALL.rays()))
    _close(projector)


def _parallel(settings: Settings, geometry: Geometry, call: str) -> Iterator[Row]:
    conditions: dict[str, tuple[int, int, str | None]] = {
        "all threads": (1, settings.threads, None),
        "one thread": (1, 1, None),
        f"batch {BATCH}": (BATCH, settings.threads, None),
    }
    if "avx2" in joseph.available_isas():
        conditions["avx2"] = (1, settings.threads, "avx2")
    projector, theirs = _their(geometry, call)
    ours = [
        Contestant(name, call_of(geometry, call, batch), running(threads, isa))
        for name, (batch, threads, isa) in conditions.items()
    ]
    times = interleaved([*ours, *theirs], settings.budget)
    once = times.get("theirs")
    joseph.set_isa(None)
    torch.set_num_threads(settings.threads)
    for name, (batch, threads, isa) in conditions.items():
        words = [f"batch {batch}", threads_text(threads)]
        yield timed(
            f"parallel, {name}",
            ", ".join([describe_scan(geometry), *words, isa or joseph.current_isa() or "oracle"]),
            call,
            times=(times[name], once.repeated(batch) if once else None),
            peer=_name(projector, "linear") + (f", {batch} calls" if batch > 1 else ""),
            target=TARGETS[call][name],
        ).updating(batch * updates(geometry.rays()))
    _close(projector)


def _their(geometry: Geometry, call: str) -> tuple[AstraProjector | None, list[Contestant]]:
    projector = _projector(geometry)
    if projector is None:
        return None, []
    projector.image[:] = image_for(geometry)[0, 0].numpy()
    projector.data[:] = data_for(geometry)[0, 0].numpy()
    run = projector.forward if call == "forward" else projector.adjoint
    return projector, [Contestant("theirs", run)]


def _gradient(transform: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        data = transform(image)
        return torch.autograd.grad(data, image, data.detach())[0]

    return run


def _projector(geometry: Geometry) -> AstraProjector | None:
    return None if load("astra") is None else AstraProjector(geometry)


def _name(projector: AstraProjector | None, kind: str) -> str:
    return f"{astra_toolbox.NAME} {kind} (missing)" if projector is None else projector.name


def _close(projector: AstraProjector | None) -> None:
    if projector is not None:
        projector.close()


def agreement_rows(settings: Settings) -> Iterator[Row]:
    """‖ours - theirs‖ / ‖ours‖ for random images and data; both are Joseph's method.

    The distance of each from our float64 path, which the tests hold to the dense matrix, says whose
    rounding the difference is.
    """
    for full in (LODOPAB, LARGE):
        geometry = settings.sized(full)
        for call in ("forward", "adjoint"):
            missing = load("astra") is None
            distances = {} if missing else _distances(geometry, call)
            yield Row(
                "agreement", describe_scan(geometry), f"{call}, relative difference",
                ours=distances.get("ours from float64"),
                theirs=distances.get("theirs from float64"), unit="from float64",
                peer=f"{astra_toolbox.NAME} linear{' (missing)' if missing else ''}",
                value=distances.get("ours from theirs"), target=AGREEMENT, at_most=True
            )  # fmt: skip


def _distances(geometry: Geometry, call: str) -> dict[str, float]:
    transform, projector = RayTransform(geometry), AstraProjector(geometry)
    if call == "forward":
        image = image_for(geometry)[0, 0]
        projector.image[:] = image.flip(0).numpy()
        projector.forward()
        ours, theirs = transform(image), torch.from_numpy(projector.data.copy())
        exact = transform(image.double())
    else:
        data = data_for(geometry)[0, 0]
        projector.data[:] = data.numpy()
        projector.adjoint()
        ours = transform.adjoint(data)
        theirs = torch.from_numpy(projector.image.copy()).flip(0)
        exact = transform.adjoint(data.double())
    projector.close()
    return {
        "ours from theirs": distance(theirs, ours),
        "ours from float64": distance(ours, exact),
        "theirs from float64": distance(theirs, exact),
    }
