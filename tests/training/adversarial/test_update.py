"""Two optimisers that alternate: exact resumption, unpaired improvement, and both gradients."""

from __future__ import annotations

import signal
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from learnedrecon.data.batch import Batch, Sample
from learnedrecon.data.datasets import ArrayDataset
from learnedrecon.errors import ConfigError, DataError
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.networks.critic import Critic
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.adversarial.images import TrueImages
from learnedrecon.training.adversarial.update import Adversarial
from learnedrecon.training.loop import TrainingResult, train
from learnedrecon.training.spec import (
    AdversarialSpec,
    OptimiserSpec,
    ScheduleSpec,
    TrainingSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from torch import Tensor


class Stopping:
    """True images of other samples; a number of them presses ctrl-C."""

    def __init__(self, tiny: ModuleType, stop: int | None) -> None:
        self.source = tiny.Source(seed=8)
        self.stop = stop

    def batches(self, start: int) -> Iterator[Tensor]:
        for number, batch in enumerate(self.source.batches(start), start):
            if number == self.stop:
                signal.raise_signal(signal.SIGINT)
            yield batch.truth


def fit(tiny: ModuleType, path: Path, steps: int, stop: int | None = None) -> TrainingResult:
    spec = tiny.spec_of(steps)
    torch.manual_seed(5)
    model, critic = tiny.Tiny(tiny.TinySpec()), Critic(hidden=(2, 3))
    update = Adversarial(
        model,
        critic,
        images=Stopping(tiny, stop),
        spec=spec,
        options=AdversarialSpec(critic_steps=2),
        accelerator=make_accelerator(spec.precision, cpu=True),
    )
    return train(
        model=model,
        source=tiny.Source(),
        update=update,
        run=tiny.folder(path, spec),
        spec=spec,
        validate=tiny.validation(),
    )


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_k_steps_a_stop_and_k_steps_more_are_2k_steps(
    tiny: ModuleType, tmp_path: Path, stop: int
) -> None:
    """Weights of both networks, both optimisers, generators and metrics, bit for bit."""
    whole = fit(tiny, tmp_path / "whole", 8)
    first = fit(tiny, tmp_path / "parts", 8, stop=2 * stop - 1)
    assert first.interrupted
    assert first.step == stop
    assert fit(tiny, tmp_path / "parts", 8) == whole
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_step_moves_each_network_by_its_own_objective(tiny: ModuleType) -> None:
    """The gradients of the critic's and of the reconstruction's loss, written out."""
    spec = TrainingSpec(steps=4, schedule=ScheduleSpec(kind="constant"), clip_norm=None)
    torch.manual_seed(5)
    model = tiny.Tiny(tiny.TinySpec(dropout=0.0, normalise=False))
    critic, options = Critic(hidden=(2, 3)), AdversarialSpec(weight=0.7, penalty=2.0)
    source, images = tiny.Source(), Stopping(tiny, None)
    update = Adversarial(
        model,
        critic,
        images=images,
        spec=spec,
        options=options,
        accelerator=make_accelerator(cpu=True),
    )
    batch, real = next(source.batches(0)), next(images.batches(0))
    with torch.no_grad():
        found = model(batch.problem).image
    state = torch.get_rng_state()
    s = torch.rand(2)[:, None, None, None]
    torch.set_rng_state(state)
    x = (s * real + (1 - s) * found).requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    excess = (slope.flatten(1).norm(dim=1) - 1).clamp(min=0).square().mean()
    loss = critic(real).mean() - critic(found).mean() + 2.0 * excess
    expected = torch.autograd.grad(loss, list(critic.parameters()))
    numbers = update(model, [batch], step=0)
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)
    assert numbers["critic.distance"] == pytest.approx(
        float((2.0 * excess - loss).detach()), rel=1e-4, abs=1e-6
    )
    misfit = (batch.problem.forward(found) - batch.problem.data).square().mean()
    assert numbers["loss.data"] == pytest.approx(float(misfit), rel=1e-5)
    assert numbers["loss.critic"] == pytest.approx(0.7 * float(critic(found).mean()), rel=1e-5)


class Denoising:
    """Ramps with noise of .2, or true ones: two sets that share no image."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def batches(self, start_step: int) -> Iterator[Batch]:
        operator = Identity(Space((12, 12)))
        x = torch.linspace(-1, 1, 12)
        for step in count(start_step):
            generator = torch.Generator().manual_seed(1000 * self.seed + step)
            a, b, c = torch.rand(3, 16, 1, 1, 1, generator=generator)
            truth = a + (b - 0.5) * x + (c - 0.5) * x[:, None]
            data = truth + 0.2 * torch.randn(truth.shape, generator=generator)
            yield Batch(InverseProblem(operator, data), truth, None, tuple(map(str, range(16))))


class Truths(Denoising):
    """The true images of one of these sets."""

    def batches(self, start: int) -> Iterator[Tensor]:  # type: ignore[override]
        for batch in super().batches(start):
            assert batch.truth is not None
            yield batch.truth


def trained(weight: float, steps: int = 45) -> tuple[float, float]:
    """Mean squared errors of other data, and of their reconstructions after the training."""
    torch.manual_seed(0)
    model = LearnedGradient(3, 2, 8, start="adjoint")
    update = Adversarial(
        model,
        Critic(hidden=(8, 8)),
        images=Truths(1),
        spec=TrainingSpec(steps=60, optimiser=OptimiserSpec(learning_rate=1e-3)),
        options=AdversarialSpec(
            weight, critic_steps=4, optimiser=OptimiserSpec(learning_rate=1e-2)
        ),
        accelerator=make_accelerator(cpu=True),
    )
    for step, batch in zip(range(steps), Denoising(0).batches(0), strict=False):
        update(model, [batch], step=step)
    test = next(Denoising(2).batches(0))
    assert test.truth is not None
    with torch.no_grad():
        image = model(test.problem).image
    errors = [(u - test.truth).square().mean() for u in (test.problem.data, image)]
    return float(errors[0]), float(errors[1])


def test_training_without_pairs_denoises() -> None:
    """Without the critic the reconstruction is not better than its data."""
    noisy, found = trained(0.05)
    assert found < 0.8 * noisy
    _, alone = trained(0.0, 20)
    assert alone > 0.95 * noisy


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="penalty > 0"):
        AdversarialSpec(penalty=0.0)

    class Measured(ArrayDataset):
        def __getitem__(self, index: int) -> Sample:
            return super().__getitem__(index)._replace(truth=None)

    images = TrueImages(Measured([np.ones((4, 4))]), batch_size=1)
    with pytest.raises(DataError, match="true images for the critic"):
        next(images.batches(0))


def test_true_images_are_those_of_the_dataset_in_the_order_of_the_seed() -> None:
    values = [np.full((4, 4), k) for k in range(7)]
    source = TrueImages(ArrayDataset(values), batch_size=2, seed=3)
    found = [next(source.batches(k))[:, 0, 0, 0] for k in range(4)]
    assert sorted(torch.cat(found).tolist()) == list(range(7))
    stream = source.batches(0)
    assert all(torch.equal(next(stream)[:, 0, 0, 0], each) for each in found)
