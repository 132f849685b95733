"""Block sizes and launches of Triton kernels."""

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
    """The block sizes of one program; powers of two, tuned by benchmarks/gpu.py.

    Attributes:
        lanes: Number of images in a group, which share positions and weights.
        angles: Number of angles in a tile of rays.
        detectors: Number of detector pixels in a tile of rays.
        rows: Number of rows in a tile of pixels.
        columns: Number of columns in a tile of pixels.
        warps: Number of warps of 32 threads in a program.
    """

    lanes: int
    angles: int
    detectors: int
    rows: int
    columns: int
    warps: int = 4


class Launch(NamedTuple):
    """A Triton kernel with everything for its launch.

    Attributes:
        kernel: Compiled function.
        grid: Numbers of programs along each axis.
        arguments: Arguments at run time, by name.
        constants: Arguments at compile time, by name.
        warps: Number of warps of 32 threads in a program.
        fused: True if the compiler may fuse multiplications and additions.
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    constants: dict[str, Any]
    warps: int = 4
    fused: bool = True
    """True if products and sums may be fused, which rounds once instead of twice."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of the compiler."""
        return {"num_warps": self.warps, "enable_fp_fusion": self.fused}

    def run(self, device: torch.device) -> None:
        """Launches the kernel on a device."""
        if min(self.grid) < 1:
            return
        with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
            self.kernel[self.grid](**self.arguments, **self.constants, **self.options)


def runs_on(device: torch.device) -> bool:
    """True where Triton is installed and compiles for this device, or interprets on the CPU.

    Args:
        device: Device of the tensors.
    """
    if device.type == "cuda":
        return _installed()
    interprets = device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return interprets and _installed()


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums and results: float64 for float64, float32 for all others.

    Args:
        dtype: Dtype of the input.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def lanes_for(batch: int) -> int:
    """The number of images in a group: all of a small batch, otherwise 32, which fill a cache line.

    Args:
        batch: Number of images.
    """
    return min(1 << max(batch - 1, 0).bit_length(), 32)


def in_groups(tensor: Tensor, axes: int) -> Tensor:
    """A tensor (batch, ...) with its last `axes` axes unchanged, contiguous.

    Args:
        tensor: Tensor with any leading axes.
        axes: Number of last axes.
    """
    batch = math.prod(tensor.shape[:-axes])
    plain = tensor.detach().resolve_neg()
    return plain.reshape(batch, *tensor.shape[-axes:]).contiguous()


def ceil_div(a: int, b: int) -> int:
    """⌈a / b⌉ for b > 0.

    Args:
        a: Dividend.
        b: Divisor, positive.
    """
    return -(-a // b)


def without(arguments: dict[str, Any], *names: str) -> dict[str, Any]:
    """Arguments without some names.

    Args:
        arguments: Arguments by name.
        names: Names to omit.
    """
    return {name: value for name, value in arguments.items() if name not in names}


def power_of_two(length: float) -> float:
    """The power of two just above a length: as a unit it gives numbers near 1, without rounding.

    Args:
        length: Positive length.
    """
    return math.ldexp(1.0, math.frexp(length)[1])
