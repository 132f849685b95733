"""Experiments: all objects that a configuration describes."""

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
from learnedrecon.models.building import build_model
from learnedrecon.models.like import Like
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.recorded import Record, arguments_of
from learnedrecon.weights.checkpoint import Blueprint, FidelityName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from learnedrecon.config.schema import EvaluationConfig
    from learnedrecon.data.consistency import Mismatch
    from learnedrecon.data.datasets import SampleDataset
    from learnedrecon.data.noise import Noise
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
    """All objects that a configuration describes, built on first access.

    Attributes:
        config: Configuration.
        device: Device of the batches.
    """

    config: Config
    device: torch.device | str = "cpu"

    @cached_property
    def operator(self) -> Operator:
        """The operator T."""
        return specs.build(OPERATORS, self.config.operator)

    @property
    def workers(self) -> int:
        """The number of processes that load samples."""
        return self.config.data.workers

    @property
    def mismatch(self) -> Mismatch:
        """The reaction to measurements that are clearly not T(truth)."""
        return self.config.data.mismatch

    @property
    def noise(self) -> Noise | None:
        """The noise of simulated data, or None."""
        simulation = self.config.data.simulation
        return None if simulation is None else simulation.noise

    @property
    def training(self) -> TrainingSpec:
        """The specification of the training."""
        return self.config.training

    @property
    def evaluation(self) -> EvaluationConfig:
        """The settings of the scores."""
        return self.config.evaluation

    @property
    def blueprint(self) -> Blueprint:
        """The description of model and operator in checkpoints."""
        return Blueprint.of(self.model_spec, self.config.operator, fidelity=self.config.fidelity)

    @cached_property
    def model_spec(self) -> Record:
        """The record of the method, with the formats of T's images and data where it has none.

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
        """The data term D."""
        return FIDELITIES[self.config.fidelity]()

    def model(self) -> Reconstructor:
        """The method, with weights drawn by the training's seed and global generators unchanged."""
        with undisturbed_generators():
            seed_generators(self.config.training.seed)
            return build_model(self.model_spec)

    @property
    def draws(self) -> int:
        """The number of random integers that every batch brings."""
        asked = self.config.data.draws
        return self.model().draws if asked is None else asked

    def dataset(self, split: Split) -> SampleDataset:
        """The samples of a split.

        Raises:
            FileFormatError: A folder or file of the dataset does not exist.
        """
        return self._section(split)

    def true_images(self) -> SampleDataset:
        """The true images for the critic of adversarial training.

        Raises:
            ConfigError: The configuration has no section ``data.images``.
            FileFormatError: A folder or file of the dataset does not exist.
        """
        return super().true_images() if self.config.data.images is None else self._section("images")

    def _section(self, name: str) -> SampleDataset:
        spec = self.config.data.sections[name]
        require_files(spec, f"data.{name}")
        return build_dataset(spec, self.config.operator)
