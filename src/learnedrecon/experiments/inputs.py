"""Input files of datasets."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.data.kspace.dataset import KSpaceSpec
from learnedrecon.data.pairs import PairFolderSpec
from learnedrecon.data.published.lodopab import LodopabSpec
from learnedrecon.data.published.two_detect import TwoDetectSpec
from learnedrecon.errors import FileFormatError, describe

if TYPE_CHECKING:
    from learnedrecon.recorded import Record


@singledispatch
def files_of(spec: Record) -> tuple[Path, ...]:  # noqa: ARG001 - what other kinds look at
    """The files and folders that a dataset reads; by default none.

    They must exist when the dataset is built, and no command writes to them.
    ``@files_of.register(MySpec)`` adds a rule for your own class.

    Args:
        spec: Record of a dataset.
    """
    return ()


@files_of.register(PairFolderSpec)
@files_of.register(LodopabSpec)
@files_of.register(TwoDetectSpec)
@files_of.register(KSpaceSpec)
def _(spec: PairFolderSpec | LodopabSpec | TwoDetectSpec | KSpaceSpec) -> tuple[Path, ...]:
    return (Path(spec.path),)


def require_files(spec: Record, where: str) -> None:
    """Check that the files of a dataset exist.

    Args:
        spec: Record of a dataset.
        where: Section in the configuration, such as "data.train".

    Raises:
        FileFormatError: A folder or file does not exist.
    """
    for path in files_of(spec):
        if not path.exists():
            raise FileFormatError(
                describe(
                    expected=f"a folder or an HDF5 file at '{where}.path', {path}",
                    found="no such path",
                    fix="correct it; a relative path in a configuration is taken from the folder "
                    "of that file, one after --set from the working folder",
                )
            )
