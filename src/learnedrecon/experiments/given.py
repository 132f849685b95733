"""Data given in Python: tensors, arrays, datasets and their names, in three splits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from learnedrecon.config.schema import SPLITS, EvaluationConfig
from learnedrecon.data.batch import BatchBuilder, Sample
from learnedrecon.data.datasets import (
    EllipseSpec,
    SampleDataset,
    checked_index,
    image_tensor,
)
from learnedrecon.data.registry import DATASETS, build_dataset
from learnedrecon.data.sections import in_section, refuse_shared_images
from learnedrecon.data.simulate import Simulation
from learnedrecon.data.splits import split_ids
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.experiments.inputs import require_files
from learnedrecon.experiments.material import Material
from learnedrecon.specs import named_from_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.data.consistency import Mismatch
    from learnedrecon.data.noise import Noise
    from learnedrecon.data.seeds import Split
    from learnedrecon.functionals.base import Fidelity
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.space import Space
    from learnedrecon.recorded import Record
    from learnedrecon.training.spec import TrainingSpec

_FRACTIONS: Final = (0.8, 0.1, 0.1)


class GivenData(SampleDataset):
    """A dataset of tensors in memory.

    Args:
        truths: True images (number, [channel,] *domain), or None.
        data: Measurements (number, [channel,] *codomain), or None where they are simulated.
        labels: Labels (number, ...) for a task, or None.
        operator: T, whose spaces distinguish channels from space axes.

    Raises:
        ShapeError: Shapes do not fit the operator, or numbers of samples differ.
        DataError: There are neither truths nor data, or a value is NaN or infinite.
    """

    def __init__(
        self,
        truths: Any,  # noqa: ANN401 - tensors or arrays
        data: Any,  # noqa: ANN401 - tensors or arrays
        labels: Any,  # noqa: ANN401 - tensors or arrays
        operator: Operator,
    ) -> None:
        self.truths = _tensor(truths, operator.domain, "true images")
        self.data = _tensor(data, operator.codomain, "measurements")
        self.labels = None if labels is None else torch.as_tensor(labels)
        lengths = {
            name: len(each)
            for name, each in (
                ("true images", self.truths),
                ("measurements", self.data),
                ("labels", self.labels),
            )
            if each is not None
        }
        if len(set(lengths.values())) != 1 or not set(lengths) - {"labels"}:
            raise ShapeError(
                describe(
                    expected="as many true images as measurements and labels, where both are given",
                    found=", ".join(f"{n} {what}" for what, n in lengths.items()) or "none",
                    fix="give one of each for every sample",
                )
            )
        self.number = next(iter(lengths.values()))

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        k = checked_index(index, self.number)

        def of(tensors: Tensor | None) -> Tensor | None:
            return None if tensors is None else tensors[k]

        return Sample(f"sample-{k:07d}", of(self.data), of(self.truths), of(self.labels))


class Part(SampleDataset):
    """A subset of a dataset.

    Args:
        dataset: Dataset of all samples.
        indices: Indices of the samples, in order.

    Raises:
        DataError: There are no indices.
    """

    def __init__(self, dataset: SampleDataset, indices: Sequence[int]) -> None:
        if not indices:
            raise DataError(
                describe(
                    expected="at least one sample in every split that is used",
                    found=f"none, of {len(dataset)} in all",
                    fix="give more samples, or each split its own: {'train': ..., 'validation': "
                    "..., 'test': ...}",
                )
            )
        self.dataset = dataset
        self.indices = tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[checked_index(index, len(self))]]

    def buckets(self) -> Sequence[Sequence[int]]:
        place = {number: k for k, number in enumerate(self.indices)}
        found = [[place[k] for k in bucket if k in place] for bucket in self.dataset.buckets()]
        return [bucket for bucket in found if bucket]


class Settings(NamedTuple):
    """The settings of a training besides operator, model, data and loss.

    Attributes:
        training: Specification of the training.
        evaluation: Settings of the scores.
        mismatch: Reaction to measurements that are clearly not T(truth).
    """

    training: TrainingSpec
    evaluation: EvaluationConfig
    mismatch: Mismatch = "refuse"


class GivenMaterial(Material):
    """The data and settings of a training that is described in Python.

    Args:
        data: Data for all splits, or a mapping from "train", "validation" and "test" to data; see
            :func:`learnedrecon.fit`.
        operator: T.
        noise: Noise model, the whole simulation, or None for data without noise.
        settings: Settings of training and scores, and the reaction to data that are not T(truth).
        fidelity: Data term D.
        draws: Number of random integers that every batch brings.
        device: Device of the batches.

    Raises:
        ConfigError: Data are of an unknown kind, or splits share images.
        ShapeError: Data do not fit the operator.
    """

    def __init__(
        self,
        data: Any,  # noqa: ANN401 - one of many kinds
        operator: Operator,
        *,
        noise: Noise | Simulation | None,
        settings: Settings,
        fidelity: Fidelity,
        draws: int,
        device: torch.device,
    ) -> None:
        self.operator = operator
        self.simulation = noise if isinstance(noise, Simulation) else _simulation(noise)
        self.settings = settings
        self.fidelity = fidelity
        self.number_of_draws = draws
        self.device = device
        self.records: dict[Split, Record] | None = None
        self._sets = self._datasets(data)

    @property
    def noise(self) -> Noise | None:
        """The noise of simulated data, or None."""
        return None if self.simulation is None else self.simulation.noise

    @property
    def training(self) -> TrainingSpec:
        """The specification of the training."""
        return self.settings.training

    @property
    def evaluation(self) -> EvaluationConfig:
        """The settings of the scores."""
        return self.settings.evaluation

    @property
    def mismatch(self) -> Mismatch:
        """The reaction to measurements that are clearly not T(truth)."""
        return self.settings.mismatch

    @property
    def draws(self) -> int:
        """The number of random integers that every batch brings."""
        return self.number_of_draws

    @cached_property
    def builder(self) -> BatchBuilder:
        """The maker of batches on the device."""
        return BatchBuilder(
            self.operator,
            spec=self.operator.spec,
            measurement=self.simulation,
            fidelity=self.fidelity,
            device=self.device,
        )

    def dataset(self, split: Split) -> SampleDataset:
        """The samples of a split.

        Raises:
            DataError: The split has no samples.
        """
        if split not in self._sets:
            return Part(next(iter(self._sets.values())), ())
        found = self._sets[split]
        return Part(found.dataset, found.indices) if isinstance(found, Part) else found

    def _datasets(self, data: Any) -> dict[Split, SampleDataset]:  # noqa: ANN401 - as above
        whole = isinstance(data, Mapping) and set(data) <= set(SPLITS) and data
        parts = dict(data) if whole else dict.fromkeys(SPLITS, data)
        records = {name: _as_record(each, self.operator) for name, each in parts.items()}
        if all(each is not None for each in records.values()):
            self.records = {name: in_section(each, name) for name, each in records.items()}
            refuse_shared_images({str(name): each for name, each in self.records.items()})
            for name, spec in self.records.items():
                require_files(spec, f"data[{name!r}]")
            return {
                name: build_dataset(spec, self.operator.spec) for name, spec in self.records.items()
            }
        if whole:
            return {name: _dataset(each, self.operator) for name, each in parts.items()}
        return dict(_divided(_dataset(data, self.operator)))


def _simulation(noise: Noise | None) -> Simulation | None:
    return None if noise is None else Simulation(noise)


def _divided(dataset: SampleDataset) -> list[tuple[Split, SampleDataset]]:
    """Four fifths to train, a tenth to validate and a tenth to test, by a hash of the place."""
    ids = [f"{k}" for k in range(len(dataset))]
    parts = split_ids(ids, _FRACTIONS)
    return [(name, Part(dataset, [int(k) for k in parts[name]])) for name in SPLITS if parts[name]]


def _as_record(data: Any, operator: Operator) -> Record | None:  # noqa: ANN401 - as above
    """The record of a dataset that is named or is one; None of others."""
    if data is None:
        if operator.domain.ndim != 2:
            raise ConfigError(
                describe(
                    expected="data, as the images do not have two axes",
                    found="none, and random ellipses have two axes",
                    fix="give true images, pairs, or a dataset",
                )
            )
        ny, nx = operator.domain.shape
        return EllipseSpec(size=(ny, nx))
    if isinstance(data, str):
        return named_from_plain(DATASETS, {"name": data}, "data")
    if isinstance(data, Mapping):
        return named_from_plain(DATASETS, data, "data")
    return data if DATASETS.name_of(data) is not None else None


def _dataset(data: Any, operator: Operator) -> SampleDataset:  # noqa: ANN401 - as above
    record = _as_record(data, operator)
    if record is not None:
        return build_dataset(record, operator.spec)
    if isinstance(data, SampleDataset):
        return data
    if isinstance(data, Tensor | np.ndarray):
        return GivenData(data, None, None, operator)
    if isinstance(data, tuple) and len(data) in {2, 3}:
        measurements, truths, *labels = data
        return GivenData(truths, measurements, labels[0] if labels else None, operator)
    raise ConfigError(
        describe(
            expected="true images, a tuple (measurements, truths) or (measurements, truths, "
            "labels), a dataset or its name, or a mapping from splits to these",
            found=f"{type(data).__name__}",
            fix="give one of these as data",
        )
    )


def _tensor(values: Any, space: Space, what: str) -> Tensor | None:  # noqa: ANN401 - as above
    """(number, channel, *space)."""
    if values is None:
        return None
    if not isinstance(values, Tensor):
        values = image_tensor(np.asarray(values), what)
    tensor = values.detach().cpu()
    if tensor.shape[-space.ndim :] == space.shape and tensor.ndim == space.ndim + 1:
        tensor = tensor.unsqueeze(1)
    if tensor.shape[-space.ndim :] != space.shape or tensor.ndim != space.ndim + 2:
        axes = ", ".join(map(str, space.shape))
        raise ShapeError(
            describe(
                expected=f"{what} of shape (number, {axes}) or (number, channel, {axes}), as the "
                "operator has them",
                found=f"{tuple(values.shape)}",
                fix="move the axes, or give the operator of these shapes",
            )
        )
    return tensor
