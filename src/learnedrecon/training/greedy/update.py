"""Greedy training (Hauptmann et al., IEEE Trans. Med. Imaging 37(6), 2018): one step at a time.

Step k of a chain is fitted to the truth on its own, from the states that the trained steps before
it compute for the training set. Where the operator calls of a step do not depend on its weights,
states and results are computed once per sample and stored on the disk: T is then applied N times to
each sample instead of in every optimiser step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.training.greedy.stages import StageModel, StagePlan, chain_of, up_to
from learnedrecon.training.update import Supervised
from learnedrecon.weights.tensorfile import with_prefix, without_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from accelerate import Accelerator
    from torch import Tensor, nn

    from learnedrecon.data.batch import Batch
    from learnedrecon.training.losses import Loss
    from learnedrecon.training.spec import TrainingSpec

_STAGE = "stage"
_INNER = "inner."


class Greedy:
    """An update that trains one step of a chain after the other, and finally all of them together.

    Every stage has its own optimiser and schedule.

    Args:
        model: An iterative scheme along a chain.
        loss: Function (estimate, batch) → (batch,).
        spec: Specification of the whole training, with the options ``spec.greedy``.
        accelerator: Device and precision; one process.

    Raises:
        ConfigError: The model is of another kind, stages have unequal lengths, or there are several
            processes.
    """

    def __init__(
        self, model: nn.Module, *, loss: Loss, spec: TrainingSpec, accelerator: Accelerator
    ) -> None:
        self.plan = StagePlan(spec, len(chain_of(model)))
        if accelerator.num_processes > 1:
            raise ConfigError(
                describe(
                    expected="greedy training in one process",
                    found=f"{accelerator.num_processes} processes",
                    fix="start one process, or train end to end",
                )
            )
        assert isinstance(model, Iterative)
        self.model = model
        self.loss = loss
        self.accelerator = accelerator
        self.stage = -1
        self._part: nn.Module = model
        self._inner: Supervised | None = None
        self._enter(0)

    def __call__(
        self, model: nn.Module, batches: Sequence[Batch], *, step: int
    ) -> dict[str, float]:
        del model  # the same weights, of which a stage trains a part
        self._enter(self.plan.stage(step))
        assert self._inner is not None
        self._part.train()
        local, _ = self.plan.local(step)
        metrics = self._inner(self._part, batches, step=local)
        return {**metrics, "stage": self.stage + 1}

    def state(self) -> dict[str, Tensor]:
        assert self._inner is not None
        return {
            _STAGE: torch.tensor(self.stage),
            **with_prefix(_INNER, self._inner.state()),
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        self._enter(int(tensors[_STAGE]))
        assert self._inner is not None
        self._inner.load_state(without_prefix(_INNER, tensors))

    def _enter(self, stage: int) -> None:
        if stage == self.stage:
            return
        self.stage = stage
        whole = stage == self.plan.stages
        self._part = self.model if whole else StageModel(self.model, stage)
        _, spec = self.plan.local(stage * self.plan.length)
        self._inner = Supervised(
            self._part, loss=self.loss, spec=spec, accelerator=self.accelerator
        )


class StageValidation:
    """Validation of the steps that are trained so far.

    Until the last step is trained, the number that selects the best weights is called
    ``partial_...`` and selects none.

    Args:
        validate: Function from a model to numbers.
        update: Update, which determines the stage.
    """

    def __init__(
        self, validate: Callable[[nn.Module], Mapping[str, float]], update: Greedy
    ) -> None:
        self.validate = validate
        self.update = update

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """The numbers to log."""
        assert isinstance(model, Iterative)
        stage, stages = self.update.stage, self.update.plan.stages
        measured = dict(self.validate(up_to(model, stage).eval()))
        if stage < stages - 1:
            name = self.update.plan.spec.best.metric
            measured[f"partial_{name}"] = measured.pop(name)
        return {**measured, "stage": stage + 1}
