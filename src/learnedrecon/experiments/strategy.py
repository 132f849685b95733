"""What `learnedrecon train` trains with: all steps together, or one after the other."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from torch import nn

from learnedrecon.specs import to_plain
from learnedrecon.training.greedy.source import GreedySource
from learnedrecon.training.greedy.update import Greedy, StageValidation
from learnedrecon.training.loop import BatchSource
from learnedrecon.training.update import Supervised, Update

if TYPE_CHECKING:
    from pathlib import Path

    from accelerate import Accelerator

    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.schemes.reconstructor import Reconstructor

_LOG = logging.getLogger(__name__)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Strategy:
    """What depends on the strategy of a training.

    Attributes:
        source: of batches.
        update: one optimiser step.
        validate: from the model to numbers.
    """

    source: BatchSource
    update: Update
    validate: Callable[[nn.Module], Mapping[str, float]]

    @classmethod
    def of(
        cls, experiment: Experiment, model: Reconstructor, accelerator: Accelerator, folder: Path
    ) -> Self:
        """What ``training.strategy`` of the configuration asks for.

        Args:
            experiment: with the configuration.
            model: that is trained.
            accelerator: device, precision, processes.
            folder: of the run.

        Raises:
            ConfigError: the model or the training cannot be trained in this way.
        """
        config = experiment.config
        spec, processes = config.training, accelerator.num_processes
        loader = experiment.training_batches(drop_last=processes > 1)
        validate = experiment.validation()
        if spec.strategy != "greedy":
            update = Supervised(model, loss=config.loss, spec=spec, accelerator=accelerator)
            return cls(loader.for_process(accelerator.process_index, processes), update, validate)
        greedy = Greedy(model, loss=config.loss, spec=spec, accelerator=accelerator)
        plain = to_plain(config)
        identity = json.dumps({name: plain[name] for name in ("operator", "model", "data")})
        source = GreedySource(
            loader, greedy.model, greedy.plan, folder / "cache", identity=identity, say=_LOG.info
        )
        return cls(source, greedy, StageValidation(validate, greedy))

    def close(self) -> None:
        """Removes what is not needed when the training is finished."""
        if isinstance(self.source, GreedySource):
            self.source.close()
