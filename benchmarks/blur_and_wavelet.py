"""Blurs and wavelets against deepinv's, forward and adjoint.

deepinv's wavelets are those of the package ptwt; where it is missing, the rows say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmarks.against import deepinv_imaging
from benchmarks.against.deepinv_imaging import Pair
from benchmarks.harness.cases import distance
from benchmarks.harness.row import absent, timed
from benchmarks.harness.timing import Contestant, interleaved, running, without_gradient
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from benchmarks.harness.row import Row
    from benchmarks.harness.run import Settings

SHAPE, BATCH = (256, 256), 8
TARGET = 1.0
BLURS = ((5, "circular"), (5, "valid"), (31, "circular"), (31, "valid"))
WAVELET, LEVELS = "db4", 3
TOLERANCE = 1e-5


def imaging_rows(settings: Settings) -> Iterator[Row]:
    """Blur by kernels of two sizes, and the wavelet transform with its inverse."""
    for size, boundary in BLURS:
        work = f"blur {size}x{size}, {boundary}, {_work(settings)}"
        if deepinv_imaging.missing():
            yield absent("imaging", work, "both", "deepinv (missing)", TARGET)
            continue
        kernel = torch.rand(size, size, generator=torch.Generator().manual_seed(0))
        kernel = kernel / kernel.sum()
        blur = Blur(PointSpread(SHAPE, kernel, boundary))  # type: ignore[arg-type]
        ours = Pair("ours", blur, blur.adjoint)
        yield from _rows(work, ours, deepinv_imaging.blurs(kernel, boundary, SHAPE), settings)
    work = f"wavelet {WAVELET}, {LEVELS} levels, {_work(settings)}"
    if found := deepinv_imaging.missing("ptwt"):
        peer = f"deepinv WaveletDenoiser with {' and '.join(found)} (missing)"
        yield absent("imaging", work, "both", peer, TARGET)
        return
    transform = Wavelet(WaveletBasis(SHAPE, WAVELET, LEVELS))
    ours = Pair("ours", transform, transform.adjoint)
    yield from _rows(work, ours, [deepinv_imaging.wavelet(WAVELET, LEVELS)], settings)


def _rows(work: str, ours: Pair, peers: list[Pair], settings: Settings) -> Iterator[Row]:
    images = torch.rand(BATCH, 1, *SHAPE, generator=torch.Generator().manual_seed(1))
    agreement = {peer.name: _difference(ours, peer, images) for peer in peers}
    for call, make in (("T, T*", _plain), ("T, T*, autograd", _with_autograd)):
        prepare = running(settings.threads)
        runs = [Contestant(pair.name, make(pair, images), prepare) for pair in (ours, *peers)]
        times = interleaved(runs, settings.budget)
        mine = times.pop("ours")
        best = min(times, key=lambda name: times[name].median)
        row = timed("imaging", work, call, times=(mine, times[best]), peer=best, target=TARGET)
        row.details["all"] = {name: found.to_plain() for name, found in times.items()}
        row.details["relative_difference"] = agreement
        yield row


def _plain(pair: Pair, images: Tensor) -> Callable[[], object]:
    return without_gradient(lambda u: pair.adjoint(pair.forward(u)), images)


def _with_autograd(pair: Pair, images: Tensor) -> Callable[[], object]:
    """T, and T* by the backward pass."""
    u = images.clone().requires_grad_()
    with torch.no_grad():
        cotangents = [torch.ones_like(part) for part in pair.data(pair.forward(images))]

    def run() -> object:
        return torch.autograd.grad(pair.data(pair.forward(u)), u, cotangents)

    return run


@torch.no_grad()
def _difference(ours: Pair, theirs: Pair, images: Tensor) -> float:
    """How far both are apart, relative to ours: T*T u, and T u where it is one tensor.

    Raises:
        ArithmeticError: they are not the same.
    """
    values = ours.forward(images), theirs.forward(images)
    pairs = [(ours.adjoint(values[0]), theirs.adjoint(values[1]))]
    if isinstance(values[1], torch.Tensor):
        pairs.append(values)
    found = max(distance(b, a) for a, b in pairs)
    if found > TOLERANCE:
        raise ArithmeticError(f"{theirs.name} differs from ours by {found}")
    return found


def _work(settings: Settings) -> str:
    return f"{BATCH} images of {SHAPE[0]}², float32, {settings.threads} threads"
