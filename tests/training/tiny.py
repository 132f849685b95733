"""A model, an operator and a source so small that a training step takes about a millisecond."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.data.batch import Batch
from learnedrecon.metrics import FixedRange
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.problem import Measured
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.specs import Entry, Registry
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.checkpoint import Blueprint
from learnedrecon.training.loop import TrainingResult, train
from learnedrecon.training.losses import Loss, SquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.spec import BatchSpec, CheckpointSpec, TrainingSpec
from learnedrecon.training.update import Supervised
from learnedrecon.training.validation import MeanPsnr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import Problem

SIZE = 6
IMAGES = 7


@dataclass(frozen=True)
class FadeSpec:
    """An operator that weakens every pixel by its own factor."""

    size: int = SIZE


class Fade(LinearOperator):
    def __init__(self, spec: FadeSpec) -> None:
        space = Space((spec.size, spec.size))
        super().__init__(space, space)
        weights = torch.linspace(0.5, 1.0, spec.size**2).reshape(spec.size, spec.size)
        self.register_buffer("weights", weights)
        self.weights: Tensor

    def evaluate(self, u: Tensor) -> Tensor:
        return self.weights.to(u.dtype) * u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.weights.to(v.dtype) * v


@dataclass(frozen=True)
class TinySpec:
    """Two convolutions, with all that is hard to resume: normalisation statistics and dropout."""

    width: int = 3
    dropout: float = 0.3
    normalise: bool = True


class Tiny(Reconstructor):
    def __init__(self, spec: TinySpec) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, spec.width, 3, padding=1)
        self.middle = nn.Sequential(
            nn.BatchNorm2d(spec.width) if spec.normalise else nn.Identity(),
            nn.Tanh(),
            nn.Dropout(spec.dropout),
        )
        self.last = nn.Conv2d(spec.width, 1, 3, padding=1)

    def forward(self, problem: Problem) -> Estimate:
        image = problem.adjoint(problem.data)
        return Estimate(image + self.last(self.middle(self.first(image))))


MODELS: Registry[Reconstructor] = MappingProxyType(
    {"tiny": Entry(TinySpec, Tiny, "for tests"), "thinner": Entry(FadeSpec, Tiny, "never built")}
)
OPERATORS: Registry[Operator] = MappingProxyType({"fade": Entry(FadeSpec, Fade, "for tests")})


class Source:
    """Batches of a few fixed images, shuffled anew in every epoch, by numbers alone.

    It disturbs the global generators on purpose: a loop must not let that show.
    """

    def __init__(self, size: int = 2, *, seed: int = 3, dtype: torch.dtype = torch.float32) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand(IMAGES, 1, SIZE, SIZE, generator=generator, dtype=dtype)
        self.operator = Fade(FadeSpec()).to(dtype)
        self.size = size
        self.seed = seed
        self.asked: list[int] = []

    def batches(self, start_step: int) -> Iterator[Batch]:
        torch.rand(start_step % 3 + 1)
        number = start_step
        while True:
            self.asked.append(number)
            yield self.of([self._image(number * self.size + k) for k in range(self.size)])
            number += 1

    def of(self, numbers: list[int]) -> Batch:
        truth = self.images[numbers]
        problem = Measured(self.operator, self.operator(truth))
        return Batch(problem, truth, None, tuple(f"image-{k}" for k in numbers))

    def _image(self, position: int) -> int:
        epoch, place = divmod(position, IMAGES)
        generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
        return int(torch.randperm(IMAGES, generator=generator)[place])


def spec_of(steps: int) -> TrainingSpec:
    """All that could break exact resumption at once."""
    return TrainingSpec(
        steps=steps,
        batch=BatchSpec(size=2, accumulate=2, repeats=3),
        average=0.9,
        validate_every=4,
        log_every=1,
        checkpoint=CheckpointSpec(every=5, seconds=None),
        seed=11,
    )


def folder(path: Path, spec: TrainingSpec) -> RunFolder:
    blueprint = Blueprint.of(TinySpec(), FadeSpec(), models=MODELS, operators=OPERATORS)
    return RunFolder.start(path, config={"seed": spec.seed}, blueprint=blueprint)


def fit(
    path: Path, spec: TrainingSpec, *, source: Source | None = None, loss: Loss | None = None
) -> TrainingResult:
    """A whole run, or the rest of one."""
    torch.manual_seed(5)
    model = Tiny(TinySpec())
    source = source or Source()
    validation = [Source(seed=99).of([0, 1]), Source(seed=99).of([2])]
    update = Supervised(
        model, loss=loss or SquaredError(), spec=spec, accelerator=make_accelerator(cpu=True)
    )
    return train(
        model=model,
        source=source,
        update=update,
        run=folder(path, spec),
        spec=spec,
        validate=MeanPsnr(lambda: validation, FixedRange(1.0)),
    )
