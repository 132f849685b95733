"""Training strategies: all steps together, one after the other, or without pairs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from torch import nn

from learnedrecon.generators import seed_generators, undisturbed_generators
from learnedrecon.networks.critic import Critic
from learnedrecon.training.adversarial.images import TrueImages
from learnedrecon.training.adversarial.update import Adversarial
from learnedrecon.training.greedy.source import GreedySource
from learnedrecon.training.greedy.update import Greedy, StageValidation
from learnedrecon.training.loop import BatchSource
from learnedrecon.training.spec import AdversarialSpec
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
            update = (
                Supervised(model, loss=loss, spec=spec, accelerator=accelerator)
                if spec.strategy is None
                else adversarial(material, model, accelerator)
            )
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


def adversarial(material: Material, model: Reconstructor, accelerator: Accelerator) -> Adversarial:
    """The update of adversarial training, with a critic for the true images of the material.

    Its initial weights are drawn by the seed of the training, with the global generators unchanged.

    Args:
        material: Data and specification of the training.
        model: Model that is trained.
        accelerator: Device, precision and processes.

    Raises:
        ConfigError: There are no true images for the critic, or several processes.
        DataError: A sample has no true image.
    """
    spec = material.training
    options = spec.adversarial or AdversarialSpec()
    images = TrueImages(
        material.true_images(), batch_size=spec.batch.size * spec.batch.accumulate, seed=spec.seed
    )
    first = next(images.batches(0))
    channels = first.shape[1] * (2 if first.is_complex() else 1)
    unit = options.unit * (model.image_scale or 1.0)
    with undisturbed_generators():
        seed_generators(spec.seed)
        critic = Critic(channels, options.hidden, first.ndim - 2, unit)
    return Adversarial(
        model, critic, images=images, spec=spec, options=options, accelerator=accelerator
    )
