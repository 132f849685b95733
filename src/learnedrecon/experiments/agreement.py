"""Agreement of the data and images of a run with their declaration in the configuration."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from learnedrecon import specs
from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.consistency import Consistency, Pair, consistency
from learnedrecon.data.files.arrays import HDF5_ENDINGS
from learnedrecon.data.files.hdf5 import list_datasets, open_hdf5
from learnedrecon.data.layout import MEASUREMENT, TRUTH
from learnedrecon.data.pairs import PairFolder, PairFolderSpec
from learnedrecon.data.raw_values import raw_values
from learnedrecon.errors import DataError, describe
from learnedrecon.experiments.measurement import as_data, read_measurement
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from learnedrecon.data.batch import Sample
    from learnedrecon.data.datasets import SampleDataset
    from learnedrecon.experiments.material import Material
    from learnedrecon.experiments.raw import RawInput
    from learnedrecon.operators.base import Operator
    from learnedrecon.recorded import Record
    from learnedrecon.schemes.reconstructor import Reconstructor

_LOG = logging.getLogger(__name__)

_SAMPLES: Final = 3
_LEAST: Final = 0.03
_FAMILIAR: Final = 5.0
_SEE: Final = "'learnedrecon check data FOLDER --geometry G' shows all that was tried"


def require_agreement(material: Material, model: Reconstructor) -> None:
    """Check that a few training samples are as declared, before the first step.

    Measured data are compared with T(truth), and images with the image scale of the model. Other
    deviations are logged.

    Args:
        material: Data and settings of the training.
        model: Method.

    Raises:
        DataError: Another variant of the data fits far better than T(truth), and the material does
            not allow it.
    """
    samples = _chosen(material.dataset("train"))
    note_image_scale(samples, model.image_scale)
    pairs = list(pairs_of(samples, material.builder))
    if not pairs:
        return
    found = consistency(pairs, least=_LEAST)
    if found.contradicts and material.mismatch == "refuse":
        raise DataError(
            describe(
                expected=f"data that are T(truth) and noise, as of {_names(found)}",
                found=str(found),
                fix=f"{found.fix}; {_SEE}; mismatch 'warn' (data.mismatch=warn in a configuration) "
                "trains all the same",
            )
        )
    if found.doubtful:
        advice = f" What to do: {found.fix}." if found.best is not found.as_is else ""
        _LOG.warning(f"WARNING: {_names(found)}: {found}.{advice} {_SEE}.")
    else:
        _LOG.info(f"Data against T(truth) of {len(pairs)} training samples: {found}.")


def agreement_lines(
    path: Path, record: Record, key: str | None, raw: RawInput | None = None
) -> tuple[tuple[str, ...], bool]:
    """The agreement of data in a file or folder with an operator: lines, and True if they agree.

    Args:
        path: Path of a folder or HDF5 file of pairs, or of a file with one measurement.
        record: Record of T.
        key: Key of the data set in an HDF5 file with one measurement, or None.
        raw: Frames, rows, angles and corrections of a raw scan, or None.

    Raises:
        ShapeError: Data do not fit the operator.
        DataError: Samples have no partners, or the operator cannot have measured the values.
    """
    operator = specs.build(OPERATORS, record)
    asked = raw is not None and raw.asked
    if key is not None or asked or not _is_pairs(path):
        data = as_data(read_measurement(path, key, raw), record, operator.codomain)
        return _without_truth(operator, data)
    samples = _chosen(PairFolder(PairFolderSpec(str(path)), record))
    builder = BatchBuilder(operator, spec=record)
    pairs = list(pairs_of(samples, builder))
    if pairs:
        found = consistency(pairs)
        return agreement_table(found), not found.contradicts
    measured = [each for each in samples if each.data is not None]
    if not measured:
        return ("No measurements to compare with T(truth): they are simulated.",), True
    problem = builder(measured[:1]).problem
    assert isinstance(problem, InverseProblem)
    return _without_truth(problem.operator, problem.data)


def agreement_table(found: Consistency) -> tuple[str, ...]:
    """A table of all misfits, in lines of at most 80 characters, and a verdict.

    Args:
        found: Result of the comparison.
    """
    first = f"|T(truth) - y|/|y|, the data y of {len(found.samples)} samples:"
    rows = [f"  {error:<8} {name}" for name, error in found.table()]
    if not found.doubtful:
        return (first, *rows, f"They fit as they are: {found}.")
    advice = f" What to do: {found.fix}." if found.best is not found.as_is else ""
    mark = "PROBLEM" if found.contradicts else "WARNING"
    return (first, *rows, f"{mark}: {found}.{advice}")


def note_raw_values(operator: Operator, data: Tensor, what: str) -> None:
    """Warning of counts and transmissions that are given as line integrals.

    Args:
        operator: T.
        data: Data y, (..., *codomain).
        what: Name of the data.
    """
    odd = raw_values(operator, data)
    if odd is not None:
        _LOG.warning(f"WARNING: the values of {what} {odd}.")


def note_image_scale(samples: Sequence[Sample], known: float | None) -> None:
    """Warning of images that are far larger or smaller than the image scale of a method.

    Args:
        samples: Samples of the training.
        known: Image scale; None where the method determines it from the data.
    """
    largest = [float(s.truth.abs().max()) for s in samples if s.truth is not None]
    size = max(largest, default=0.0)
    if known is None or size == 0 or known / _FAMILIAR <= size <= known * _FAMILIAR:
        return
    _LOG.warning(
        f"WARNING: the largest value of {len(largest)} training images is {size:.3g}, and "
        f"model.image_scale, the size of a typical image value, is {known:g}: training is slow and "
        f"ends worse. Set model.image_scale to {size:.2g}."
    )


def pairs_of(samples: Sequence[Sample], builder: BatchBuilder) -> Iterator[Pair]:
    """The pairs of samples with both a measurement and a true image that is not zero.

    Args:
        samples: Samples of a dataset.
        builder: Builder of batches.
    """
    for sample in samples:
        if sample.data is None or sample.truth is None or not bool(sample.truth.any()):
            continue
        batch = builder([sample])
        assert isinstance(batch.problem, InverseProblem)
        assert batch.truth is not None
        yield Pair(sample.id, batch.problem.operator, batch.truth, batch.problem.data)


def _without_truth(operator: Operator, data: Tensor) -> tuple[tuple[str, ...], bool]:
    odd = raw_values(operator, data)
    if odd is not None:
        return (f"WARNING: the values {odd}.",), True
    return ("The shape fits the geometry; the values cannot be checked without true images.",), True


def _is_pairs(path: Path) -> bool:
    if path.is_dir():
        return True
    if path.suffix.lower() not in HDF5_ENDINGS:
        return False
    with open_hdf5(path) as file:
        return bool({name.split("/")[0] for name in list_datasets(file)} & {MEASUREMENT, TRUTH})


def _chosen(dataset: SampleDataset) -> list[Sample]:
    """The first samples of the dataset, one in its middle, and its last."""
    last = min(len(dataset), 10_000) - 1
    places = sorted({round(k * last / (_SAMPLES - 1)) for k in range(_SAMPLES)})
    return [dataset[place] for place in places]


def _names(found: Consistency) -> str:
    return ", ".join(f"'{name}'" for name in found.samples)
