"""What a folder of data holds, good or bad, for people and for `learnedrecon check data`."""

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
    """All measurements, or all true images.

    Attributes:
        number: of arrays, the broken ones included.
        shapes: each shape and how often it comes, the most frequent first.
        dtypes: each type of number as it is stored, likewise.
        low: the smallest value, or magnitude where values are complex; None where no array can be
            read.
        high: the largest, likewise.
    """

    number: int
    shapes: tuple[tuple[tuple[int, ...], int], ...]
    dtypes: tuple[tuple[str, int], ...]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FolderSummary:
    """What :func:`inspect_folder` found.

    Attributes:
        path: what was looked at.
        ids: of the samples, sorted.
        measurement: None where there is none.
        truth: None where there is none; data can then only be reconstructed.
        geometries: the number of samples with an operator of their own.
        unmatched: what has no partner, one line for each kind.
        problems: one message for each array that cannot be used.
        ignored: files that hold no array.
        groups: the patient, or else the series, of each sample that is a readable DICOM file which
            says it: such samples share a split.
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
        """Whether there are both measurements and true images."""
        return self.measurement is not None and self.truth is not None

    @property
    def usable(self) -> bool:
        """Whether every sample can be read and has its partner."""
        return not self.unmatched and not self.problems


def inspect_folder(path: str | os.PathLike[str]) -> FolderSummary:
    """Reads everything in a folder or an HDF5 file and says what is there.

    Broken arrays and missing partners are listed, not raised.

    Raises:
        FileFormatError: no such path, or an HDF5 file that cannot be opened or lacks the keys.
        DataError: nothing in the folder, or two files of one name.
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
