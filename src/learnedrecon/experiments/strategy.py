"""Training strategies: all steps of a scheme together, or one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from torch import nn

from learnedrecon.training.greedy.source import GreedySource
from learnedrecon.training.greedy.update import Greedy, StageValidation
from learnedrecon.training.loop import BatchSource
from learnedrecon.training.update import Supervised, Update

if TYPE_CHECKING:
    from pathlib import Path

    from accelerate import Accelerator

    from learnedrecon.experiments.material import Material
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.training.losses import Loss

    Validate = Callable[[nn.Module], Mapping[str, float]]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Strategy:
    """The parts of a training that depend on its strategy.

    Attributes:
        source: Source of batches.
        update: Update that performs one optimiser step.
        validate: Function from the model to numbers.
    """

    source: BatchSource
    update: Update
    validate: Callable[[nn.Module], Mapping[str, float]]

    @classmethod
    def of(
        cls,
        material: Material,
        model: Reconstructor,
        loss: Loss,
        accelerator: Accelerator,
        *,
        cache: Path,
        identity: str,
        validate: Validate | None = None,
    ) -> Self:
        """The strategy that ``training.strategy`` of the material names.

        Args:
            material: Data and specification of the training.
            model: Model that is trained.
            loss: Loss to minimise.
            accelerator: Device, precision and processes.
            cache: Folder for the disk cache of greedy training.
            identity: Text that identifies everything the cache depends on; another text invalidates
                it.
            validate: Function from the model to numbers; the mean PSNR unless given.

        Raises:
            ConfigError: The model or the training cannot be trained in this way.
        """
        spec, processes = material.training, accelerator.num_processes
        loader = material.training_batches(drop_last=processes > 1)
        check = material.validation() if validate is None else validate
        if spec.strategy != "greedy":
            update = Supervised(model, loss=loss, spec=spec, accelerator=accelerator)
            return cls(loader.for_process(accelerator.process_index, processes), update, check)
        greedy = Greedy(model, loss=loss, spec=spec, accelerator=accelerator)
        source = GreedySource(
            loader, greedy.model, greedy.plan, cache, identity=identity, say=_LOG.info
        )
        return cls(source, greedy, StageValidation(check, greedy))

    def close(self) -> None:
        """Removes files that are not needed after the training."""
        if isinstance(self.source, GreedySource):
            self.source.close()
