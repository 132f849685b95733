"""Operators that are not linear."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.operators.algebra import ScaledArgument
from learnedrecon.operators.geometry import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.transmission import Transmission, TransmissionCT

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.geometry import Geometry

_SCANS: dict[str, Geometry] = {
    "parallel": ParallelBeam((10, 10), AngleRange(7), FlatDetector(15)),
    "one ray": ParallelBeam((3, 5), (0.3,), FlatDetector(1)),
    "wide": ParallelBeam((5, 12), AngleRange(6, start=0.2), FlatDetector(14, 1.1)),
    "fan": FanBeam((10, 10), AngleRange(6, arc=2 * math.pi), FlatDetector(16, 1.7), 40.0, 25.0),
}


def _transmission(scan: str, dtype: torch.dtype) -> Operator:
    return TransmissionCT(Transmission(_SCANS[scan], 0.07), dtype)


def _scaled(scale: float, dtype: torch.dtype) -> Operator:
    return ScaledArgument(TransmissionCT(Transmission(_SCANS["fan"], 0.02), dtype), scale)


def _scaled_per_sample(dtype: torch.dtype) -> tuple[Operator, Tensor]:
    inner = TransmissionCT(Transmission(_SCANS["fan"], 0.02), dtype)
    scale = torch.tensor([0.5, 2.0], dtype=dtype).reshape(2, 1, 1, 1)
    at = inner.domain.random(torch.Generator().manual_seed(0), (2, 1))
    return ScaledArgument(inner, scale), at


CASES: dict[str, Callable[[torch.dtype], Operator | tuple[Operator, Tensor]]] = {
    **{f"transmission_ct, {scan}": partial(_transmission, scan) for scan in _SCANS},
    "scaled argument, int": partial(_scaled, 3),
    "scaled argument, float": partial(_scaled, 0.25),
    "scaled argument, per sample": _scaled_per_sample,
}
