"""Files that a dataset reads."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.data.pairs import PairFolderSpec
from learnedrecon.errors import FileFormatError, describe

if TYPE_CHECKING:
    from learnedrecon.recorded import Record


@singledispatch
def files_of(spec: Record) -> tuple[Path, ...]:  # noqa: ARG001 - what other kinds look at
    """The files and folders that a dataset reads; by default none.

    They must be there when the dataset is built, and no command writes into them. Another rule for
    a class of yours: ``@files_of.register(MySpec)``.

    Args:
        spec: The record of a dataset.
    """
    return ()


@files_of.register(PairFolderSpec)
def _(spec: PairFolderSpec) -> tuple[Path, ...]:
    return (Path(spec.path),)


def require_files(spec: Record, where: str) -> None:
    """Refuses a dataset whose files are not there.

    Args:
        spec: The record of a dataset.
        where: Its section in the configuration, such as "data.train".

    Raises:
        FileFormatError: A folder or file is not there.
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
