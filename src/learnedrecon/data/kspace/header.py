"""The header of a file with k-space, whatever its layout, and what reads its numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learnedrecon.data.files.hdf5 import require_finite
from learnedrecon.data.files.nifti import Affine
from learnedrecon.errors import FileFormatError, require

if TYPE_CHECKING:
    from numpy.typing import NDArray


class KSpaceSource(ABC):
    """A reader of the numbers of a file; sources are hashable and can be pickled.

    Attributes:
        layout: Noun phrase for the layout.
    """

    layout: ClassVar[str]

    @abstractmethod
    def slice(self, path: Path, number: int) -> NDArray[Any]:
        """The k-space of one slice, complex, (coil, ky, kx) or of one coil (ky, kx)."""

    def clean(self, path: Path, number: int) -> NDArray[Any] | None:  # noqa: ARG002 - measured data have none
        """The same k-space without noise where it is known; by default None."""
        return None

    def reference_image(self, path: Path, number: int) -> NDArray[Any] | None:  # noqa: ARG002 - as above
        """The reference image of one slice, (ny, nx); by default None."""
        return None


@dataclass(frozen=True)
class KSpaceFile:
    """The header of a file with k-space; :meth:`slice` reads the numbers.

    Attributes:
        path: Path of the file.
        source: Reader of its numbers.
        shape: Shape (slices, coils, ky, kx), with 1 coil where there is no axis of coils.
        coils: Number of coils; None where there is no axis of coils.
        matrix: Shape (ny, nx) of the reconstructed image, at most that of k-space.
        voxel: Size (dz, dy, dx) of a voxel in mm, or None.
        affine: Position of the voxels in the scanner, see :mod:`learnedrecon.data.files.nifti`, or
            None.
        padding: First measured column and the one after the last by the header, or None.
        reference: Name of the reference images, or None.
        mask: Measured columns by the file's mask, (kx,), or None.
        attributes: Texts ``acquisition`` and ``patient_id``, where they are there.
        missing: Names of the parts that the file does not have.
        notes: Sentences on what was done to the data, or has to be known.
        empty: Numbers of slices without any signal, which are no samples.
    """

    path: Path
    source: KSpaceSource
    shape: tuple[int, int, int, int]
    coils: int | None
    matrix: tuple[int, int]
    voxel: tuple[float, float, float] | None = None
    affine: Affine | None = None
    padding: tuple[int, int] | None = None
    reference: str | None = None
    mask: tuple[bool, ...] | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    empty: tuple[int, ...] = ()

    def slice(self, number: int) -> NDArray[np.complex64]:
        """The k-space of one slice, (coil, ky, kx).

        Args:
            number: Number of the slice, from 0.

        Raises:
            FileFormatError: The file is damaged, or changed since its header was read.
            DataError: A value is NaN or infinite.
        """
        return self._complex(self.source.slice(self.path, number), number)

    def clean(self, number: int) -> NDArray[np.complex64] | None:
        """The k-space of one slice without noise, (coil, ky, kx), where it is known; else None.

        Args:
            number: Number of the slice, from 0.

        Raises:
            FileFormatError: The file is damaged, or changed since its header was read.
        """
        values = self.source.clean(self.path, number)
        return None if values is None else self._complex(values, number)

    def reference_image(self, number: int) -> NDArray[np.float32] | None:
        """The reference image of one slice, (ny, nx), or None where the file has none.

        Args:
            number: Number of the slice, from 0.

        Raises:
            FileFormatError: The file is damaged.
            DataError: A value is NaN or infinite.
        """
        values = self.source.reference_image(self.path, number)
        if values is None:
            return None
        require_finite(values, f"{self.path}, {self.reference} {number}")
        return np.abs(values).astype(np.float32)

    def _complex(self, values: NDArray[Any], number: int) -> NDArray[np.complex64]:
        what = f"{self.path}, slice {number}"
        require(
            values.size == int(np.prod(self.shape[1:])),
            FileFormatError,
            expected=f"k-space {self.shape[1:]} in {what}, as its header had it",
            found=f"{values.shape}",
            fix="do not change files while they are in use",
        )
        require_finite(values, what)
        return np.ascontiguousarray(values.reshape(self.shape[1:]), dtype=np.complex64)
