"""From a configuration to the things it describes."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import torch

from learnedrecon import specs
from learnedrecon.config.schema import Config
from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.datasets import SampleDataset, checked_index
from learnedrecon.data.draws import Drawing, draws_of, with_draws
from learnedrecon.data.loader import Loader, evaluation_batches
from learnedrecon.data.pairs import PairFolderSpec
from learnedrecon.data.registry import build_dataset
from learnedrecon.errors import ConfigError, FileFormatError, describe
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.generators import seed_generators, undisturbed_generators
from learnedrecon.metrics.ranges import parse_range
from learnedrecon.models.like import Like
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.recorded import Record, arguments_of
from learnedrecon.training.validation import MeanPsnr
from learnedrecon.weights.checkpoint import Blueprint, FidelityName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from learnedrecon.data.batch import Batch, Sample
    from learnedrecon.functionals.base import Fidelity
    from learnedrecon.metrics.ranges import DataRange
    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor

FIDELITIES: Mapping[FidelityName, Callable[[], Fidelity]] = MappingProxyType(
    {"least_squares": LeastSquares, "kullback_leibler": KullbackLeibler}
)
"""The data terms that a configuration and a weights file can name."""


class First(SampleDataset):
    """The first samples of a dataset.

    Args:
        dataset: of samples.
        number: how many; all where the dataset has no more.

    Raises:
        ConfigError: a number below 1.
    """

    def __init__(self, dataset: SampleDataset, number: int) -> None:
        if number < 1:
            raise ConfigError(
                describe(
                    expected="at least one image", found=f"{number}", fix="ask for some images"
                )
            )
        self.dataset = dataset
        self.number = min(number, len(dataset))

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[checked_index(index, self.number)]

    def buckets(self) -> Sequence[Sequence[int]]:
        cut = [bucket[: bisect_left(bucket, self.number)] for bucket in self.dataset.buckets()]
        return [bucket for bucket in cut if len(bucket) > 0]


@dataclass(frozen=True, eq=False)
class Experiment:
    """Everything that a configuration describes, built when it is first asked for.

    Attributes:
        config: what is built.
        device: where batches are made.
    """

    config: Config
    device: torch.device | str = "cpu"

    @cached_property
    def operator(self) -> Operator:
        """T."""
        return specs.build(OPERATORS, self.config.operator)

    @property
    def data_range(self) -> DataRange:
        """Of PSNR and SSIM."""
        return parse_range(self.config.evaluation.range)

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
        if "like" not in arguments_of(spec) or spec.like is not None:
            return spec
        sample = self.dataset("train")[0]
        first = next(each for each in (sample.truth, sample.data) if each is not None)
        return replace(spec, like=Like.of(self.operator, first.shape[0]))

    @cached_property
    def builder(self) -> BatchBuilder:
        """Makes batches on the device."""
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
        """How many random integers every batch brings."""
        asked = self.config.data.draws
        return self.model().draws if asked is None else asked

    def training_batches(self, *, drop_last: bool = False) -> Drawing:
        """Batches to train on, without end, shuffled.

        Args:
            drop_last: leave out batches that are not full, as several processes need it.

        Raises:
            DataError: no samples.
        """
        loader = Loader(
            self.dataset("train"),
            self.builder,
            batch_size=self.config.training.batch.size,
            seed=self.config.training.seed,
            drop_last=drop_last,
            workers=self.config.data.workers,
        )
        return Drawing(loader, self.draws, self.config.training.seed)

    def batches(
        self,
        split: Literal["validation", "test"],
        images: int | None = None,
        batch_size: int | None = None,
        draws: int | None = None,
    ) -> Iterator[Batch]:
        """The first images of a split, every time the same.

        Args:
            split: which.
            images: at most; what the configuration says where it is None.
            batch_size: images together; what the configuration says where it is None.
            draws: random integers that every batch brings, the same for all; as many as in training
                where it is None.

        Raises:
            DataError: no samples.
        """
        evaluation = self.config.evaluation
        if images is None:
            images = evaluation.images if split == "test" else evaluation.validation_images
        batches = evaluation_batches(
            First(self.dataset(split), images),
            self.builder,
            batch_size=batch_size or evaluation.batch_size,
        )
        number = self.draws if draws is None else draws
        drawn = draws_of(number)
        return (with_draws(batch, drawn) for batch in batches)

    def dataset(self, split: Literal["train", "validation", "test"]) -> SampleDataset:
        """The samples of a split.

        Raises:
            FileFormatError: the folder or file that it names is not there.
        """
        spec = getattr(self.config.data, split)
        if isinstance(spec, PairFolderSpec) and not Path(spec.path).exists():
            raise FileFormatError(
                describe(
                    expected=f"a folder or an HDF5 file at 'data.{split}.path', {spec.path}",
                    found="no such path",
                    fix="correct it; a relative path in a configuration is taken from the folder "
                    "of that file, one after --set from the working folder",
                )
            )
        return build_dataset(spec, self.config.operator)

    def validation(self) -> MeanPsnr:
        """What the training loop calls to choose the best weights."""
        return MeanPsnr(lambda: self.batches("validation"), self.data_range)
