"""Stages of greedy training: the step of a chain that each optimiser step trains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.reconstructor import Estimate, Iterative
from learnedrecon.schemes.step import Chain
from learnedrecon.training.greedy.tape import Replayed
from learnedrecon.training.spec import GreedySpec, TrainingSpec

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.problem import Problem


@dataclass(frozen=True)
class StagePlan:
    """N stages of equal length, followed by fine-tuning of all steps together.

    Attributes:
        spec: Specification of the whole training.
        stages: Number N of steps of the chain.

    Raises:
        ConfigError: The optimiser steps cannot be divided equally, or the training has a moving
            average or fp16, which greedy training does not support.
    """

    spec: TrainingSpec
    stages: int

    def __post_init__(self) -> None:
        spec = self.spec
        each, rest = divmod(spec.steps - self.greedy.fine_tune, self.stages)
        unit = self.stages * spec.batch.repeats
        if rest or each < 1 or each % spec.batch.repeats:
            near = max(1, round((spec.steps - self.greedy.fine_tune) / unit)) * unit
            raise ConfigError(
                describe(
                    expected=f"training.steps = fine_tune + a multiple of {unit}, the same for "
                    f"each of {self.stages} stages",
                    found=f"steps = {spec.steps}, fine_tune = {self.greedy.fine_tune}",
                    fix=f"set training.steps to {self.greedy.fine_tune + near}",
                )
            )
        if spec.average is not None or spec.precision == "fp16":
            raise ConfigError(
                describe(
                    expected="greedy training without 'average', and in precision no or bf16",
                    found=f"average = {spec.average}, precision = {spec.precision}",
                    fix="set training.average to null and training.precision to no or bf16",
                )
            )

    @property
    def greedy(self) -> GreedySpec:
        """The options of greedy training."""
        return self.spec.greedy or GreedySpec()

    @property
    def length(self) -> int:
        """The number of optimiser steps in one stage."""
        return (self.spec.steps - self.greedy.fine_tune) // self.stages

    def stage(self, step: int) -> int:
        """The step of the chain that optimiser step ``step`` trains; N is fine-tuning."""
        return min(step // self.length, self.stages)

    def stage_of_batch(self, number: int) -> int:
        """The step of the chain that batch number ``number`` trains; N is fine-tuning."""
        batch = self.spec.batch
        return self.stage(number // batch.accumulate * batch.repeats)

    def samples(self, stage: int) -> int:
        """The number of samples that a stage draws, with repetitions."""
        length = self.greedy.fine_tune if stage == self.stages else self.length
        batch = self.spec.batch
        return length // batch.repeats * batch.accumulate * batch.size

    def local(self, step: int) -> tuple[int, TrainingSpec]:
        """The number of an optimiser step within its stage, and the training of that stage."""
        stage = self.stage(step)
        if stage < self.stages:
            return step - stage * self.length, replace(self.spec, steps=self.length)
        rate = self.spec.optimiser.learning_rate * self.greedy.fine_tune_rate
        optimiser = replace(self.spec.optimiser, learning_rate=rate)
        tuned = replace(self.spec, steps=self.greedy.fine_tune, optimiser=optimiser)
        return step - stage * self.length, tuned


def chain_of(model: nn.Module) -> Chain[Any]:
    """The chain of steps of a model.

    Args:
        model: Model to train.

    Raises:
        ConfigError: The model is not an iterative scheme whose steps have their own weights.
    """
    scheme = model.scheme if isinstance(model, Iterative) else None
    if not isinstance(scheme, Chain):
        found = type(model).__name__ if scheme is None else f"a {type(scheme).__name__}"
        raise ConfigError(
            describe(
                expected="a chain of steps with their own weights for greedy training",
                found=found,
                fix="use such a model, for example deep_gradient_descent, or train end to end",
            )
        )
    return scheme


def up_to(model: Iterative, stage: int) -> Iterative:
    """The model restricted to its first ``stage`` + 1 steps, with shared weights.

    Args:
        model: Iterative scheme along a chain.
        stage: Number of the last step, from 0.
    """
    chain = chain_of(model)
    return model.with_scheme(chain[: min(stage + 1, len(chain))]).train(model.training)


class StageModel(nn.Module):
    """The image after step ``stage``, with gradients through that step only.

    Its parameters are those of that step. The steps before it are in evaluation mode.

    Args:
        model: Model whose scheme is a chain.
        stage: Number of the step, from 0.
    """

    def __init__(self, model: Iterative, stage: int) -> None:
        super().__init__()
        chain = chain_of(model)
        self.step = chain[stage]
        self._frozen = (model, list(chain)[:stage])

    def forward(self, problem: Problem) -> Estimate:
        scale: Tensor | float
        if isinstance(problem, Replayed):
            scaled, state, scale = problem, problem.state, problem.scale
        else:
            scaled, state, scale = self.start(problem)  # type: ignore[assignment]
        return Estimate(scale * self.step.image(self.step(state, scaled)))

    @torch.no_grad()
    def start(self, problem: Problem) -> tuple[Problem, Any, Tensor | float]:
        """The scaled problem, the state before the step, and the factor c."""
        model, before = self._frozen
        scaled, scale = model.scaled(problem)
        state = model.initial(scaled)
        for step in before:
            state = step.eval()(state, scaled)
        return scaled, state, scale
