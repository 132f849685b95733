"""Trains in forked children, so that torch is imported once for all of them.

Reads lines "folder steps pause" from standard input; prints the child's process id at once and its
exit status when it has ended. With a pause, data and files come slowly, so that most of the time
some file is half written.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from learnedrecon.weights import tensorfile

if TYPE_CHECKING:
    from torch import Tensor

PIECES = 10


def save_slowly(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    data = save(tensors, metadata)
    with Path(path).open("wb", buffering=0) as file:
        for k in range(PIECES):
            file.write(data[k * len(data) // PIECES : (k + 1) * len(data) // PIECES])
            time.sleep(0.008)


def main() -> None:
    tiny = importlib.import_module("tiny")
    torch.set_num_threads(1)
    torch.optim.Adam(tiny.Tiny(tiny.TinySpec()).parameters())
    for line in sys.stdin:
        folder, steps, pause = line.split()
        child = os.fork()
        if child == 0:
            if float(pause):
                vars(tensorfile)["save_file"] = save_slowly
            source = tiny.Source(pause=float(pause))
            tiny.fit(Path(folder), tiny.spec_of(int(steps)), source=source)
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
