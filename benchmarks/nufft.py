"""Non-Cartesian MRI against SigPy.

Both sides have their defaults: SigPy's transform errs by about 1e-3, which a row shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmarks.against import sigpy_nufft
from benchmarks.against.sigpy_nufft import SigPyTransform
from benchmarks.against.stand_in import load
from benchmarks.harness.cases import distance, threads_text
from benchmarks.harness.row import Row, timed
from benchmarks.harness.timing import Contestant, Timing, interleaved, running
from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.mri.trajectories import Radial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from benchmarks.harness.run import Settings

PART = "non-Cartesian MRI"
SIZE, SPOKES, SAMPLES = 256, 64, 512
COILS = (None, 8)


def non_cartesian_rows(settings: Settings) -> Iterator[Row]:
    """T, T* and T*T of a radial scan, without coils and with eight; accuracy."""
    for coils in COILS:
        operator = scan(coils)
        work = describe(coils)
        conditions = f"{work}, {threads_text(settings.threads)}"
        yield from _time_rows(operator, conditions, settings)
        yield _accuracy(operator, work)


def scan(coils: int | None) -> NonCartesianMRI:
    """A golden-angle scan in complex64, with random maps."""
    maps = None if coils is None else _random(coils, SIZE, SIZE, seed=2)
    return NonCartesianMRI(NonCartesian((SIZE, SIZE), Radial(SPOKES, SAMPLES), coils), maps)


def describe(coils: int | None) -> str:
    """Such as '256², 64 spokes × 512, 8 coils'."""
    text = f"{SIZE}², {SPOKES} spokes × {SAMPLES}"
    return text if coils is None else f"{text}, {coils} coils"


def _time_rows(operator: NonCartesianMRI, work: str, settings: Settings) -> Iterator[Row]:
    image, data = _random(SIZE, SIZE), _random(*operator.codomain.shape, seed=1)
    normal = operator.normal()
    ours: dict[str, Callable[[], object]] = {
        "T": lambda: operator(image),
        "T*": lambda: operator.adjoint(data),
        "T*T": lambda: operator.adjoint(operator(image)),
        "T*T, Toeplitz": lambda: normal(image),
    }
    theirs: dict[str, Callable[[], object]] = {}
    if load("sigpy") is not None:
        peer = SigPyTransform(operator)
        theirs = {
            "T": lambda: peer.forward(image),
            "T*": lambda: peer.adjoint(data),
            "T*T": lambda: peer.adjoint(peer.forward(image)),
        }
    prepare = running(settings.threads)
    contestants = [Contestant(f"ours {name}", run, prepare) for name, run in ours.items()]
    contestants += [Contestant(f"theirs {name}", run, prepare) for name, run in theirs.items()]
    with torch.no_grad():
        times = interleaved(contestants, settings.budget)
    for call in ours:
        yield _row(work, call, times, f"theirs {call.split(',')[0]}", sigpy_nufft.NAME)
    yield _row(work, "T*T, Toeplitz", times, "ours T*T", "ours, T.H @ T")


def _row(work: str, call: str, times: Mapping[str, Timing], key: str, peer: str) -> Row:
    mine, other = times[f"ours {call}"], times.get(key)
    name = peer if other is not None else f"{peer} (missing)"
    return timed(PART, work, call, times=(mine, other), peer=name, target=None)


def _accuracy(operator: NonCartesianMRI, work: str) -> Row:
    """‖T u - exact‖/‖exact‖ for a random image; exact is ours in double precision."""
    image = _random(SIZE, SIZE)
    wide = NonCartesianMRI(operator.scan, operator.maps, torch.complex128)
    exact = wide(image.to(torch.complex128))
    mine = distance(operator(image), exact)
    missing = load("sigpy") is None
    other = None if missing else distance(SigPyTransform(operator).forward(image), exact)
    return Row(
        PART, work, "T, relative error", ours=mine, theirs=other, unit="from float64",
        peer=f"{sigpy_nufft.NAME}{' (missing)' if missing else ''}",
        value=None if other is None else other / mine, target=None
    )  # fmt: skip


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
