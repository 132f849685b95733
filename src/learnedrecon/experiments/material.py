"""Data of three splits, and their batches in training, validation and test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from typing import TYPE_CHECKING

from learnedrecon.data.datasets import SampleDataset, checked_index
from learnedrecon.data.draws import Drawing, draws_of, with_draws
from learnedrecon.data.loader import Loader, evaluation_batches
from learnedrecon.errors import ConfigError, describe
from learnedrecon.limits import MOST_IMAGES, refuse_bytes, refuse_count
from learnedrecon.metrics.ranges import parse_range
from learnedrecon.training.validation import MeanPsnr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from learnedrecon.config.schema import EvaluationConfig
    from learnedrecon.data.batch import Batch, BatchBuilder, Sample
    from learnedrecon.data.consistency import Mismatch
    from learnedrecon.data.noise import Noise
    from learnedrecon.data.seeds import Split
    from learnedrecon.metrics.ranges import DataRange
    from learnedrecon.training.spec import TrainingSpec


class Material(ABC):
    """Base class of the data and settings of a training, from a file or given in Python."""

    @property
    def workers(self) -> int:
        """The number of processes that load samples; 0 loads them in the main process."""
        return 0

    @property
    def noise(self) -> Noise | None:
        """The noise of simulated data, or None."""
        return None

    @abstractmethod
    def dataset(self, split: Split) -> SampleDataset:
        """The samples of a split.

        Raises:
            DataError: The split has no samples.
        """

    def true_images(self) -> SampleDataset:
        """The true images for the critic of adversarial training; by default there are none.

        Raises:
            ConfigError: There are none.
        """
        raise ConfigError(
            describe(
                expected="true images for the critic of 'strategy: adversarial', in 'data.images'",
                found="none",
                fix="add the section 'data.images' to the configuration, with other images than "
                "those of 'data.train'",
            )
        )

    @property
    @abstractmethod
    def builder(self) -> BatchBuilder:
        """The maker of batches on the device."""

    @property
    @abstractmethod
    def draws(self) -> int:
        """The number of random integers that every batch brings."""

    @property
    @abstractmethod
    def training(self) -> TrainingSpec:
        """The specification of the training."""

    @property
    @abstractmethod
    def evaluation(self) -> EvaluationConfig:
        """The settings of the scores."""

    @property
    def mismatch(self) -> Mismatch:
        """The reaction to measurements that are clearly not T(truth)."""
        return "refuse"

    @property
    def data_range(self) -> DataRange:
        """The data range of PSNR and SSIM."""
        return parse_range(self.evaluation.range)

    def training_batches(self, *, drop_last: bool = False) -> Drawing:
        """Shuffled training batches without end.

        Args:
            drop_last: True to omit batches that are not full, as several processes require.

        Raises:
            DataError: There are no samples.
        """
        batch = self.training.batch
        self._refuse_large(batch.size * batch.accumulate, "training.batch, size x accumulate")
        loader = Loader(
            self.dataset("train"),
            self.builder,
            batch_size=batch.size,
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
        """Batches of the first images of a split, always the same.

        Args:
            split: "train", "validation" or "test".
            images: Largest number of images; that of the evaluation unless given.
            batch_size: Number of images together; that of the evaluation unless given.
            draws: Number of random integers that every batch brings, the same for all; as many as
                in training unless given.

        Raises:
            DataError: There are no samples.
        """
        evaluation = self.evaluation
        if images is None:
            images = evaluation.images if split == "test" else evaluation.validation_images
        samples = First(self.dataset(split), images)
        refuse_count(len(samples), MOST_IMAGES, "images of one evaluation")
        size = min(batch_size or evaluation.batch_size, max(1, len(samples)))
        self._refuse_large(size, "evaluation.batch_size")
        batches = evaluation_batches(samples, self.builder, batch_size=size)
        number = self.draws if draws is None else draws
        drawn = draws_of(number)
        return (with_draws(batch, drawn) for batch in batches)

    def _refuse_large(self, samples: int, what: str) -> None:
        """Refuses batches whose images and data alone take more than the memory."""
        operator = self.builder.operator
        each = sum(
            space.size * space.dtype.itemsize for space in (operator.domain, operator.codomain)
        )
        refuse_bytes(samples * each, f"a batch ({what})", of=f"{samples} samples")

    def validation(self) -> MeanPsnr:
        """The validation that selects the best weights."""
        return MeanPsnr(lambda: self.batches("validation"), self.data_range)


class First(SampleDataset):
    """The first samples of a dataset.

    Args:
        dataset: Dataset of all samples.
        number: Number of samples; all where the dataset has fewer.

    Raises:
        ConfigError: The number is below 1.
    """

    def __init__(self, dataset: SampleDataset, number: int) -> None:
        if number < 1:
            raise ConfigError(
                describe(expected="at least one image", found=f"{number}", fix="use at least 1")
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
