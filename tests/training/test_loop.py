"""Stopped and resumed is the same as never stopped, bit for bit."""

from __future__ import annotations

import signal
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch

from learnedrecon.data.batch import BatchBuilder, Sample
from learnedrecon.data.datasets import SampleDataset
from learnedrecon.data.loader import Loader
from learnedrecon.errors import ConfigError, DataError
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.loop import TrainingResult, train
from learnedrecon.training.losses import SquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.spec import (
    BatchSpec,
    BestSpec,
    CheckpointSpec,
    OptimiserSpec,
    ScheduleSpec,
)
from learnedrecon.training.update import Supervised
from learnedrecon.weights.tensorfile import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from torch import Tensor, nn

    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Estimate
    from learnedrecon.training.losses import Loss

VARIANTS: dict[str, dict[str, Any]] = {
    "all": {},
    "rmsprop": {"optimiser": OptimiserSpec(kind="rmsprop")},
    "plain": {"average": None, "clip_norm": None, "batch": BatchSpec(size=2)},
    "bf16": {"precision": "bf16"},
    "channels_last": {"channels_last": True},
}


def last(path: Path) -> dict[str, Tensor]:
    return read_tensors(path / "checkpoints" / "last.safetensors")[0]


def weights(path: Path) -> dict[str, Tensor]:
    return {name: value for name, value in last(path).items() if name.startswith("model.")}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("stop", [1, 4, 5, 8])
@pytest.mark.parametrize("variant", VARIANTS)
def test_k_steps_a_stop_and_k_steps_more_are_2k_steps(
    tiny: ModuleType, tmp_path: Path, stop: int, variant: str
) -> None:
    """Ctrl-C is pressed inside of step ``stop``, during its last forward pass."""
    spec = replace(tiny.spec_of(12), **VARIANTS[variant])
    whole = tiny.fit(tmp_path / "whole", spec)
    assert not whole.interrupted
    assert whole.step == 12
    loss = tiny.StopAt(spec.batch.accumulate * stop)
    first = tiny.fit(tmp_path / "parts", spec, loss=loss)
    assert first.interrupted
    assert first.step == stop
    second = tiny.fit(tmp_path / "parts", spec)
    assert second == whole
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_run_can_be_made_longer(tiny: ModuleType, tmp_path: Path) -> None:
    def fit(name: str, steps: int) -> None:
        spec = replace(tiny.spec_of(steps), schedule=ScheduleSpec(kind="constant"))
        run = RunFolder(tmp_path / name, tiny.blueprint())
        run.checkpoints.last.parent.mkdir(parents=True, exist_ok=True)
        assert tiny.fit_in(run, spec).step == steps

    fit("whole", 8)
    fit("parts", 4)
    fit("parts", 8)
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "parts")
    before = (tmp_path / "parts" / "checkpoints" / "last.safetensors").stat()
    fit("parts", 8)
    assert (tmp_path / "parts" / "checkpoints" / "last.safetensors").stat() == before


def test_sigterm_saves_too(tiny: ModuleType, tmp_path: Path) -> None:
    result = tiny.fit(tmp_path, tiny.spec_of(9), loss=tiny.StopAt(5, signal.SIGTERM))
    assert (result.step, result.interrupted) == (3, True)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert tiny.fit(tmp_path, tiny.spec_of(9)).step == 9


class Failing:
    """The squared error, but call number ``call`` fails in the given way."""

    def __init__(self, call: int, failure: Callable[[], object]) -> None:
        self.calls = 0
        self.call = call
        self.failure = failure

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        self.calls += 1
        values = SquaredError()(estimate, batch)
        if self.calls == self.call:
            self.failure()
            return values * float("nan")
        return values


def press_twice() -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("failure", "error"), [(press_twice, KeyboardInterrupt), (lambda: None, DataError)]
)
def test_after_a_failed_step_the_checkpoint_is_the_old_one(
    tiny: ModuleType, tmp_path: Path, failure: Callable[[], object], error: type[BaseException]
) -> None:
    """A second ctrl-C, or NaN, in step 8: what is on the disk is step 5, and goes on from there."""
    spec = tiny.spec_of(12)
    with pytest.raises(error):
        tiny.fit(tmp_path / "parts", spec, loss=Failing(15, failure))
    assert tiny.records(tmp_path / "parts")[-1]["step"] == 7
    progress = RunFolder(tmp_path / "parts", tiny.blueprint()).checkpoints.progress()
    assert progress is not None
    assert progress.step == 5
    tiny.fit(tmp_path / "parts", spec)
    tiny.fit(tmp_path / "whole", spec)
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_the_data_that_each_step_sees(tiny: ModuleType, tmp_path: Path) -> None:
    """Two batches a step, the same ones three steps long, also when resumed among the three."""
    source = tiny.Source()
    seen: list[tuple[str, ...]] = []

    def noting(estimate: Estimate, batch: Batch) -> Tensor:
        seen.append(batch.ids)
        if len(seen) == 10:
            signal.raise_signal(signal.SIGINT)
        return SquaredError()(estimate, batch)

    assert tiny.fit(tmp_path, tiny.spec_of(8), source=source, loss=noting).step == 5
    assert source.asked == [0, 1, 2, 3]
    source.asked.clear()
    tiny.fit(tmp_path, tiny.spec_of(8), source=source, loss=noting)
    assert source.asked == [2, 3, 4, 5]
    ids = [batch.ids for batch in islice(tiny.Source().batches(0), 6)]
    expected = [ids[:2]] * 3 + [ids[2:4]] * 3 + [ids[4:]] * 2
    assert seen == [one for step in expected for one in step]


def test_a_source_that_ends_is_named(tiny: ModuleType, tmp_path: Path) -> None:
    class Ending:
        def batches(self, start_step: int) -> Iterator[Batch]:
            return islice(tiny.Source().batches(start_step), 3)

    with pytest.raises(DataError, match="with an end"):
        tiny.fit(tmp_path, tiny.spec_of(8), source=Ending())


def test_neither_validation_nor_logging_nor_saving_changes_the_weights(
    tiny: ModuleType, tmp_path: Path
) -> None:
    spec = tiny.spec_of(9)
    tiny.fit(tmp_path / "often", replace(spec, validate_every=1))
    rare = replace(
        spec, validate_every=99, log_every=99, checkpoint=CheckpointSpec(every=99, seconds=1e9)
    )
    tiny.fit(tmp_path / "rare", rare)
    often, rarely = last(tmp_path / "often"), last(tmp_path / "rare")
    assert same(often, rarely)
    assert [record["step"] for record in tiny.records(tmp_path / "rare")] == [9, 9]


def test_the_seed_decides_dropout(tiny: ModuleType, tmp_path: Path) -> None:
    spec = tiny.spec_of(3)
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        torch.rand(5)
        tiny.fit(tmp_path / name, replace(spec, seed=seed))
    assert same(last(tmp_path / "one"), last(tmp_path / "again"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_what_validation_sees(tiny: ModuleType, tmp_path: Path) -> None:
    """Evaluation mode, no gradients, full precision, averaged weights; and nothing of it stays."""
    spec = replace(tiny.spec_of(4), precision="bf16", validate_every=2)
    model = tiny.Tiny(tiny.TinySpec())
    frozen = model.get_submodule("middle.2")

    def freezing(estimate: Estimate, batch: Batch) -> Tensor:
        frozen.eval()
        return SquaredError()(estimate, batch)

    update = Supervised(
        model, loss=freezing, spec=spec, accelerator=make_accelerator("bf16", cpu=True)
    )
    own: list[dict[str, Tensor]] = []
    scores = iter([30.0, 29.0])

    def validate(seen: nn.Module) -> Mapping[str, float]:
        assert seen is model
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        torch.rand(3)
        own.append({name: value.clone() for name, value in model.named_parameters()})
        return {"psnr": next(scores), "other": 1.5}

    run = tiny.folder(tmp_path, spec)
    result = train(
        model=model, source=tiny.Source(), update=update, run=run, spec=spec, validate=validate
    )
    assert result.best == 30.0
    assert [module.training for module in model.modules()].count(False) == 1
    assert not frozen.training
    best, content = read_tensors(run.checkpoints.best)
    assert content["extra"] == {"step": 2, "psnr": 30.0}
    final = last(tmp_path)
    for name, parameter in model.named_parameters():
        assert torch.equal(best[f"model.{name}"], own[0][name])
        assert torch.equal(final[f"average.{name}"], own[1][name])
        assert torch.equal(final[f"model.{name}"], parameter)
        assert not torch.equal(own[1][name], parameter)
    found = [record for record in tiny.records(tmp_path) if record["event"] == "validation"]
    assert found == [
        {"step": 2, "event": "validation", "psnr": 30.0, "other": 1.5},
        {"step": 4, "event": "validation", "psnr": 29.0, "other": 1.5},
    ]


def test_best_is_remembered_by_a_run_that_goes_on(tiny: ModuleType, tmp_path: Path) -> None:
    spec = replace(tiny.spec_of(6), validate_every=2)

    def part(loss: Loss, scores: list[float]) -> TrainingResult:
        left = iter(scores)
        model = tiny.Tiny(tiny.TinySpec())
        accelerator = make_accelerator(cpu=True)
        return train(
            model=model,
            source=tiny.Source(),
            update=Supervised(model, loss=loss, spec=spec, accelerator=accelerator),
            run=tiny.folder(tmp_path, spec),
            spec=spec,
            validate=lambda _: {"psnr": next(left)},
        )

    assert part(tiny.StopAt(4), [30.0]).best == 30.0
    assert part(SquaredError(), [float("nan"), 29.0]).best == 30.0
    _, content = read_tensors(tmp_path / "checkpoints" / "best.safetensors")
    assert content["extra"] == {"step": 2, "psnr": 30.0}


@pytest.mark.parametrize("fails_at", [4, 8, 9])
def test_a_validation_that_fails_costs_no_step(
    tiny: ModuleType, tmp_path: Path, fails_at: int
) -> None:
    """Also not the last one; whoever goes on validates first, and has the run that never failed."""
    spec = replace(tiny.spec_of(9), checkpoint=CheckpointSpec(every=99, seconds=None))
    calls = iter(range(4, fails_at + 1, 4)) if fails_at < 9 else iter((4, 8, 9))

    def failing(model: nn.Module) -> Mapping[str, float]:
        if next(calls) == fails_at:
            raise MemoryError
        measured: Mapping[str, float] = tiny.validation()(model)
        return measured

    torch.manual_seed(5)
    model = tiny.Tiny(tiny.TinySpec())
    update = Supervised(
        model, loss=SquaredError(), spec=spec, accelerator=make_accelerator(cpu=True)
    )
    run = tiny.folder(tmp_path / "parts", spec)
    with pytest.raises(MemoryError):
        train(
            model=model,
            source=tiny.Source(),
            update=update,
            run=run,
            spec=spec,
            validate=failing,
        )
    progress = run.checkpoints.progress()
    assert progress is not None
    assert (progress.step, progress.finished, progress.unvalidated) == (fails_at, False, True)
    assert not run.lock.held
    assert tiny.fit(tmp_path / "parts", spec).step == 9
    tiny.fit(tmp_path / "whole", spec)
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_an_error_before_the_first_step_gives_the_folder_back(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    for name in ("place", "across_processes", "MovingAverage"):
        run = tiny.folder(tmp_path, tiny.spec_of(2))
        with monkeypatch.context() as patch:
            patch.setattr(f"learnedrecon.training.loop.{name}", fail)
            with pytest.raises(MemoryError):
                tiny.fit_in(run, tiny.spec_of(2))
        assert not run.lock.held


@pytest.mark.parametrize(("mode", "step", "best"), [("min", 4, 1.0), ("max", 6, 9.0)])
def test_another_number_may_choose_the_best_weights(
    tiny: ModuleType, tmp_path: Path, mode: Literal["min", "max"], step: int, best: float
) -> None:
    """It is found in the file of the weights; where that was removed, the next one is best."""
    spec = replace(tiny.spec_of(6), validate_every=2, best=BestSpec("wrong", mode))
    numbers = iter([5.0, 1.0, 9.0])
    result = tiny.fit(tmp_path, spec, validate=lambda _: {"wrong": next(numbers), "psnr": 1.0})
    assert result.best == best
    file = tmp_path / "checkpoints" / "best.safetensors"
    assert read_tensors(file)[1]["extra"] == {"step": step, "wrong": best}


def test_weights_that_were_removed_are_not_better_than_others(
    tiny: ModuleType, tmp_path: Path
) -> None:
    spec = replace(tiny.spec_of(4), validate_every=2)
    numbers = iter([9.0, 5.0])
    best = tmp_path / "checkpoints" / "best.safetensors"

    def validate(_: nn.Module) -> dict[str, float]:
        best.unlink(missing_ok=True)
        return {"psnr": next(numbers)}

    assert tiny.fit(tmp_path, spec, validate=validate).best == 5.0
    assert read_tensors(best)[1]["extra"] == {"step": 4, "psnr": 5.0}


def test_a_validation_without_psnr_is_named(tiny: ModuleType, tmp_path: Path) -> None:
    spec = tiny.spec_of(4)
    model = tiny.Tiny(tiny.TinySpec())
    update = Supervised(
        model, loss=SquaredError(), spec=spec, accelerator=make_accelerator(cpu=True)
    )
    with pytest.raises(ConfigError, match=r"'psnr'.*Found loss"):
        train(
            model=model,
            source=tiny.Source(),
            update=update,
            run=tiny.folder(tmp_path, spec),
            spec=spec,
            validate=lambda _: {"loss": 1.0},
        )


def test_checkpoints_by_the_clock(tiny: ModuleType, tmp_path: Path) -> None:
    """After each pause of 30 ms more than 10 ms have passed, so no step is lost to an error."""
    spec = replace(tiny.spec_of(9), batch=BatchSpec(2), checkpoint=CheckpointSpec(99, 0.01))
    with pytest.raises(DataError):
        tiny.fit(tmp_path, spec, source=tiny.Source(pause=0.03), loss=Failing(5, lambda: None))
    progress = RunFolder(tmp_path, tiny.blueprint()).checkpoints.progress()
    assert progress is not None
    assert progress.step == 4


def test_it_learns(tiny: ModuleType, tmp_path: Path) -> None:
    """The factors of the operator are undone better than by the adjoint, which squares them."""
    spec = replace(
        tiny.spec_of(150),
        optimiser=OptimiserSpec(learning_rate=0.01),
        validate_every=150,
        log_every=1,
        checkpoint=CheckpointSpec(every=150),
    )
    tiny.fit(tmp_path, spec)
    losses = [r["loss"] for r in tiny.records(tmp_path) if r["event"] == "train"]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


class Pairs(SampleDataset):
    """Truth and data that are stored."""

    def __init__(self, source: Any) -> None:
        self.images = source.images
        self.data = source.operator(source.images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"image-{index}", self.data[index], self.images[index])


def test_the_loader_is_a_source_that_resumes(tiny: ModuleType, tmp_path: Path) -> None:
    source = tiny.Source()
    loader = Loader(Pairs(source), BatchBuilder(source.operator), batch_size=2, seed=4)
    spec = tiny.spec_of(10)
    tiny.fit(tmp_path / "whole", spec, source=loader)
    assert tiny.fit(tmp_path / "parts", spec, source=loader, loss=tiny.StopAt(14)).step == 7
    tiny.fit(tmp_path / "parts", spec, source=loader)
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "parts")
