"""Data of three splits, and the batches that a training, a validation and a test see of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from typing import TYPE_CHECKING

from learnedrecon.data.datasets import SampleDataset, checked_index
from learnedrecon.data.draws import Drawing, draws_of, with_draws
from learnedrecon.data.loader import Loader, evaluation_batches
from learnedrecon.errors import ConfigError, describe
from learnedrecon.metrics.ranges import parse_range
from learnedrecon.training.validation import MeanPsnr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from learnedrecon.config.schema import EvaluationConfig
    from learnedrecon.data.batch import Batch, BatchBuilder, Sample
    from learnedrecon.data.consistency import Mismatch
    from learnedrecon.data.seeds import Split
    from learnedrecon.metrics.ranges import DataRange
    from learnedrecon.training.spec import TrainingSpec


class Material(ABC):
    """What a method is trained, validated and tested with: described by a file, or given."""

    @property
    def workers(self) -> int:
        """Processes that load samples; 0 loads them in the main one."""
        return 0

    @abstractmethod
    def dataset(self, split: Split) -> SampleDataset:
        """The samples of a split.

        Raises:
            DataError: There are none.
        """

    @property
    @abstractmethod
    def builder(self) -> BatchBuilder:
        """The maker of batches on the device."""

    @property
    @abstractmethod
    def draws(self) -> int:
        """Number of random integers that every batch brings."""

    @property
    @abstractmethod
    def training(self) -> TrainingSpec:
        """The optimisation."""

    @property
    @abstractmethod
    def evaluation(self) -> EvaluationConfig:
        """The scores."""

    @property
    def mismatch(self) -> Mismatch:
        """What is done about measurements that are clearly not T(truth)."""
        return "refuse"

    @property
    def data_range(self) -> DataRange:
        """The data range of PSNR and SSIM."""
        return parse_range(self.evaluation.range)

    def training_batches(self, *, drop_last: bool = False) -> Drawing:
        """Batches to train on, without end, shuffled.

        Args:
            drop_last: Whether batches that are not full are omitted, as several processes need it.

        Raises:
            DataError: No samples.
        """
        loader = Loader(
            self.dataset("train"),
            self.builder,
            batch_size=self.training.batch.size,
            seed=self.training.seed,
            drop_last=drop_last,
            workers=self.workers,
        )
        return Drawing(loader, self.draws, self.training.seed)

    def batches(
        self,
        split: Split,
        images: int | None = None,
        batch_size: int | None = None,
        draws: int | None = None,
    ) -> Iterator[Batch]:
        """The first images of a split, every time the same.

        Args:
            split: The split.
            images: Number of images at most; that of the evaluation unless given.
            batch_size: Images together; that of the evaluation unless given.
            draws: Random integers that every batch brings, the same for all; as many as in training
                unless given.

        Raises:
            DataError: No samples.
        """
        evaluation = self.evaluation
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

    def validation(self) -> MeanPsnr:
        """The validation that a training chooses the best weights by."""
        return MeanPsnr(lambda: self.batches("validation"), self.data_range)


class First(SampleDataset):
    """The first samples of a dataset.

    Args:
        dataset: Samples.
        number: Number of samples; all where the dataset has no more.

    Raises:
        ConfigError: A number below 1.
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
