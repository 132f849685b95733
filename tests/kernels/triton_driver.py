"""Runs calls of the Triton kernels in a process of its own, where Triton interprets.

Whether Triton compiles or interprets is decided when it is imported, for the whole process.
"""

from __future__ import annotations

import importlib
import sys
from typing import NamedTuple

import torch

from learnedrecon.kernels.sizes import Sizes


class Call(NamedTuple):
    """`module.function(tensor, vectors, sizes, storage=storage, blocks=blocks)`."""

    function: str
    tensor: torch.Tensor
    vectors: torch.Tensor
    sizes: tuple[object, ...]
    storage: torch.dtype | None = None
    blocks: tuple[object, ...] | None = None


def result(module: str, call: Call) -> torch.Tensor:
    kernels = importlib.import_module(f"learnedrecon.kernels.{module}")
    kind = kernels.Blocks if module == "triton2d" else kernels.Blocks3D
    blocks = None if call.blocks is None else kind(*call.blocks)
    apply = getattr(kernels, call.function)
    sizes = Sizes(*call.sizes)  # type: ignore[arg-type]  # a plain tuple, which torch saves
    return apply(call.tensor, call.vectors, sizes, storage=call.storage, blocks=blocks)


def main(module: str, source: str, target: str) -> None:
    torch.set_num_threads(1)
    calls = torch.load(source)
    torch.save([result(module, Call(*call)) for call in calls], target)


if __name__ == "__main__":
    main(*sys.argv[1:])
