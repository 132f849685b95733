from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.errors import ConfigError, DataError, FileFormatError, ShapeError
from learnedrecon.problem import InverseProblem
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.losses import AbsoluteError, SquaredError
from learnedrecon.training.spec import OptimiserSpec, ScheduleSpec, TrainingSpec
from learnedrecon.training.update import Supervised

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Estimate, Reconstructor
    from learnedrecon.training.losses import Loss

PLAIN = TrainingSpec(
    steps=10,
    optimiser=OptimiserSpec(learning_rate=0.01),
    schedule=ScheduleSpec(kind="constant"),
    clip_norm=None,
)


def model_of(tiny: ModuleType) -> Reconstructor:
    """Without dropout and statistics, so that a batch is the sum of its samples; float64."""
    torch.manual_seed(2)
    model: Reconstructor = tiny.Tiny(tiny.TinySpec(dropout=0.0, normalise=False))
    return model.double()


def update_of(
    model: Reconstructor, spec: TrainingSpec = PLAIN, loss: Loss | None = None
) -> Supervised:
    accelerator = make_accelerator(spec.precision, cpu=True)
    return Supervised(model, loss=loss or SquaredError(), spec=spec, accelerator=accelerator)


def weights(model: Reconstructor) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("parts", [[[0, 1], [2, 3]], [[0, 1, 2], [3]], [[0], [1], [2], [3]]])
def test_accumulation_is_one_large_batch(tiny: ModuleType, parts: list[list[int]]) -> None:
    source = tiny.Source(dtype=torch.float64)
    one, other = model_of(tiny), model_of(tiny)
    large, small = update_of(one), update_of(other)
    for step in range(5):
        a = large(one, [source.of([0, 1, 2, 3])], step=step)
        b = small(other, [source.of(part) for part in parts], step=step)
        assert a == pytest.approx(b, rel=1e-12)
    assert torch.allclose(weights(one), weights(other), rtol=1e-12, atol=1e-14)
    assert not torch.equal(weights(one), weights(model_of(tiny)))


def test_steps_are_those_of_torch(tiny: ModuleType) -> None:
    """The recursion by hand: Adam, cosine, clipping of the whole gradient."""
    spec = replace(PLAIN, schedule=ScheduleSpec(), clip_norm=0.01)
    batch = tiny.Source(dtype=torch.float64).of([0, 1])
    model, reference = model_of(tiny), model_of(tiny)
    update = update_of(model, spec)
    adam = torch.optim.Adam(reference.parameters(), lr=0.01)
    for step in range(10):
        rate = 0.01 * (1 + math.cos(math.pi * step / 10)) / 2
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        loss = (reference(batch.problem).image - batch.truth).square().mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.01)
        adam.step()
        numbers = update(model, [batch], step=step)
        assert norm > 0.01
        expected = {"loss": loss.item(), "grad_norm": norm.item(), "learning_rate": rate}
        assert numbers == pytest.approx(expected, rel=1e-12)
    assert torch.allclose(weights(model), weights(reference), rtol=1e-12, atol=1e-14)


def test_clipping_keeps_the_direction_and_bounds_the_norm(tiny: ModuleType) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0])
    gradients = []
    for clip in (None, 1e-3, 1e9):
        model = model_of(tiny)
        update_of(model, replace(PLAIN, clip_norm=clip))(model, [batch], step=0)
        found = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        gradients.append(torch.cat(found))
    free, clipped, loose = gradients
    assert torch.equal(free, loose)
    assert clipped.norm().item() == pytest.approx(1e-3, rel=1e-3)
    cosine = torch.dot(free, clipped) / (free.norm() * clipped.norm())
    assert cosine.item() == pytest.approx(1, abs=1e-12)


class Broken:
    """A loss that is NaN for one sample, or only its gradient is."""

    def __init__(self, sample: str, *, gradient: bool) -> None:
        self.sample = sample
        self.gradient = gradient

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        values = list(SquaredError()(estimate, batch))
        if self.sample in batch.ids:
            k = batch.ids.index(self.sample)
            values[k] = (0 * values[k]).sqrt() if self.gradient else values[k] * float("nan")
        return torch.stack(values)


@pytest.mark.parametrize("gradient", [False, True])
def test_nan_names_step_and_samples_and_changes_nothing(
    tiny: ModuleType, *, gradient: bool
) -> None:
    source = tiny.Source(dtype=torch.float64)
    model = model_of(tiny)
    update = update_of(model, loss=Broken("image-3", gradient=gradient))
    update(model, [source.of([0, 1])], step=6)
    before = weights(model), update.state()
    what = "gradient" if gradient else "loss"
    with pytest.raises(DataError, match=f"finite {what}.* step 8 .*image-3") as caught:
        update(model, [source.of([2]), source.of([3, 4])], step=7)
    assert gradient == ("image-2" in str(caught.value))
    assert torch.equal(weights(model), before[0])
    assert all(torch.equal(value, before[1][name]) for name, value in update.state().items())
    update(model, [source.of([2])], step=7)
    assert weights(model).isfinite().all()


def test_a_loss_that_is_one_number_is_refused(tiny: ModuleType) -> None:
    def mean(estimate: Estimate, batch: Batch) -> Tensor:
        return SquaredError()(estimate, batch).mean()

    model = model_of(tiny)
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        update_of(model, loss=mean)(model, [tiny.Source(dtype=torch.float64).of([0, 1])], step=0)


def test_frozen_weights_stay(tiny: ModuleType) -> None:
    model = model_of(tiny)
    model.get_submodule("first").requires_grad_(requires_grad=False)
    first = model.get_parameter("first.weight").clone()
    last = model.get_parameter("last.weight").clone()
    update_of(model)(model, [tiny.Source(dtype=torch.float64).of([0])], step=0)
    assert torch.equal(model.get_parameter("first.weight"), first)
    assert not torch.equal(model.get_parameter("last.weight"), last)
    with pytest.raises(ConfigError, match="requires a gradient"):
        update_of(model.requires_grad_(requires_grad=False))


def test_tensors_of_the_problem_are_trained_saved_and_restored(tiny: ModuleType) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0, 1])

    def run(update: Supervised, model: Reconstructor, steps: range) -> None:
        for step in steps:
            assert isinstance(batch.problem, InverseProblem)
            data = update.tensors["gain"] * batch.problem.data
            problem = replace(batch.problem, data=data)
            update(model, [batch._replace(problem=problem)], step=step)

    def begin() -> tuple[Reconstructor, Supervised]:
        model = model_of(tiny)
        gain = torch.ones((), dtype=torch.float64, requires_grad=True)
        accelerator = make_accelerator(cpu=True)
        return model, Supervised(
            model, loss=AbsoluteError(), spec=PLAIN, accelerator=accelerator, tensors={"gain": gain}
        )

    model, whole = begin()
    run(whole, model, range(4))
    middle = {name: value.detach().clone() for name, value in whole.state().items()}
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    run(whole, model, range(4, 8))
    assert whole.tensors["gain"].item() != 1

    again, part = begin()
    again.load_state_dict(saved)
    part.load_state(middle)
    run(part, again, range(4, 8))
    assert torch.equal(part.tensors["gain"], whole.tensors["gain"])
    assert torch.equal(weights(again), weights(model))
    del middle["tensor.gain"]
    with pytest.raises(FileFormatError, match="missing gain"):
        part.load_state(middle)


def test_loss_scaling_is_saved_and_an_overflow_skips_the_step(tiny: ModuleType) -> None:
    """With torch's scaler for the CPU in place of the one that fp16 has on a GPU."""
    source = tiny.Source(dtype=torch.float64)

    def begin(model: Reconstructor) -> Supervised:
        accelerator = make_accelerator(cpu=True)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
        loss = Broken("image-3", gradient=True)
        return Supervised(model, loss=loss, spec=PLAIN, accelerator=accelerator)

    model = model_of(tiny)
    update = begin(model)
    for step in range(3):
        update(model, [source.of([step])], step=step)
    before = weights(model)
    assert not math.isfinite(update(model, [source.of([3])], step=3)["grad_norm"])
    assert torch.equal(weights(model), before)
    update(model, [source.of([4])], step=4)
    scaler = update.accelerator.scaler
    assert scaler is not None
    saved = {name: value.clone() for name, value in update.state().items()}
    assert scaler.state_dict()["scale"] == 4.0
    assert scaler.state_dict()["_growth_tracker"] == 1
    again = begin(model_of(tiny))
    again.load_state(saved)
    assert again.accelerator.scaler is not None
    assert again.accelerator.scaler.state_dict() == scaler.state_dict()


def test_bf16_is_for_the_networks_alone(tiny: ModuleType) -> None:
    """Autocast is on around the model, off in operators and in the loss; weights stay float32."""
    seen: dict[str, torch.dtype] = {}
    torch.manual_seed(2)
    model = tiny.Tiny(tiny.TinySpec(dropout=0.0, normalise=False))
    model.first.register_forward_hook(lambda _m, _i, output: seen.update(network=output.dtype))
    batch = tiny.Source().of([0, 1])
    batch.problem.operator.register_forward_hook(lambda _m, _i, y: seen.update(operator=y.dtype))

    def loss(estimate: Estimate, batch: Batch) -> Tensor:
        seen["autocast"] = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        batch.problem.forward(estimate.image)
        return SquaredError()(estimate, batch)

    numbers = update_of(model, replace(PLAIN, precision="bf16"), loss)(model, [batch], step=0)
    assert seen == {
        "network": torch.bfloat16,
        "operator": torch.float32,
        "autocast": torch.float32,
    }
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    torch.manual_seed(2)
    exact = tiny.Tiny(tiny.TinySpec(dropout=0.0, normalise=False))
    reference = update_of(exact)(exact, [batch], step=0)
    assert numbers["loss"] == pytest.approx(reference["loss"], rel=2.0**-7)
    assert numbers["loss"] != reference["loss"]
