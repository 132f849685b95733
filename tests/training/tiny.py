"""A model, an operator and a source so small that a training step takes about a millisecond."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from learnedrecon.data.batch import Batch
from learnedrecon.metrics import FixedRange
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
from learnedrecon.specs import Entry, Registry
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.loop import BatchSource, TrainingResult, train
from learnedrecon.training.losses import Loss, SquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.spec import BatchSpec, CheckpointSpec, TrainingSpec
from learnedrecon.training.update import Supervised
from learnedrecon.training.validation import MeanPsnr
from learnedrecon.weights.checkpoint import Blueprint
from learnedrecon.weights.tensorfile import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import Problem
    from learnedrecon.training.loggers import Logger

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

    def __init__(
        self,
        size: int = 2,
        *,
        seed: int = 3,
        pause: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand(IMAGES, 1, SIZE, SIZE, generator=generator, dtype=dtype)
        self.operator = Fade(FadeSpec()).to(dtype)
        self.size = size
        self.seed = seed
        self.pause = pause
        self.asked: list[int] = []

    def batches(self, start_step: int) -> Iterator[Batch]:
        torch.rand(start_step % 3 + 1)
        number = start_step
        while True:
            self.asked.append(number)
            time.sleep(self.pause)
            yield self.of([self._image(number * self.size + k) for k in range(self.size)])
            number += 1

    def of(self, numbers: list[int]) -> Batch:
        truth = self.images[numbers]
        problem = InverseProblem(self.operator, self.operator(truth))
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
        channels_last=False,
    )


def blueprint() -> Blueprint:
    return Blueprint.of(TinySpec(), FadeSpec(), models=MODELS, operators=OPERATORS)


def folder(path: Path, spec: TrainingSpec) -> RunFolder:
    return RunFolder.start(path, config={"seed": spec.seed}, blueprint=blueprint())


class StopAt:
    """The squared error, during whose evaluation number ``call`` ctrl-C is pressed."""

    def __init__(self, call: int, number: signal.Signals = signal.SIGINT) -> None:
        self.calls = 0
        self.call = call
        self.number = number

    def __call__(self, estimate: Estimate, batch: Batch) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.call:
            signal.raise_signal(self.number)
        return SquaredError()(estimate, batch)


def validation() -> MeanPsnr:
    """On images of its own, in batches of unequal size."""
    source = Source(seed=99)
    return MeanPsnr(lambda: [source.of([0, 1]), source.of([2])], FixedRange(1.0))


def fit(
    path: Path,
    spec: TrainingSpec,
    *,
    source: BatchSource | None = None,
    loss: Loss | None = None,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    loggers: Sequence[Logger] = (),
) -> TrainingResult:
    """A whole run, or the rest of one."""
    run = folder(path, spec)
    return fit_in(run, spec, source=source, loss=loss, validate=validate, loggers=loggers)


def fit_in(
    run: RunFolder,
    spec: TrainingSpec,
    *,
    source: BatchSource | None = None,
    loss: Loss | None = None,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    loggers: Sequence[Logger] = (),
) -> TrainingResult:
    """The same in a folder that has been started."""
    torch.manual_seed(5)
    model = Tiny(TinySpec())
    accelerator = make_accelerator(spec.precision, cpu=True)
    update = Supervised(model, loss=loss or SquaredError(), spec=spec, accelerator=accelerator)
    return train(
        model=model,
        source=source or Source(),
        update=update,
        run=run,
        spec=spec,
        validate=validate or validation(),
        loggers=loggers,
    )


def records(path: Path) -> list[dict[str, Any]]:
    """The metrics of a run without its times."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, optimiser, generators, progress and metrics are equal bit for bit."""
    assert records(one) == records(other)
    for name in ("last", "best"):
        a, content_a = read_tensors(one / "checkpoints" / f"{name}.safetensors")
        b, content_b = read_tensors(other / "checkpoints" / f"{name}.safetensors")
        assert content_a == content_b
        assert a.keys() == b.keys()
        different = [key for key in a if not torch.equal(a[key], b[key])]
        assert not different
