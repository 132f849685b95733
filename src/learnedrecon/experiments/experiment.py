"""From a configuration to the things it describes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from learnedrecon import specs
from learnedrecon.config.schema import Config
from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.registry import build_dataset
from learnedrecon.experiments.inputs import require_files
from learnedrecon.experiments.material import Material
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.generators import seed_generators, undisturbed_generators
from learnedrecon.models.like import Like
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.recorded import Record, arguments_of
from learnedrecon.weights.checkpoint import Blueprint, FidelityName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from learnedrecon.config.schema import EvaluationConfig
    from learnedrecon.data.consistency import Mismatch
    from learnedrecon.data.datasets import SampleDataset
    from learnedrecon.data.seeds import Split
    from learnedrecon.functionals.base import Fidelity
    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.training.spec import TrainingSpec

FIDELITIES: Mapping[FidelityName, Callable[[], Fidelity]] = MappingProxyType(
    {"least_squares": LeastSquares, "kullback_leibler": KullbackLeibler}
)
"""The data terms that a configuration and a weights file can name."""


@dataclass(frozen=True, eq=False)
class Experiment(Material):
    """Everything that a configuration describes, built when it is first asked for.

    Attributes:
        config: The configuration.
        device: Device on which batches are made.
    """

    config: Config
    device: torch.device | str = "cpu"

    @cached_property
    def operator(self) -> Operator:
        """T."""
        return specs.build(OPERATORS, self.config.operator)

    @property
    def workers(self) -> int:
        """Processes that load samples."""
        return self.config.data.workers

    @property
    def mismatch(self) -> Mismatch:
        """What is done about measurements that are clearly not T(truth)."""
        return self.config.data.mismatch

    @property
    def training(self) -> TrainingSpec:
        """The optimisation."""
        return self.config.training

    @property
    def evaluation(self) -> EvaluationConfig:
        """The scores."""
        return self.config.evaluation

    @property
    def blueprint(self) -> Blueprint:
        """What a checkpoint keeps of the configuration."""
        return Blueprint.of(self.model_spec, self.config.operator, fidelity=self.config.fidelity)

    @cached_property
    def model_spec(self) -> Record:
        """The record of the method, for the images and data of T where it does not say for which.

        The number of channels is that of the first true image or measurement.
        """
        spec = self.config.model
        arguments = arguments_of(spec)
        if arguments.get("like", spec) is not None:
            return spec
        sample = self.dataset("train")[0]
        first = next(each for each in (sample.truth, sample.data) if each is not None)
        return replace(spec, like=Like.of(self.operator, first.shape[0]))

    @cached_property
    def builder(self) -> BatchBuilder:
        """The maker of batches on the device."""
        return BatchBuilder(
            self.operator,
            spec=self.config.operator,
            measurement=self.config.data.simulation,
            fidelity=self.fidelity(),
            device=self.device,
        )

    def fidelity(self) -> Fidelity:
        """D."""
        return FIDELITIES[self.config.fidelity]()

    def model(self) -> Reconstructor:
        """The method, its weights drawn with the seed of the training and nothing disturbed."""
        with undisturbed_generators():
            seed_generators(self.config.training.seed)
            return specs.build(MODELS, self.model_spec)

    @property
    def draws(self) -> int:
        """Number of random integers that every batch brings."""
        asked = self.config.data.draws
        return self.model().draws if asked is None else asked

    def dataset(self, split: Split) -> SampleDataset:
        """The samples of a split.

        Raises:
            FileFormatError: The folder or file that it names is not there.
        """
        spec = self.config.data.sections[split]
        require_files(spec, f"data.{split}")
        return build_dataset(spec, self.config.operator)
