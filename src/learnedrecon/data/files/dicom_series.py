"""Series of reconstructed magnitude images in DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from learnedrecon.data.files.dicom import read_dicom
from learnedrecon.errors import DataError, require
from learnedrecon.files import atomic_path, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pydicom
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    from learnedrecon.data.files.nifti import Affine

_EXPECTED: Final = "a DICOM file of the patient"
_PATIENT: Final = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY: Final = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_UNKNOWN: Final = ("ScanningSequence", "SequenceVariant", "ScanOptions", "EchoTime")
_GREYS: Final = 65535
_MOST: Final = 9999


@dataclass(frozen=True)
class DicomIdentity:
    """The patient and the study of a series.

    Attributes:
        source: Path of a DICOM file whose patient and study the series has; None for neither.
        anonymise: True for a series without a patient, in a study of its own.
    """

    source: Path | None = None
    anonymise: bool = False


class Placement(NamedTuple):
    """The sizes and the place of voxels.

    Attributes:
        voxel: Size (dz, dy, dx) in mm, or None.
        affine: Position of the voxels in the scanner, see :mod:`learnedrecon.data.files.nifti`, or
            None.
    """

    voxel: tuple[float, float, float] | None = None
    affine: Affine | None = None


def series_paths(path: Path, slices: int) -> tuple[Path, ...]:
    """The files of a series: one file for one slice, else NAME-001.dcm, NAME-002.dcm, ...

    Args:
        path: Path that ends in .dcm.
        slices: Number of slices.

    Raises:
        DataError: There are more than 9999 slices.
    """
    require(
        0 < slices <= _MOST,
        DataError,
        expected=f"1 to {_MOST} slices for a series in DICOM",
        found=f"{slices}",
        fix="write .nii or .h5",
    )
    if slices == 1:
        return (path,)
    digits = max(3, len(str(slices)))
    return tuple(
        path.with_name(f"{path.stem}-{number:0{digits}d}{path.suffix}")
        for number in range(1, slices + 1)
    )


def write_series(
    path: Path,
    volume: NDArray[np.floating],
    place: Placement,
    identity: DicomIdentity,
    description: str = "learnedrecon",
) -> None:
    """Atomic writes of a derived series, one file for each slice.

    UIDs of the series and of the images are new. Stored values are integers of 16 bits that cover
    all of the volume; value = stored · RescaleSlope, with RescaleIntercept 0. Where the affine is
    not known, neither position nor orientation is written.

    Args:
        path: Path that ends in .dcm, see :func:`series_paths`.
        volume: Magnitudes (slice, ny, nx).
        place: Sizes and place of the voxels.
        identity: Patient and study.
        description: SeriesDescription.

    Raises:
        FileFormatError: The source cannot be read, or a file cannot be written.
        DataError: There are more than 9999 slices.
    """
    common = _common(identity, description)
    slope = float(f"{float(volume.max()) / _GREYS:.9e}") or 1.0
    for number, file in enumerate(series_paths(path, len(volume))):
        dataset = _image(common, volume[number], slope, number)
        for name, value in _place(place, number):
            setattr(dataset, name, value)
        with atomic_path(file) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)


def check_identity(identity: DicomIdentity) -> None:
    """Check that the source of a patient can be read.

    Args:
        identity: Patient and study.

    Raises:
        FileFormatError: There is no such file, or it is not DICOM.
    """
    if identity.source is not None:
        read_dicom(identity.source, pixels=False, expected=_EXPECTED)


def _common(identity: DicomIdentity, description: str) -> FileDataset:
    """The fields that all images of the series share."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    for name in (*_PATIENT, *_STUDY):
        setattr(dataset, name, "")
    dataset.StudyInstanceUID = generate_uid()
    if identity.source is not None and not identity.anonymise:
        _copy(dataset, identity.source)
    if identity.anonymise:
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "no field of a patient or study was copied"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MRImageStorage
    dataset.Modality, dataset.Manufacturer = "MR", "learnedrecon"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = generate_uid(), generate_uid()
    dataset.SeriesNumber, dataset.SeriesDescription = 1, description[:64]
    dataset.DerivationDescription = "Reconstructed from k-space for research, not for diagnosis"
    dataset.PositionReferenceIndicator, dataset.MRAcquisitionType = "", "2D"
    for name in _UNKNOWN:
        setattr(dataset, name, None)
    return dataset


def _copy(dataset: FileDataset, source: Path) -> None:
    known = read_dicom(source, pixels=False, expected=_EXPECTED)
    with reading(source, _EXPECTED, corrupt="a header that is damaged"):
        for name in (*_PATIENT, *_STUDY):
            if known.get(name) not in {None, ""}:
                setattr(dataset, name, known.get(name))


def _image(
    common: FileDataset, values: NDArray[np.floating], slope: float, number: int
) -> pydicom.FileDataset:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import generate_uid

    dataset = FileDataset(
        "", dict(common.items()), file_meta=FileMetaDataset(common.file_meta), preamble=b"\0" * 128
    )
    stored = np.clip(np.rint(values / slope), 0, _GREYS).astype("<u2")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.InstanceNumber = number + 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.9e}", "0"
    dataset.RescaleType = "US"
    dataset.WindowCenter = f"{slope * _GREYS / 2:.9e}"
    dataset.WindowWidth = f"{slope * _GREYS:.9e}"
    dataset.PixelData = stored.tobytes()
    return dataset


def _place(place: Placement, number: int) -> Iterator[tuple[str, object]]:
    """Sizes of voxels, and where it is known the plane in the axes of DICOM (left, back, up)."""
    if place.voxel is not None:
        dz, dy, dx = (f"{size:.9g}" for size in place.voxel)
        yield "PixelSpacing", [dy, dx]
        yield "SliceThickness", dz
        yield "SpacingBetweenSlices", dz
    if place.affine is None:
        return
    matrix = np.diag([-1.0, -1.0, 1.0]) @ np.asarray(place.affine)[:3]
    steps = [matrix[:, axis] / max(np.linalg.norm(matrix[:, axis]), 1e-30) for axis in (0, 1)]
    yield "ImageOrientationPatient", [f"{c:.9f}" for step in steps for c in step]
    yield "ImagePositionPatient", [f"{c:.9g}" for c in matrix[:, 2] * number + matrix[:, 3]]
