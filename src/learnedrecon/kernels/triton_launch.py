"""What the launchers of the Triton kernels share: which blocks, and how a kernel is started."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

STORAGES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""The types of the elements that the kernels read and write."""


class Blocks(NamedTuple):
    """The sizes of the blocks that one program works on; powers of two, tuned by benchmarks/gpu.py.

    Attributes:
        lanes: the images of a group, which share positions and weights.
        angles: of a tile of rays.
        detectors: of a tile of rays.
        rows: of a tile of pixels.
        columns: of a tile of pixels.
        warps: of 32 threads, in a program.
    """

    lanes: int
    angles: int
    detectors: int
    rows: int
    columns: int
    warps: int = 4


class Launch(NamedTuple):
    """A kernel with everything that it is started with."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    constants: dict[str, Any]
    warps: int = 4
    fused: bool = True
    """Whether products and sums may be fused, which rounds once instead of twice."""

    @property
    def options(self) -> dict[str, Any]:
        """What the compiler is told."""
        return {"num_warps": self.warps, "enable_fp_fusion": self.fused}

    def run(self, device: torch.device) -> None:
        """Starts the kernel on a device."""
        if min(self.grid) < 1:
            return
        with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
            self.kernel[self.grid](**self.arguments, **self.constants, **self.options)


def runs_on(device: torch.device) -> bool:
    """Whether Triton is installed and compiles for this device, or interprets on the CPU."""
    if device.type == "cuda":
        return _installed()
    interprets = device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return interprets and _installed()


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The type of the sums, and of what comes out: float64 for float64, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def lanes_for(batch: int) -> int:
    """The images of a group: all of a small batch, else 32, which fill a cache line."""
    return min(1 << max(batch - 1, 0).bit_length(), 32)


def in_groups(tensor: Tensor, axes: int) -> Tensor:
    """(batch, ...) with the last `axes` axes as they are, contiguous."""
    batch = math.prod(tensor.shape[:-axes])
    plain = tensor.detach().resolve_neg()
    return plain.reshape(batch, *tensor.shape[-axes:]).contiguous()


def ceil_div(a: int, b: int) -> int:
    """⌈a / b⌉ for b > 0."""
    return -(-a // b)


def without(arguments: dict[str, Any], *names: str) -> dict[str, Any]:
    """Some of the arguments."""
    return {name: value for name, value in arguments.items() if name not in names}


def power_of_two(length: float) -> float:
    """The power of two just above a length: as a unit it makes numbers near 1, without rounding."""
    return math.ldexp(1.0, math.frexp(length)[1])
