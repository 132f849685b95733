"""Every group of parameters follows its own weighted sum of the parts of a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from torch import nn

from learnedrecon.errors import ConfigError, ShapeError
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual
from learnedrecon.schemes.differentiation import set_backward
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.losses import AbsoluteError, DeepSupervision, SquaredError
from learnedrecon.training.spec import OptimiserSpec, ScheduleSpec, TrainingSpec
from learnedrecon.training.update import Supervised

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from torch import Tensor

    from learnedrecon.data.batch import Batch
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.differentiation import BackwardName

C = 0.3
GROUPS = {"reconstruction": {"image": 1 - C, "task": C}, "task": {"task": 1.0}}


class Decision(NamedTuple):
    image: Tensor
    score: Tensor


class Joint(nn.Module):
    """An image, and a number for it."""

    def __init__(self, tiny: ModuleType) -> None:
        super().__init__()
        self.reconstruction = tiny.Tiny(tiny.TinySpec(dropout=0.0, normalise=False))
        self.task = nn.Sequential(nn.Flatten(), nn.Linear(tiny.SIZE**2, 2), nn.Tanh())

    def forward(self, problem: Problem) -> Decision:
        image = self.reconstruction(problem).image
        return Decision(image, self.task(image).sum(1))


def parts(output: Decision, batch: Batch) -> dict[str, Tensor]:
    assert batch.truth is not None
    return {
        "image": (output.image - batch.truth).square().flatten(1).mean(1),
        "task": (output.score - batch.truth.flatten(1).mean(1)).square(),
    }


def joint(tiny: ModuleType) -> Joint:
    torch.manual_seed(4)
    return Joint(tiny).double()


def spec_of(groups: Any, **options: Any) -> TrainingSpec:
    return TrainingSpec(
        steps=10,
        schedule=ScheduleSpec(kind="constant"),
        clip_norm=None,
        groups=groups,
        optimiser=OptimiserSpec(**options),
    )


def stepped(
    model: Joint,
    spec: TrainingSpec,
    batches: list[Batch],
    loss: Any = parts,
) -> dict[str, float]:
    update = Supervised(model, loss=loss, spec=spec, accelerator=make_accelerator(cpu=True))
    return update(model, batches, step=0)


def gradient_of(tiny: ModuleType, batches: list[Batch], part: str) -> dict[str, Tensor]:
    """Of the mean of one part over all samples, by autograd alone."""
    model = joint(tiny)
    values = torch.cat([parts(model(batch.problem), batch)[part] for batch in batches])
    values.mean().backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
    }


@pytest.mark.parametrize(
    "groups",
    [
        GROUPS,
        {"reconstruction": {"image": 1.0}, "task": {"task": 2.0, "image": 0.5}},
        {"reconstruction": {"image": 0.0, "task": -1.5}, "task": {"image": 1.0, "task": 0.0}},
        {
            "reconstruction.first": {"image": 1.0},
            "reconstruction.last": {"task": 3.0, "image": 0.25},
            "task": {"task": 1.0},
        },
        None,
    ],
)
def test_the_gradient_of_every_group_is_its_weighted_sum(
    tiny: ModuleType, groups: Mapping[str, Mapping[str, float]] | None
) -> None:
    """Σ_p w_gp ∇L_p, where every weight enters once; also over batches of unequal size."""
    source = tiny.Source(dtype=torch.float64)
    batches = [source.of([0, 1, 2]), source.of([3])]
    gradients = {part: gradient_of(tiny, batches, part) for part in ("image", "task")}
    model = joint(tiny)
    stepped(model, spec_of(groups), batches)
    for name, parameter in model.named_parameters():
        inside = [w for group, w in (groups or {}).items() if name.startswith(f"{group}.")]
        weights = inside[0] if inside else {"image": 1.0, "task": 1.0}
        expected = sum(w * gradients[part][name] for part, w in weights.items())
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert isinstance(expected, torch.Tensor)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    norms = [gradients[part]["reconstruction.last.weight"].norm() for part in gradients]
    assert min(norms) > 1e-3


def test_parts_and_their_sum_are_logged_without_weights(tiny: ModuleType) -> None:
    source = tiny.Source(dtype=torch.float64)
    batches = [source.of([0, 1, 2]), source.of([3])]
    model = joint(tiny)
    values = [parts(model(batch.problem), batch) for batch in batches]
    means = {p: torch.cat([v[p] for v in values]).mean().item() for p in ("image", "task")}
    rates = {"task": 0.01}
    numbers = stepped(model, spec_of(GROUPS, learning_rate=0.1, rates=rates), batches)
    assert numbers["loss.image"] == pytest.approx(means["image"], rel=1e-12)
    assert numbers["loss.task"] == pytest.approx(means["task"], rel=1e-12)
    assert numbers["loss"] == pytest.approx(sum(means.values()), rel=1e-12)
    assert numbers["learning_rate"] == 0.1


def test_a_group_may_have_a_rate_of_its_own(tiny: ModuleType) -> None:
    """Adam's first step moves every weight by the rate."""
    model, before = joint(tiny), joint(tiny)
    batch = tiny.Source(dtype=torch.float64).of([0, 1])
    stepped(model, spec_of(GROUPS, learning_rate=1e-2, rates={"task": 1e-4}), [batch])
    for name, start in before.named_parameters():
        rate = 1e-4 if name.startswith("task") else 1e-2
        moved = (model.get_parameter(name) - start).abs().max().item()
        assert moved == pytest.approx(rate, rel=1e-5)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"reconstruction": {"image": 1.0, "task": 1.0}}, r"task\.1\.bias.* in none of"),
        ({**GROUPS, "tasks": {"task": 1.0}}, "in the group 'tasks'"),
        ({**GROUPS, "task.1": {"task": 1.0}}, r"'task\.1\.\w+' in one group"),
        ({"reconstruction": {"image": 1.0}, "task": {"image": 1.0}}, "no weight of task"),
        ({**GROUPS, "task": {"label": 1.0}}, "weights of label"),
    ],
)
def test_groups_that_do_not_fit_are_refused(
    tiny: ModuleType, groups: Mapping[str, Mapping[str, float]], message: str
) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0])
    with pytest.raises(ConfigError, match=message):
        stepped(joint(tiny), spec_of(groups), [batch])


def test_losses_that_do_not_fit_are_refused(tiny: ModuleType) -> None:
    def of_the_image(output: Decision, batch: Batch) -> Tensor:
        return parts(output, batch)["image"]

    def summed(output: Decision, batch: Batch) -> dict[str, Tensor]:
        return {name: values.sum() for name, values in parts(output, batch).items()}

    batch = tiny.Source(dtype=torch.float64).of([0, 1])
    with pytest.raises(ConfigError, match="a loss without named parts"):
        stepped(joint(tiny), spec_of(GROUPS), [batch], of_the_image)
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        stepped(joint(tiny), spec_of(GROUPS), [batch], summed)
    with pytest.raises(ShapeError, match="at least one part"):
        stepped(joint(tiny), spec_of(None), [batch], lambda *_: {})


class AlongTheWay:
    """Two parts, one of them of every iterate."""

    def __init__(self, *, iterates: bool) -> None:
        self.iterates = iterates

    def __call__(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        last = output[-1] if self.iterates else output
        every = DeepSupervision()(output, batch) if self.iterates else SquaredError()(last, batch)
        return {"every": every, "last": AbsoluteError()(last, batch)}


@pytest.mark.parametrize("iterates", [False, True])
def test_groups_do_not_depend_on_how_a_scheme_is_differentiated(
    tiny: ModuleType, *, iterates: bool
) -> None:
    """A backward pass for every group goes through recomputation and inversion too."""
    batch = tiny.Source(dtype=torch.float64).of([0, 1])
    found = []
    ways: list[BackwardName] = ["backprop", "checkpointed", "reversible"]
    for backward in ways:
        torch.manual_seed(0)
        model = InvertiblePrimalDual(3, 4).double()
        set_backward(model, backward)
        groups = {f"scheme.steps.{k}": {"every": 1.0 + k, "last": 0.5 * k} for k in range(3)}
        loss = AlongTheWay(iterates=iterates)
        accelerator = make_accelerator(cpu=True)
        Supervised(model, loss=loss, spec=spec_of(groups), accelerator=accelerator)(
            model, [batch], step=0
        )
        found.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-10, atol=1e-12)
