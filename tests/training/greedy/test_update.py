"""Greedy training: what it costs, what it gives, and that it goes on exactly where it stopped."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.datasets import ArrayDataset
from learnedrecon.data.draws import Drawing
from learnedrecon.data.loader import Loader, evaluation_batches
from learnedrecon.data.noise import RelativeGaussian
from learnedrecon.data.simulate import Simulation
from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.metrics import FixedRange
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.registry import MODELS
from learnedrecon.models.subsets import Order, Subsets
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.specs import build
from learnedrecon.testing.counting import Cost, Counted
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.greedy.source import GreedySource
from learnedrecon.training.greedy.update import Greedy, StageValidation
from learnedrecon.training.loop import TrainingResult, train
from learnedrecon.training.losses import SquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.spec import BatchSpec, CheckpointSpec, GreedySpec, TrainingSpec
from learnedrecon.training.update import Supervised
from learnedrecon.training.validation import MeanPsnr
from learnedrecon.weights.checkpoint import Blueprint
from learnedrecon.weights.tensorfile import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from learnedrecon.data.batch import Batch
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.reconstructor import Estimate

SCAN = ParallelBeam((8, 8), AngleRange(6), FlatDetector(11))
IMAGES = 5
STAGES = 3
MODEL = MODELS["deep_gradient_descent"].spec(STAGES, 4, start="adjoint")
SPEC = TrainingSpec(
    steps=STAGES * 4 + 2,
    batch=BatchSpec(size=2),
    validate_every=5,
    log_every=1,
    checkpoint=CheckpointSpec(every=3, seconds=None),
    seed=4,
    strategy="greedy",
    greedy=GreedySpec(fine_tune=2, shard=2),
)


@dataclass(frozen=True)
class Counting:
    """Counts what the scheme asks."""

    cost: Cost

    def __call__(self, problem: Problem) -> Problem:
        return Counted(problem, self.cost)


def subset_gradient(order: Order) -> object:
    subsets = Subsets(3, order)
    return MODELS["subset_gradient"].spec(3, 4, subsets=subsets, start="adjoint")


def images(number: int = IMAGES) -> torch.Tensor:
    return torch.rand(number, 8, 8, generator=torch.Generator().manual_seed(2))


def loader(builder: BatchBuilder, size: int = 2, draws: int = 0) -> Drawing:
    return Drawing(Loader(ArrayDataset(images().numpy()), builder, batch_size=size, seed=4), draws)


def builder() -> BatchBuilder:
    return BatchBuilder(RayTransform(SCAN), measurement=Simulation(RelativeGaussian(0.05)))


class Job:
    """A greedy training in a folder, in a form that can be stopped and looked into."""

    def __init__(
        self, path: Path, spec: TrainingSpec = SPEC, model_spec: object = MODEL, draws: int = 0
    ) -> None:
        torch.manual_seed(1)
        self.cost = Cost()
        model = build(MODELS, model_spec)
        assert isinstance(model, Iterative)
        model.prepare = Counting(self.cost)
        self.model = model
        self.spec = spec
        self.said: list[str] = []
        self.path = path
        self.run = RunFolder.start(
            path, config={"seed": spec.seed}, blueprint=Blueprint.of(model_spec)
        )
        self.update = Greedy(
            model,
            loss=SquaredError(),
            spec=spec,
            accelerator=make_accelerator("no", cpu=True),
        )
        self.source = GreedySource(
            loader(builder(), spec.batch.size, draws),
            model,
            self.update.plan,
            path / "cache",
            identity="test",
            say=self.said.append,
        )

    def train(self, *, validate: bool = True) -> TrainingResult:
        return train(
            model=self.model,
            source=self.source,
            update=self.update,
            run=self.run,
            spec=self.spec,
            validate=StageValidation(self._psnr, self.update) if validate else None,
        )

    def _psnr(self, model: torch.nn.Module) -> dict[str, float]:
        before = (self.cost.forward, self.cost.adjoint)
        batches = evaluation_batches(ArrayDataset(images(2).numpy()), builder(), batch_size=2)
        found = MeanPsnr(lambda: batches, FixedRange(1.0))(model)
        self.cost.forward, self.cost.adjoint = before
        return found


def weights(path: Path) -> dict[str, torch.Tensor]:
    return read_tensors(path / "checkpoints" / "last.safetensors")[0]


def assert_same(one: Path, other: Path, tiny: ModuleType) -> None:
    assert tiny.records(one) == tiny.records(other)
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert not [name for name in a if not torch.equal(a[name], b[name])]


def test_the_operator_is_applied_n_times_to_each_sample_and_not_in_every_step(
    tmp_path: Path,
) -> None:
    spec = replace(SPEC, steps=STAGES * 12, greedy=GreedySpec(shard=2))
    job = Job(tmp_path / "greedy", spec)
    job.train(validate=False)
    assert job.cost.forward == STAGES * IMAGES
    assert job.cost.adjoint == (STAGES + 1) * IMAGES, "one for T*y, where it starts"

    torch.manual_seed(1)
    cost = Cost()
    model = build(MODELS, MODEL)
    assert isinstance(model, Iterative)
    model.prepare = Counting(cost)
    end_to_end = Supervised(
        model,
        loss=SquaredError(),
        spec=spec,
        accelerator=make_accelerator("no", cpu=True),
    )
    batches = loader(builder()).batches()
    seen = 0
    for step in range(6):
        batch = next(batches)
        seen += len(batch.ids)
        end_to_end(model, [batch], step=step)
    assert cost.forward == seen * STAGES
    assert cost.adjoint == seen * (STAGES + 1)


def test_the_cache_changes_nothing_but_the_cost(tmp_path: Path, tiny: ModuleType) -> None:
    cached = Job(tmp_path / "cached")
    cached.train()
    live = Job(tmp_path / "live", replace(SPEC, greedy=GreedySpec(2, shard=2, cache_gb=0)))
    live.train()
    assert live.cost.total > 2 * cached.cost.total
    a, b = weights(tmp_path / "cached"), weights(tmp_path / "live")
    for name in (n for n in a if n.startswith("model.")):
        torch.testing.assert_close(a[name], b[name], rtol=1e-6, atol=1e-7)
    for one, other in zip(tiny.records(cached.path), tiny.records(live.path), strict=True):
        key = "loss" if "loss" in one else next(k for k in one if k.endswith("psnr"))
        assert one[key] == pytest.approx(other[key], rel=1e-5)


def test_only_the_step_of_the_stage_moves(tmp_path: Path) -> None:
    job = Job(tmp_path / "run")
    before = {n: p.detach().clone() for n, p in job.model.named_parameters()}
    batches = None
    for step in range(STAGES * 4):
        assert job.source.prepare(step, lambda: False)
        if step % 4 == 0:
            batches = job.source.batches(step)
        assert batches is not None
        metrics = job.update(job.model, [next(batches)], step=step)
        stage = step // 4
        assert metrics["stage"] == stage + 1
        moved = {
            int(n.split(".")[2])
            for n, p in job.model.named_parameters()
            if not torch.equal(p.detach(), before[n])
        }
        assert moved == set(range(stage + 1)), f"after step {step}"
    first = {n: p.detach().clone() for n, p in job.model.named_parameters()}
    assert job.source.prepare(STAGES * 4, lambda: False)
    job.update(job.model, [next(job.source.batches(STAGES * 4))], step=STAGES * 4)
    assert all(not torch.equal(p, first[n]) for n, p in job.model.named_parameters() if p.numel())


@pytest.mark.parametrize("stop_after", [2, 4, 5, 9, 12, 13])
def test_stopped_and_resumed_is_not_stopped(
    tmp_path: Path, tiny: ModuleType, stop_after: int
) -> None:
    Job(tmp_path / "whole").train()
    job = Job(tmp_path / "parts")
    calls = 0

    def loss(estimate: Estimate, batch: Batch) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == stop_after:
            signal.raise_signal(signal.SIGINT)
        return SquaredError()(estimate, batch)

    job.update = Greedy(
        job.model, loss=loss, spec=SPEC, accelerator=make_accelerator("no", cpu=True)
    )
    result = job.train()
    assert (result.step, result.interrupted) == (stop_after, True)
    del job
    rest = Job(tmp_path / "parts")
    assert rest.train().step == SPEC.steps
    assert_same(tmp_path / "whole", tmp_path / "parts", tiny)


def test_a_ctrl_c_while_the_cache_is_filled_keeps_what_is_done(
    tmp_path: Path, tiny: ModuleType
) -> None:
    Job(tmp_path / "whole").train()
    job = Job(tmp_path / "parts")
    job.source.say = lambda text: signal.raise_signal(signal.SIGINT) if "Stage 2" in text else None
    result = job.train()
    assert result.interrupted
    assert result.step == 4
    written = sorted(p.name for p in (tmp_path / "parts/cache/stage-02").iterdir())
    assert written == ["00000.safetensors"]
    del job
    rest = Job(tmp_path / "parts")
    rest.train()
    assert_same(tmp_path / "whole", tmp_path / "parts", tiny)


def test_a_deleted_cache_is_made_again(tmp_path: Path, tiny: ModuleType) -> None:
    Job(tmp_path / "whole").train()
    job = Job(tmp_path / "parts", SPEC)
    stop = iter([False] * 6 + [True] * 100)
    job.source.prepare(0, lambda: False)
    prepare = job.source.prepare

    def until_stopped(step: int, stopped: Callable[[], bool]) -> bool:
        return not next(stop) and prepare(step, stopped)

    job.source.prepare = until_stopped  # type: ignore[method-assign]
    assert job.train().interrupted
    job.source.close()
    assert not (tmp_path / "parts/cache").exists()
    job.run.lock.release()
    Job(tmp_path / "parts").train()
    assert_same(tmp_path / "whole", tmp_path / "parts", tiny)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    job = Job(tmp_path / "run")
    assert job.source.prepare(0, lambda: False)
    path = tmp_path / "run/cache/stage-01/00001.safetensors"
    content = path.read_bytes()
    changed = content[:-30] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes(changed)
    del job
    with pytest.raises(FileFormatError, match=r"stage-01/00001.*delete.*stage-01/00001"):
        Job(tmp_path / "run").source.prepare(0, lambda: False)


def test_a_file_that_is_cut_while_it_is_used_is_named(tmp_path: Path) -> None:
    job = Job(tmp_path / "run")
    assert job.source.prepare(0, lambda: False)
    for path in (tmp_path / "run/cache/stage-01").iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileFormatError, match="cache of greedy training"):
        next(job.source.batches(0))


def test_files_of_other_data_are_not_used(tmp_path: Path) -> None:
    job = Job(tmp_path / "run")
    job.source.prepare(0, lambda: False)
    del job
    other = Job(tmp_path / "run")
    other.source.identity = "other data"
    other.source.prepare(0, lambda: False)
    assert other.cost.forward == IMAGES


def test_a_step_whose_calls_depend_on_its_weights_is_not_cached(tmp_path: Path) -> None:
    spec = replace(SPEC, steps=6, greedy=None)
    job = Job(tmp_path / "run", spec, LearnedPrimalDual(2, 2, 1, 4).spec)
    job.train()
    assert len(job.said) == 2
    assert "without a cache: operator call 2 (adjoint) depends on what is trained" in job.said[0]
    assert not (tmp_path / "run/cache").exists()


def test_steps_on_parts_are_cached_and_random_parts_are_not(tmp_path: Path) -> None:
    spec = replace(SPEC, steps=3 * 6, greedy=GreedySpec(shard=2))
    cyclic = Job(tmp_path / "cyclic", spec, subset_gradient("cyclic"))
    cyclic.train(validate=False)
    assert cyclic.cost.forward == pytest.approx(IMAGES), "three times a third"
    random = Job(tmp_path / "random", spec, subset_gradient("random"), draws=3)
    random.train(validate=False)
    assert random.cost.forward > IMAGES
    assert "drawn at random" in random.said[0]


def test_what_never_comes_twice_is_not_cached(tmp_path: Path) -> None:
    job = Job(tmp_path / "run", replace(SPEC, steps=STAGES * 2, greedy=None))
    job.source.prepare(0, lambda: False)
    assert "of the 5 images of the training set it would see 4" in job.said[0]


def test_the_size_is_said_and_bounded(tmp_path: Path) -> None:
    job = Job(tmp_path / "run")
    job.source.prepare(0, lambda: False)
    size = sum(p.stat().st_size for p in (tmp_path / "run/cache/stage-01").iterdir())
    said = float(job.said[0].split(" GB")[0].split()[-1]) * 1e9
    assert size * 0.8 < said < size * 1.5
    del job
    tight = Job(tmp_path / "tight", replace(SPEC, greedy=GreedySpec(2, cache_gb=1e-6)))
    with pytest.raises(ConfigError, match="cache_gb"):
        tight.source.prepare(0, lambda: False)


def test_no_best_weights_before_the_last_step_is_trained(tmp_path: Path, tiny: ModuleType) -> None:
    job = Job(tmp_path / "run")
    job.train()
    validations = [r for r in tiny.records(job.path) if r["event"] == "validation"]
    assert [("psnr" in r, "partial_psnr" in r) for r in validations] == [
        (False, True),
        (True, False),
        (True, False),
    ]
    best = read_tensors(tmp_path / "run/checkpoints/best.safetensors")[1]
    assert best["extra"]["step"] > 2 * 4


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (replace(SPEC, steps=STAGES * 4 + 3), "set training.steps to 14"),
        (replace(SPEC, average=0.9), "average"),
        (replace(SPEC, batch=BatchSpec(2, repeats=3)), "multiple of 9"),
    ],
)
def test_what_greedy_training_has_not_got_is_refused(
    tmp_path: Path, spec: TrainingSpec, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        Job(tmp_path / "run", spec)


def test_shared_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"own weights.*a Repeat"):
        Greedy(
            LearnedGradient(2, 1, 4),
            loss=SquaredError(),
            spec=SPEC,
            accelerator=make_accelerator("no", cpu=True),
        )
