"""What runs in processes of its own: one training step each, or all that take turns."""

from __future__ import annotations

import gc
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.depth.schemes import CASES, TIMED, TrainingStep
from benchmarks.harness import memory
from benchmarks.harness.timing import Budget, Contestant, interleaved
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Iterable

SCANS = {
    "256": ParallelBeam((256, 256), AngleRange(180), FlatDetector(363)),
    "512": ParallelBeam((512, 512), AngleRange(720), FlatDetector(725)),
    "tiny": ParallelBeam((16, 16), AngleRange(12), FlatDetector(23)),
}


class _Saved:
    """A tensor that autograd has saved, for as long as it is."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def one_step(case: str, depth: int, scan: str) -> dict[str, Any]:
    """The memory of one training step, counted twice, in bytes.

    Returns:
        step_bytes, the peak of resident memory over what was resident before the step;
        held_bytes, the storages alive between forward and backward that were not before, other
        than the loss; kept_bytes, weights, gradients and moments; peak_bytes, the whole process.
    """
    logging.getLogger("learnedrecon").setLevel(logging.ERROR)  # iterations are cut off on purpose
    build = CASES[case].build
    TrainingStep(build, 2, RayTransform(SCANS["tiny"]))()
    step = TrainingStep(build, depth, RayTransform(SCANS[scan]))
    memory.tidy()
    there = set(_storages(_tensors()))
    saved: weakref.WeakSet[_Saved] = weakref.WeakSet()

    def pack(tensor: Tensor) -> _Saved:
        holder = _Saved(tensor)
        saved.add(holder)
        return holder

    before = memory.resident()
    memory.forget_peak()
    begun = time.perf_counter()
    with saved_tensors_hooks(pack, lambda holder: holder.tensor):
        loss = step.loss()
    alive = _storages([*_tensors(), *(holder.tensor for holder in saved)])
    held = {key: size for key, size in alive.items() if key not in there}
    held.pop(loss.untyped_storage().data_ptr(), None)
    step.finish(loss)
    return {
        "step_bytes": memory.peak() - before,
        "held_bytes": sum(held.values()),
        "kept_bytes": step.kept_bytes(),
        "peak_bytes": memory.peak(),
        "before_bytes": before,
        "step_s": time.perf_counter() - begun,
    }


def _tensors() -> Iterable[Tensor]:
    """All that Python knows of."""
    gc.collect()
    return [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]


def _storages(tensors: Iterable[Tensor]) -> dict[int, int]:
    """Addresses and bytes, each storage once."""
    stores = [tensor.untyped_storage() for tensor in tensors if tensor.layout == torch.strided]
    return {store.data_ptr(): store.nbytes() for store in stores}


def in_turns(depth: int, rounds: int) -> dict[str, Any]:
    """Seconds of a training step of every way, one after the other."""
    operator = RayTransform(SCANS["256"])
    contestants = [
        Contestant(name, TrainingStep(build, depth, operator)) for name, build in TIMED.items()
    ]
    times = interleaved(contestants, Budget(rounds=rounds, turn=0.0, seconds=240.0))
    return {name: list(one.samples) for name, one in times.items()}
