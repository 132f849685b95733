"""FFT-SENSE: forward and adjoint, against deepinv, SigPy and the bare transform.

The bare transform is `torch.fft.fft2` and `ifft2` of a contiguous array of all coils, without
shifts, maps and mask: what the two FFTs alone take. With autograd, the time is that of A*A u and of
its gradient in u, for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks.against.sense_peers import sense_peers
from benchmarks.harness.cases import distance
from benchmarks.harness.row import absent, timed
from benchmarks.harness.timing import Contestant, interleaved, running, without_gradient
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from benchmarks.harness.row import Row
    from benchmarks.harness.run import Settings
    from benchmarks.harness.timing import Timing

COILS, SIZE = 15, 320
FASTER, LIMIT, AGREE = 1.0, 1.5, 1e-4
OURS, BARE = "ours", "torch.fft.fft2 + ifft2, bare"


def mri_rows(settings: Settings) -> Iterator[Row]:
    """Random points and 4x lines, without autograd and with it."""
    for name, mask in _masks().items():
        for autograd in (False, True):
            yield from _compare(name, mask, settings, autograd=autograd)


def _masks() -> dict[str, Tensor]:
    """A quarter of k-space at random; a quarter of the lines with 24 in the middle."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(SIZE, SIZE, generator=generator) < 0.25
    outside = torch.cat([torch.arange(148), torch.arange(172, SIZE)])
    lines = torch.zeros(SIZE, dtype=torch.bool)
    lines[148:172] = True
    lines[outside[torch.randperm(len(outside), generator=generator)[: SIZE // 4 - 24]]] = True
    return {"random 2D mask": points, "4x lines": lines.expand(SIZE, SIZE)}


def _compare(name: str, mask: Tensor, settings: Settings, *, autograd: bool) -> Iterator[Row]:
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(COILS, SIZE, SIZE, dtype=torch.complex64, generator=generator)
    maps /= maps.abs().square().sum(0).sqrt()
    u = torch.randn(SIZE, SIZE, dtype=torch.complex64, generator=generator)
    operator = CartesianMRI(Cartesian((SIZE, SIZE), coils=COILS), mask, maps)
    peers, missing = sense_peers(mask, maps, u)
    expected = operator.adjoint(operator(u))
    for peer in peers:
        _require_equal(peer.name, peer.result(peer.both(peer.image)), expected)
    runs: dict[str, Callable[[Any], Any]] = {
        OURS: lambda x: operator.adjoint(operator(x)),
        BARE: lambda x: torch.fft.ifft2(torch.fft.fft2(x)),
    }
    inputs: dict[str, Any] = {OURS: u[None, None], BARE: maps.clone()}
    if autograd:
        runs |= {peer.name: peer.differentiable for peer in peers}
        inputs |= {peer.name: peer.tensor for peer in peers}
        calls = {key: _with_gradient(runs[key], inputs[key]) for key in runs}
    else:
        runs |= {peer.name: peer.both for peer in peers}
        inputs |= {peer.name: peer.image for peer in peers}
        calls = {key: without_gradient(runs[key], inputs[key]) for key in runs}
    prepare = running(settings.threads)
    contestants = [Contestant(key, call, prepare) for key, call in calls.items()]
    times = interleaved(contestants, settings.budget)
    call = "A*A u and its gradient" if autograd else "A*A u"
    work = f"SENSE, {COILS} coils, {SIZE}², {name}, {settings.threads} threads"
    yield from _rows(work, call, times, missing)


def _rows(work: str, call: str, times: dict[str, Timing], missing: list[str]) -> Iterator[Row]:
    ours, bare = times[OURS], times[BARE]
    peers = [key for key in times if key not in {OURS, BARE}]
    if peers:
        best = min(peers, key=lambda key: times[key].median)
        for key in peers:
            target = FASTER if key == best else None
            pair = (ours, times[key])
            yield timed("mri", work, call, times=pair, peer=key, target=target)
    for peer in missing:
        yield absent("mri", work, call, f"{peer} (missing)", FASTER)
    pair = (ours, bare)
    yield timed("mri", work, call, times=pair, peer=BARE, target=LIMIT, at_most=True)


def _with_gradient(act: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    leaf = x.clone().requires_grad_()
    cotangent = torch.randn_like(act(leaf))

    def run() -> None:
        torch.autograd.grad(act(leaf), leaf, cotangent)

    return run


def _require_equal(name: str, found: Tensor, expected: Tensor) -> None:
    error = distance(found, expected)
    if not error < AGREE:
        raise AssertionError(f"{name} computes something else: relative difference {error:.2g}")
