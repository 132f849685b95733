"""Unrolled adversarial regularisation (Mukherjee et al., NeurIPS 2021): unpaired training.

    critic:          min_R  E R(u) - E R(û) + μ E (‖∇R‖ - 1)₊²      û = the reconstruction of y
    reconstruction:  min_Θ  E |Tû - y|² + λ E R(û)                  |.|² the mean over the entries

u are true images of other samples than those that are measured: no pair (u, y) is used. R
approximates λ times the Wasserstein distance of the reconstructions from the true images, up to
sign and scale. With λ → 0 the data alone decide, with a large λ the distribution of true images.
Each step of training is ``critic_steps`` steps of R and one of Θ, by two optimisers.

Differences from the paper: |Tû - y|² is a mean over the entries; a smaller critic; the two
optimisers alternate from the start, without a warm-up by supervised data or FBP.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.generators import undisturbed_generators
from learnedrecon.networks.critic import gradient_penalty
from learnedrecon.training.optimisers import (
    build_optimiser,
    load_optimiser_state,
    optimiser_state,
)
from learnedrecon.training.update import Supervised
from learnedrecon.weights.tensorfile import require_match, with_prefix, without_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from accelerate import Accelerator
    from torch import Tensor, nn

    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Estimate
    from learnedrecon.training.adversarial.images import ImageSource
    from learnedrecon.training.spec import AdversarialSpec, TrainingSpec

_CRITIC, _OPTIMISER, _INNER = "critic.", "critic_optimiser.", "inner."


class UnpairedLoss:
    """The parts |Tû - y|² and λR(û) of the loss of a reconstruction, without true images.

    Args:
        critic: R, from images to (batch,).
        weight: λ.
    """

    def __init__(self, critic: nn.Module, weight: float) -> None:
        self.critic = critic
        self.weight = weight

    def __call__(self, estimate: Estimate, batch: Batch) -> dict[str, Tensor]:
        misfit = batch.problem.forward(estimate.image) - batch.problem.data
        values: Tensor = self.critic(estimate.image)
        return {
            "data": misfit.abs().square().flatten(1).mean(1),
            "critic": self.weight * values,
        }


class Adversarial:
    """An update with two optimisers: steps of the critic, then one of the reconstruction.

    The numbers of a step are those of :class:`Supervised`, with the parts ``loss.data`` and
    ``loss.critic``, and ``critic.distance`` E R(û) - E R(u) and ``critic.penalty`` of the last step
    of the critic. Weights and optimiser of the critic are part of the state of the training.

    Args:
        model: Reconstruction whose parameters are trained.
        critic: R, on the device of the model.
        images: Source of true images of other samples than those that are measured; batches number
            step · critic_steps and following are those of a step.
        spec: Optimiser, schedule and clipping of the reconstruction.
        options: Critic and its weight.
        accelerator: Device and precision; one process.

    Raises:
        ConfigError: There are several processes.
    """

    def __init__(
        self,
        model: nn.Module,
        critic: nn.Module,
        *,
        images: ImageSource,
        spec: TrainingSpec,
        options: AdversarialSpec,
        accelerator: Accelerator,
    ) -> None:
        if accelerator.num_processes > 1:
            raise ConfigError(
                describe(
                    expected="adversarial training in one process",
                    found=f"{accelerator.num_processes} processes",
                    fix="start one process",
                )
            )
        self.accelerator = accelerator
        self.options = options
        self.images = images
        self.critic = critic.to(accelerator.device)
        self.parameters = dict(self.critic.named_parameters())
        loss = UnpairedLoss(self.critic, options.weight)
        self._inner = Supervised(model, loss=loss, spec=spec, accelerator=accelerator)
        self._optimiser = build_optimiser(options.optimiser, self.parameters)
        self._real: tuple[int, Iterator[Tensor]] | None = None

    def __call__(
        self, model: nn.Module, batches: Sequence[Batch], *, step: int
    ) -> dict[str, float]:
        self.critic.requires_grad_(requires_grad=True)
        for number in range(self.options.critic_steps):
            place = step * self.options.critic_steps + number
            measured = self._teach(model, batches, place)
        self.critic.requires_grad_(requires_grad=False)
        return {**self._inner(model, batches, step=step), **measured}

    def state(self) -> dict[str, Tensor]:
        return {
            **with_prefix(_CRITIC, self.critic.state_dict()),
            **with_prefix(_OPTIMISER, optimiser_state(self._optimiser, self.parameters)),
            **with_prefix(_INNER, self._inner.state()),
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        own = without_prefix(_CRITIC, tensors)
        require_match("the checkpoint", expected=self.critic.state_dict(), found=own)
        self.critic.load_state_dict(own)
        moments = without_prefix(_OPTIMISER, tensors)
        load_optimiser_state(self._optimiser, self.parameters, moments)
        self._inner.load_state(without_prefix(_INNER, tensors))

    def _teach(self, model: nn.Module, batches: Sequence[Batch], place: int) -> dict[str, float]:
        """One step of the critic."""
        real = self._true_images(place)
        with torch.no_grad():
            found = torch.cat([model(batch.problem).image for batch in batches])
        pairs = min(len(real), len(found))
        shares = torch.rand(pairs, device=found.device, dtype=found.real.dtype)
        penalty = gradient_penalty(self.critic, real[:pairs], found[:pairs], shares).mean()
        distance = self.critic(found).mean() - self.critic(real).mean()
        loss = self.options.penalty * penalty - distance
        if not math.isfinite(loss.item()):
            raise DataError(
                describe(
                    expected="a finite loss of the critic",
                    found=f"{loss.item()}",
                    fix="lower the learning rate of the critic; no weight has changed in this step",
                )
            )
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return {"critic.distance": distance.item(), "critic.penalty": penalty.item()}

    def _true_images(self, place: int) -> Tensor:
        """The true images of batch number ``place`` of the second source."""
        if self._real is None or self._real[0] != place:
            self._real = (place, self.images.batches(place))
        with undisturbed_generators():
            images = next(self._real[1]).to(self.accelerator.device)
        self._real = (place + 1, self._real[1])
        return images
