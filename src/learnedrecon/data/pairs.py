"""Datasets of measurements and true images in a folder or an HDF5 file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from learnedrecon import specs
from learnedrecon.choices import require_choices
from learnedrecon.data.batch import Sample, check_fit
from learnedrecon.data.conventions import plain_operator
from learnedrecon.data.datasets import SampleDataset, checked_index, grouped, image_tensor
from learnedrecon.data.layout import Pair, find_layout
from learnedrecon.data.raw.correction import mended_lines
from learnedrecon.data.raw.masks import mending
from learnedrecon.data.sections import share_images
from learnedrecon.data.seeds import Split
from learnedrecon.data.splits import (
    FRACTIONS,
    compiled,
    groups_by_name,
    groups_by_subject,
    split_ids,
)
from learnedrecon.data.summary import FolderSummary, inspect_folder
from learnedrecon.data.yaml_text import read_yaml
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe
from learnedrecon.operators.ray.grids import with_shape
from learnedrecon.operators.registry import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from learnedrecon.data.layout import ArrayRef
    from learnedrecon.operators.space import Space
    from learnedrecon.recorded import Record

__all__ = [
    "FolderSummary",
    "PairFolder",
    "PairFolderSpec",
    "inspect_folder",
    "read_geometry",
    "split_ids",
]


@dataclass(frozen=True)
class PairFolderSpec:
    """The configuration of a :class:`PairFolder`; see :mod:`learnedrecon.data.layout` for layouts.

    Attributes:
        path: Path of the folder, or of a file that ends in .h5 or .hdf5.
        split: "train", "validation" or "test"; None for every sample.
        fractions: Fractions of the samples for train, validation and test; their sum is 1.
        seed: Seed of the split.
        image_shapes: "fixed": every true image has the operator's shape. "each": a true image of
            another shape has the operator's scan, with the same pixel size in mm, at its own shape.
            In both cases a sample's geometry file takes precedence.
        group: Regular expression. Samples whose ids have the same first match (or the same part of
            the match in the first parentheses, if there are any) form a group, and a group is never
            split: without groups, neighbouring slices of one patient would be in both training and
            test. None makes each sample a group, and for slices in DICOM each patient: PatientID,
            or SeriesInstanceUID where there is none, or else the file. '.+' makes each of these
            slices a group, too.
        bad_pixels: "none", or which detector pixels of measurements are interpolated: "auto" finds
            those that are stuck or noisy, a file in the folder is a mask, see ``--bad-pixels``.
            Measurements are then line integrals (angle, [row,] detector).

    Raises:
        ConfigError: Fractions are negative or do not sum to 1, or the group is not a regular
            expression.
    """

    path: str
    split: Split | None = None
    fractions: tuple[float, float, float] = FRACTIONS
    seed: int = 0
    image_shapes: Literal["fixed", "each"] = "fixed"
    group: str | None = None
    bad_pixels: str = "none"

    def __post_init__(self) -> None:
        require_choices(self)
        if self.group is not None:
            compiled(self.group)
        object.__setattr__(self, "fractions", tuple(float(part) for part in self.fractions))
        good = len(self.fractions) == 3 and all(part >= 0 for part in self.fractions)
        if not good or not math.isclose(sum(self.fractions), 1.0, abs_tol=1e-6):
            raise ConfigError(
                describe(
                    expected="three fractions for train, validation and test that add up to 1",
                    found=f"fractions = {self.fractions}",
                    fix="correct them, for example to (0.8, 0.1, 0.1)",
                )
            )


@share_images.register(PairFolderSpec)
def _(one: PairFolderSpec, other: Record) -> bool:
    """Sections of one folder differ only as other splits by the same fractions and seed."""
    if not isinstance(other, PairFolderSpec) or _place(one) != _place(other):
        return False
    divided = None not in {one.split, other.split} and one.split != other.split
    return not (divided and (one.fractions, one.seed) == (other.fractions, other.seed))


class PairFolder(SampleDataset):
    """A dataset of one split of a folder; files are found at once, and read on access.

    Arrays have the operator's axes, or one more in front for channels; they become float32, or
    complex64 where they are complex.

    Args:
        spec: Path and split.
        operator: Spec of the operator of the data; with it, shapes are checked at once, from the
            headers of the files. None for images and data of two axes.

    Raises:
        FileFormatError: There is no such path, or the header of a file cannot be read.
        DataError: There are no samples, or one has no partner or no group.
        ShapeError: The number of axes is wrong, or an array does not fit the operator.
        ConfigError: A geometry file is not valid, or "each" is given without a tomographic
            operator.
    """

    def __init__(self, spec: PairFolderSpec, operator: Record = None) -> None:
        self.spec = spec
        self.operator = operator
        groups: Mapping[str, str] = {}
        pairs = {pair.id: pair for pair in find_layout(spec.path).pairs()}
        ids = tuple(pairs)
        if spec.split is not None:
            groups = _groups(pairs, spec.group)
            ids = split_ids(ids, spec.fractions, spec.seed, groups)[spec.split]
        if not ids:
            raise DataError(
                describe(
                    expected=f"at least one sample of the split '{spec.split}' in {spec.path}",
                    found=f"{len(pairs)} in all, in groups that stay together: "
                    f"{len({groups.get(name, name) for name in pairs})}, and fractions "
                    f"{spec.fractions}",
                    fix="add samples of other groups, or change 'fractions' or 'group'",
                )
            )
        self._items = tuple(_inspected(pairs[name], spec, operator) for name in ids)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        item = self._items[checked_index(index, len(self))]
        data = _read(item.pair.measurement, item.data)
        return Sample(
            item.pair.id,
            data if data is None else _mended(data, self.spec, item.pair.id),
            _read(item.pair.truth, item.truth),
            spec=item.spec,
        )

    def buckets(self) -> Sequence[Sequence[int]]:
        return grouped([(item.spec, item.data, item.truth) for item in self._items])

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the samples, in order."""
        return tuple(item.pair.id for item in self._items)


def _mended(data: Tensor, spec: PairFolderSpec, name: str) -> Tensor:
    """Line integrals (channel, angle, [row,] detector) with bad pixels interpolated."""
    if spec.bad_pixels == "none":
        return data
    if data.is_complex() or data.ndim not in {3, 4}:
        raise ShapeError(
            describe(
                expected="real line integrals (angle, [row,] detector) where 'bad_pixels' is "
                f"'{spec.bad_pixels}'",
                found=f"{data.dtype} of shape {tuple(data.shape[1:])} in '{name}'",
                fix="omit 'bad_pixels'",
            )
        )
    path = Path(spec.path)
    folder = path if path.is_dir() else path.parent
    rows = 1 if data.ndim == 3 else data.shape[2]
    bad = mending(spec.bad_pixels, (rows, data.shape[-1]), folder)
    values = data.double().reshape(*data.shape[:2], rows, data.shape[-1]).numpy()
    mended = np.stack([mended_lines(channel, bad).values for channel in values])
    return torch.from_numpy(mended).reshape(data.shape).to(data.dtype)


def _place(spec: PairFolderSpec) -> Path:
    return Path(spec.path).resolve()


def _groups(pairs: Mapping[str, Pair], pattern: str | None) -> dict[str, str]:
    if pattern is not None:
        return groups_by_name(tuple(pairs), pattern)
    truths = {name: pair.truth for name, pair in pairs.items()}
    return groups_by_subject({name: truth for name, truth in truths.items() if truth is not None})


@dataclass(frozen=True)
class _Item:
    """A pair with the shapes (channel, ...) of its arrays, and its own operator spec or None."""

    pair: Pair
    data: tuple[int, ...] | None
    truth: tuple[int, ...] | None
    spec: Any


def _inspected(pair: Pair, spec: PairFolderSpec, operator: Record) -> _Item:
    own = None if pair.geometry is None else read_geometry(pair.geometry)
    domain, codomain = _spaces(own if own is not None else operator)
    data = _channelled(pair.measurement, 2 if codomain is None else codomain.ndim)
    truth = _channelled(pair.truth, 2 if domain is None else domain.ndim)
    if own is None and spec.image_shapes == "each" and truth is not None:
        own = with_shape(operator, (truth[-2], truth[-1]))
        domain, codomain = _spaces(own)
    if truth is not None and domain is not None:
        check_fit(truth, domain, "truth", pair.id)
    if data is not None and codomain is not None:
        check_fit(data, codomain, "data", pair.id)
    return _Item(pair, data, truth, None if own == operator else own)


@lru_cache(maxsize=64)
def _spaces(spec: Record) -> tuple[Space, Space] | tuple[None, None]:
    if spec is None:
        return None, None
    operator = specs.build(OPERATORS, spec)
    return operator.domain, operator.codomain


def read_geometry(path: Path) -> Record:
    """The operator spec of a YAML file: a ``name`` and the values, as in a configuration.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is not YAML.
        ConfigError: A name or key is unknown, or a value is wrong.
    """
    values = plain_operator(read_yaml(path), str(path), path.parent)
    return specs.named_from_plain(OPERATORS, values, str(path))


def _channelled(array: ArrayRef | None, axes: int) -> tuple[int, ...] | None:
    if array is None:
        return None
    shape = array.shape()
    if len(shape) not in {axes, axes + 1} or 0 in shape:
        raise ShapeError(
            describe(
                expected=f"{axes} axes, or {axes + 1} with channels first, in {array}",
                found=f"shape {shape}",
                fix="store one array per sample, without further axes",
            )
        )
    return shape if len(shape) > axes else (1, *shape)


def _read(array: ArrayRef | None, shape: tuple[int, ...] | None) -> Tensor | None:
    if array is None or shape is None:
        return None
    tensor = image_tensor(array.read(), str(array))
    found = tuple(tensor.shape)
    if shape not in {found, (1, *found)}:
        raise ShapeError(
            describe(
                expected=f"the shape {shape} that {array} had when the dataset was opened",
                found=f"shape {found}",
                fix="do not change the files while they are in use",
            )
        )
    return tensor.reshape(shape)
