"""Trains in forked children, so that torch is imported once for all of them.

Reads lines "folder steps pause" from standard input; prints the child's process id at once and its
exit status when it has ended.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import torch


def main() -> None:
    tiny = importlib.import_module("tiny")
    torch.set_num_threads(1)
    torch.optim.Adam(tiny.Tiny(tiny.TinySpec()).parameters())
    for line in sys.stdin:
        folder, steps, pause = line.split()
        child = os.fork()
        if child == 0:
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
