"""Begins and ends a run in each of two processes of gloo, ten times over.

Started twice by the test, with the variables that torchrun sets: "folder times".
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import torch

from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.loop import train
from learnedrecon.training.losses import DeepSupervision, SquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.update import Supervised


def main() -> None:
    tiny = importlib.import_module("tiny")
    torch.set_num_threads(1)
    folder, times = Path(sys.argv[1]), int(sys.argv[2])
    accelerator = make_accelerator(cpu=True)
    for number in range(times):
        spec = tiny.spec_of(3)
        run = RunFolder.start(
            folder / f"run{number}",
            config={"seed": spec.seed},
            blueprint=tiny.blueprint(),
            exclusive=accelerator.is_main_process,
        )
        torch.manual_seed(5)
        model = tiny.Tiny(tiny.TinySpec())
        loss = SquaredError() if number % 2 else DeepSupervision()
        update = Supervised(model, loss=loss, spec=spec, accelerator=accelerator)
        result = train(
            model=model,
            source=tiny.Source(seed=accelerator.process_index),
            update=update,
            run=run,
            spec=spec,
            validate=tiny.validation(),
        )
        total = sum(p.detach().double().sum().item() for p in model.parameters())
        sys.stdout.write(f"{number} {result.step} {total.hex()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
