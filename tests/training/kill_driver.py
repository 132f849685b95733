"""Trains in forked children, so that torch is imported once for all of them.

Reads lines "folder steps moments" from standard input and prints the exit status of the child when
it has ended. A moment is a batch that is asked for or a written piece of a file; after as many
moments the child kills itself, never where their number is 0. So the same places are hit on a busy
machine as on an idle one.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from learnedrecon.weights import tensorfile

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

    from learnedrecon.data.batch import Batch

PIECES = 10


class Countdown:
    """Kills this process at a moment.

    Args:
        moments: how many pass; 0 for all.
    """

    def __init__(self, moments: int) -> None:
        self.left = moments

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def save(self, tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
        """A weights file in pieces, each of them on the disk."""
        data = save(tensors, metadata)
        with Path(path).open("wb", buffering=0) as file:
            for k in range(PIECES):
                file.write(data[k * len(data) // PIECES : (k + 1) * len(data) // PIECES])
                self()


def train(tiny: ModuleType, folder: Path, steps: int, moments: int) -> None:
    """Trains in this process, until its moment has come."""
    count = Countdown(moments)
    vars(tensorfile)["save_file"] = count.save
    source = tiny.Source()
    batch_of = source.of

    def counted(numbers: list[int]) -> Batch:
        count()
        return batch_of(numbers)

    source.of = counted
    tiny.fit(folder, tiny.spec_of(steps), source=source)


def main() -> None:
    tiny = importlib.import_module("tiny")
    torch.set_num_threads(1)
    torch.optim.Adam(tiny.Tiny(tiny.TinySpec()).parameters())
    for line in sys.stdin:
        folder, steps, moments = line.split()
        child = os.fork()
        if child == 0:
            train(tiny, Path(folder), int(steps), int(moments))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
