"""Some steps with parameter groups, in one process or in each of two of gloo.

Started by the test, in two processes with the variables that torchrun sets: "file".
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from learnedrecon.training.accelerator import across_processes, make_accelerator
from learnedrecon.training.spec import OptimiserSpec, ScheduleSpec, TrainingSpec
from learnedrecon.training.update import Supervised

if TYPE_CHECKING:
    from accelerate import Accelerator

C = 0.3
GROUPS = {"reconstruction": {"image": 1 - C, "task": C}, "task": {"task": 1.0}, "problem": {}}
SAMPLES = 2
KINDS = ("groups", "one")


class Joint(torch.nn.Module):
    """An image, and a number for it that also depends on what is trained besides."""

    def __init__(self, tiny: Any, besides: torch.Tensor) -> None:
        super().__init__()
        self.reconstruction = tiny.Tiny(tiny.TinySpec(dropout=0.0, normalise=False))
        self.task = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(tiny.SIZE**2, 2))
        self.besides = [besides]  # no parameter of the model

    def forward(self, problem: Any) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.reconstruction(problem).image * self.besides[0]
        return image, self.task(image).tanh().sum(1)


def parts(output: tuple[torch.Tensor, torch.Tensor], batch: Any) -> dict[str, torch.Tensor]:
    image, score = output
    return {
        "image": (image - batch.truth).square().flatten(1).mean(1),
        "task": (score - batch.truth.flatten(1).mean(1)).square(),
    }


def trained(accelerator: Accelerator, *, grouped: bool) -> dict[str, torch.Tensor]:
    """The weights after four steps of two accumulated batches, all samples over all processes."""
    tiny = importlib.import_module("tiny")
    torch.manual_seed(4)
    besides = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    model = Joint(tiny, besides).double()
    groups = {**GROUPS, "problem": {"image": 0.5}} if grouped else None
    spec = TrainingSpec(
        steps=10,
        schedule=ScheduleSpec(kind="constant"),
        clip_norm=0.5,
        groups=groups,
        optimiser=OptimiserSpec(learning_rate=1e-2),
    )
    update = Supervised(
        model, loss=parts, spec=spec, accelerator=accelerator, tensors={"besides": besides}
    )
    shared = across_processes(model, accelerator)
    source = tiny.Source(dtype=torch.float64)
    own = range(accelerator.process_index, 2 * SAMPLES, accelerator.num_processes)
    halves = [list(own)[::2], list(own)[1::2]]
    for step in range(4):
        update(shared, [source.of(half) for half in halves], step=step)
    return {**model.state_dict(), "besides": besides.detach()}


def main() -> None:
    torch.set_num_threads(1)
    accelerator = make_accelerator(cpu=True)
    for kind in KINDS:
        found = trained(accelerator, grouped=kind == "groups")
        save_file(found, Path(sys.argv[1]).with_suffix(f".{kind}{accelerator.process_index}"))


if __name__ == "__main__":
    main()
