"""Summaries of data folders, for users and for `learnedrecon check data`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.data.datasets import image_tensor
from learnedrecon.data.layout import Layout, find_layout
from learnedrecon.data.splits import groups_by_subject
from learnedrecon.errors import FileFormatError, LearnedReconError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from learnedrecon.data.layout import ArrayRef


@dataclass(frozen=True)
class ArraySummary:
    """A summary of all measurements, or of all true images.

    Attributes:
        number: Number of arrays, including broken ones.
        shapes: Each shape with its number of arrays, the most frequent first.
        dtypes: Each stored dtype with its number of arrays, the most frequent first.
        low: Smallest value, or magnitude where values are complex; None where no array can be read.
        high: Largest value, or magnitude where values are complex; None where no array can be read.
    """

    number: int
    shapes: tuple[tuple[tuple[int, ...], int], ...]
    dtypes: tuple[tuple[str, int], ...]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FolderSummary:
    """The result of :func:`inspect_folder`.

    Attributes:
        path: Path of the folder or file.
        ids: Ids of the samples, sorted.
        measurement: Summary of the measurements, or None where there are none.
        truth: Summary of the true images, or None where there are none; data can then only be
            reconstructed.
        geometries: Number of samples with their own operator.
        unmatched: Missing partners, one line per kind.
        problems: One message for each array that cannot be used.
        ignored: Files without an array.
        groups: Patient, or else series, of each sample that is a readable DICOM file with this tag:
            such samples share a split.
    """

    path: Path
    ids: tuple[str, ...]
    measurement: ArraySummary | None
    truth: ArraySummary | None
    geometries: int
    unmatched: tuple[str, ...]
    problems: tuple[str, ...]
    ignored: tuple[Path, ...]
    groups: Mapping[str, str]

    @property
    def paired(self) -> bool:
        """True if there are both measurements and true images."""
        return self.measurement is not None and self.truth is not None

    @property
    def usable(self) -> bool:
        """True if every sample can be read and has its partner."""
        return not self.unmatched and not self.problems


def inspect_folder(path: str | os.PathLike[str]) -> FolderSummary:
    """A summary of a folder or an HDF5 file, with all its arrays read.

    Broken arrays and missing partners are listed, not raised.

    Args:
        path: Path of the folder or file.

    Raises:
        FileFormatError: There is no such path, or an HDF5 file cannot be opened or does not have
            the keys.
        DataError: The folder contains no arrays, or two files have the same name.
    """
    layout: Layout = find_layout(path)
    measurement, broken_measurements = _summarised(layout.measurements.values())
    truth, broken_truths = _summarised(layout.truths.values())
    return FolderSummary(
        path=layout.path,
        ids=layout.ids,
        measurement=measurement,
        truth=truth,
        geometries=len(layout.geometries),
        unmatched=layout.unmatched(),
        problems=(*broken_measurements, *broken_truths),
        ignored=layout.ignored,
        groups=_subjects(layout.truths),
    )


def _subjects(truths: Mapping[str, ArrayRef]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, truth in truths.items():
        with suppress(FileFormatError):
            found |= groups_by_subject({name: truth})
    return found


def _summarised(arrays: Iterable[ArrayRef]) -> tuple[ArraySummary | None, tuple[str, ...]]:
    shapes: Counter[tuple[int, ...]] = Counter()
    dtypes: Counter[str] = Counter()
    lows, highs, problems = [], [], []
    number = 0
    for array in arrays:
        number += 1
        try:
            values = array.read()
            image_tensor(values, str(array))
        except LearnedReconError as error:
            problems.append(str(error))
            continue
        shapes[values.shape] += 1
        dtypes[str(values.dtype)] += 1
        magnitude = abs(values) if values.dtype.kind == "c" else values
        lows.append(float(magnitude.min()))
        highs.append(float(magnitude.max()))
    if number == 0:
        return None, ()
    low, high = (min(lows), max(highs)) if lows else (None, None)
    summary = ArraySummary(
        number, tuple(shapes.most_common()), tuple(dtypes.most_common()), low, high
    )
    return summary, tuple(problems)
