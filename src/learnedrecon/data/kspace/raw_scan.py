"""Raw scans in ISMRMRD: acquisitions become Cartesian k-space, whitened and sorted.

ISMRMRD (Inati et al. 2017, doi:10.1002/mrm.26089): ``dataset/xml`` is the header, and
``dataset/data`` a table of acquisitions, each with a head (flags, counters) and its samples
(channel, sample). The table is read by h5py alone, line by line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import h5py
import numpy as np

from learnedrecon.data.files.hdf5 import get_dataset, get_item, open_hdf5, read_dataset, reading
from learnedrecon.data.kspace.header import KSpaceFile, KSpaceSource
from learnedrecon.data.kspace.ismrmrd_xml import Protocol, scan_protocol
from learnedrecon.data.yaml_text import read_yaml
from learnedrecon.errors import DataError, FileFormatError, ShapeError, require
from learnedrecon.files import refuse_size
from learnedrecon.specs import from_plain

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

_XML, _TABLE = "dataset/xml", "dataset/data"
_NOISE: Final = 19
_CALIBRATION: Final = 20
_REVERSED: Final = 22
_OTHER: Final = (23, 24, 26, 27, 28, 29, 30, 31)
"""Flags of navigators, phase corrections, feedback, dummies, coil corrections and stabilisation."""
_COUNTERS: Final = ("contrast", "repetition", "phase", "set")
_AGAIN: Final = "convert the raw data again, or transform them and store k-space with a text that "
_STORE: Final = _AGAIN + "names its axes"


@dataclass(frozen=True)
class RawChoice:
    """The part of a raw scan that is read, by its counters.

    Attributes:
        contrast: Number of the contrast or echo.
        repetition: Number of the repetition.
        phase: Number of the phase of the heart.
        set: Number of the set.

    Raises:
        DataError: A number is negative.
    """

    contrast: int = 0
    repetition: int = 0
    phase: int = 0
    set: int = 0

    def __post_init__(self) -> None:
        require(
            min(self.contrast, self.repetition, self.phase, self.set) >= 0,
            DataError,
            expected="contrast, repetition, phase and set of at least 0",
            found=str(self),
            fix="correct or omit them",
        )


@dataclass(frozen=True)
class RawSource(KSpaceSource):
    """The acquisitions of a raw scan.

    Attributes:
        choice: Contrast, repetition, phase and set.
    """

    choice: RawChoice
    layout = "an ISMRMRD raw scan"

    def slice(self, path: Path, number: int) -> NDArray[np.complex64]:
        table = _table(path, path.stat().st_mtime_ns, self.choice)
        rows = table.rows[table.slices == np.unique(table.slices)[number]]
        whitening = _whitening(path, path.stat().st_mtime_ns, self.choice)
        size = (table.channels, table.protocol.encoded[0], table.protocol.encoded[1])
        total, count = np.zeros(size, np.complex64), np.zeros(size[2], np.int64)
        columns = dict(zip(table.rows.tolist(), table.columns.tolist(), strict=True))
        with open_hdf5(path) as file, reading(path):
            stored = get_dataset(file, _TABLE)
            for row in rows:
                samples = _samples(stored, int(row), (table.channels, table.samples), path)
                samples = samples[:, table.before : table.before + size[1]]
                column = columns[int(row)]
                total[:, :, column] += samples if whitening is None else whitening @ samples
                count[column] += 1
        return np.asarray(total / np.maximum(count, 1), np.complex64)


def is_raw_scan(path: str | os.PathLike[str]) -> bool:
    """True if an HDF5 file has the table and the header of ISMRMRD.

    Args:
        path: Path of an HDF5 file.

    Raises:
        FileFormatError: The file cannot be read.
    """
    with open_hdf5(path) as file, reading(path):
        items = [get_item(file, key) for key in (_XML, _TABLE)]
        return all(isinstance(item, h5py.Dataset) for item in items)


def read_raw_scan(path: Path) -> KSpaceFile:
    """The header of a raw scan; slices are assembled when they are read.

    Noise acquisitions whiten the coils, so that noise has the deviation 1 in real and imaginary
    parts. Acquisitions of one line are averaged. What the scan has besides, and how much of
    k-space was measured, is in the notes.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is damaged.
        ShapeError: Lines have several lengths or numbers of channels.
        DataError: The scan is not Cartesian and 2D, or has no acquisition of the chosen counters;
            or an echo is read in part or backwards.
    """
    table = _table(path, path.stat().st_mtime_ns, _choice(path))
    readout, lines, _ = table.protocol.encoded
    slices = np.unique(table.slices)
    refuse_size(path, 32 * table.channels * readout * lines)
    there = np.zeros(lines, bool)
    there[table.columns[table.slices == slices[len(slices) // 2]]] = True
    first, last = int(there.argmax()), lines - int(there[::-1].argmax())
    pixels = table.protocol.pixels
    return KSpaceFile(
        path,
        RawSource(table.choice),
        (len(slices), table.channels, readout, lines),
        table.channels,
        table.protocol.matrix,
        None if pixels is None else (pixels[2], pixels[0], pixels[1]),
        mask=None if there[first:last].all() else tuple(bool(each) for each in there),
        attributes=table.protocol.attributes,
        missing=("a reference image", *(() if pixels else ("the field of view",))),
        notes=(*table.notes, *_partial(first, last, lines)),
    )


class _Table(NamedTuple):
    """The acquisitions of the image: their rows in the file, slices and columns of k-space."""

    protocol: Protocol
    choice: RawChoice
    rows: NDArray[np.int64]
    slices: NDArray[np.int64]
    columns: NDArray[np.int64]
    noise: NDArray[np.int64]
    channels: int
    samples: int
    before: int
    ratio: float
    notes: tuple[str, ...]


@lru_cache(maxsize=4)
def _table(path: Path, _changed: int, choice: RawChoice) -> _Table:
    protocol, heads = _heads(path)
    require(
        protocol.trajectory == "cartesian" and protocol.encoded[2] == 1,
        DataError,
        expected=f"a Cartesian scan of 2D slices in {path}",
        found=f"trajectory '{protocol.trajectory}' with an encoded matrix {protocol.encoded}",
        fix=f"{_STORE}; a 3D scan is first transformed along its third axis, and spirals and radii "
        "are for learnedrecon.NonCartesianMRI",
    )
    with reading(path):
        flags, counters = heads["flags"].astype(np.uint64), heads["idx"]
        skipped = _flagged(flags, *_OTHER, *(() if protocol.embedded else (_CALIBRATION,)))
        noise, image = _flagged(flags, _NOISE), heads["encoding_space_ref"] == 0
        image = image & ~noise & ~skipped
        notes = [_choices(name, counters[name][image], choice) for name in _COUNTERS]
        chosen = image.copy()
        for name in _COUNTERS:
            chosen &= counters[name] == getattr(choice, name)
    rows = np.flatnonzero(chosen)
    require(
        len(rows),
        DataError,
        expected=f"acquisitions of {choice} in {path}",
        found=f"{len(heads)} acquisitions, none of them; {' '.join(filter(None, notes))}",
        fix=f"choose another contrast, repetition, phase or set in {path.with_suffix('.yaml')}",
    )
    separate = int((_flagged(flags, _CALIBRATION) & skipped).sum())
    if separate:
        notes.append(f"{separate} separate calibration lines are not used.")
    channels, samples, before = _line(path, heads[rows], protocol)
    with reading(path):
        centre = protocol.encoded[1] // 2 - protocol.centre
        columns = counters["kspace_encode_step_1"][rows].astype(np.int64) + centre
        slices = counters["slice"][rows].astype(np.int64)
        times = [heads["sample_time_us"][each].astype(np.float64) for each in (rows, noise)]
    require(
        int(columns.min()) >= 0 and int(columns.max()) < protocol.encoded[1],
        DataError,
        expected=f"lines within the encoded matrix of {protocol.encoded[1]} in {path}",
        found=f"columns {columns.min()} to {columns.max()} about the centre {protocol.centre}",
        fix=_STORE,
    )
    repeated = len(rows) / len(np.unique(np.stack([slices, columns]), axis=1).T)
    notes.append(f"Lines are averages of {repeated:.2g} acquisitions." if repeated > 1 else "")
    ratio = _ratio(*times)
    scans = np.flatnonzero(noise & (heads["active_channels"] == channels))
    notes.append(_noise_note(scans, heads, channels))
    kept = tuple(note for note in notes if note)
    return _Table(
        protocol, choice, rows, slices, columns, scans, channels, samples, before, ratio, kept
    )


def _heads(path: Path) -> tuple[Protocol, NDArray[Any]]:
    """The protocol, and the heads of all acquisitions."""
    with open_hdf5(path) as file:
        value: Any = read_dataset(get_dataset(file, _XML)).reshape(-1)[:1]
        require(
            len(value) == 1 and isinstance(value[0], str | bytes),
            FileFormatError,
            expected=f"a text in XML at '{_XML}' of {path}",
            found=f"{value!r:.60}",
            fix=_AGAIN + "names its axes",
        )
        protocol = scan_protocol(value[0], path)
        stored = get_dataset(file, _TABLE)
        with reading(path):
            refuse_size(path, 2 * stored.dtype.itemsize * math.prod(stored.shape or (0,)))
            return protocol, np.atleast_1d(np.asarray(stored.fields("head")[()]))


def _line(path: Path, heads: NDArray[Any], protocol: Protocol) -> tuple[int, int, int]:
    """The number of channels and of samples of every line, and of those to discard before."""
    with reading(path):
        kinds = {
            (int(c), int(n), int(a), int(b), int(m))
            for c, n, a, b, m in zip(
                heads["active_channels"],
                heads["number_of_samples"],
                heads["discard_pre"],
                heads["discard_post"],
                heads["center_sample"],
                strict=True,
            )
        }
        backwards = bool(_flagged(heads["flags"].astype(np.uint64), _REVERSED).any())
    require(
        len(kinds) == 1,
        ShapeError,
        expected=f"lines of one length and number of channels in {path}",
        found=f"{len(kinds)} kinds (channels, samples, discarded before and after, centre)",
        fix=_STORE,
    )
    channels, samples, before, after, centre = kinds.pop()
    kept = samples - before - after
    middle = kept // 2 if centre == 0 else centre - before
    require(
        not backwards and kept == protocol.encoded[0] and middle == kept // 2 and channels > 0,
        DataError,
        expected=f"whole echoes of {protocol.encoded[0]} samples in {path}, read forwards, with "
        "k = 0 in their middle",
        found=f"{kept} samples with k = 0 at {middle}, of {channels} channels"
        + (", some backwards as in EPI" if backwards else ""),
        fix=f"complete a partial echo and correct EPI first: {_STORE}",
    )
    return channels, samples, before


def _samples(
    stored: h5py.Dataset, row: int, shape: tuple[int, int], path: Path
) -> NDArray[np.complex64]:
    values = np.asarray(stored.fields("data")[row], np.float32)
    require(
        values.size == 2 * math.prod(shape),
        FileFormatError,
        expected=f"{shape[0]} x {shape[1]} samples of acquisition {row} in {path}",
        found=f"{values.size // 2}",
        fix="copy or convert the raw data again",
    )
    return np.ascontiguousarray(values).view(np.complex64).reshape(shape)


@lru_cache(maxsize=4)
def _whitening(path: Path, changed: int, choice: RawChoice) -> NDArray[np.complex64] | None:
    """√(2 t_image b/t_noise) L⁻¹ for the covariance L L* of the noise scan; None without one."""
    table = _table(path, changed, choice)
    total, number = np.zeros((table.channels, table.channels), np.complex128), 0
    with open_hdf5(path) as file, reading(path):
        stored = get_dataset(file, _TABLE)
        heads = stored.fields("head")
        for row in table.noise:
            length = int(heads[int(row)]["number_of_samples"])
            noise = _samples(stored, int(row), (table.channels, length), path)
            total += noise.astype(np.complex128) @ noise.conj().T
            number += length
    if number < table.channels:
        return None
    scale = math.sqrt(2.0 * table.ratio * table.protocol.bandwidth)
    with reading(path):
        lower = np.linalg.cholesky(total / number)
        return np.asarray(scale * np.linalg.inv(lower), np.complex64)


def _ratio(image: NDArray[np.float64], noise: NDArray[np.float64]) -> float:
    """The dwell time of the image over that of the noise scan; 1 where one is not known."""
    if not len(image) or not len(noise):
        return 1.0
    found = float(np.median(image)) / max(float(np.median(noise)), 1e-30)
    return found if math.isfinite(found) and 1e-6 < found < 1e6 else 1.0


def _noise_note(scans: NDArray[np.int64], heads: NDArray[Any], channels: int) -> str:
    number = int(heads["number_of_samples"][scans].astype(np.int64).sum())
    if number < channels:
        return "No noise scan: coils are not whitened."
    return f"Whitened by {number} samples of a noise scan: its deviation is 1."


def _partial(first: int, last: int, lines: int) -> tuple[str, ...]:
    """A note on lines that were measured on one side of k = 0 only."""
    if abs(first - (lines - last)) <= 1:
        return ()
    measured = f"columns {first} to {last - 1} of {lines} were measured"
    return (f"Partial Fourier: {measured}; the others count as not measured.",)


def _choices(name: str, values: NDArray[Any], choice: RawChoice) -> str:
    found = np.unique(values)
    if len(found) < 2:
        return ""
    return f"{name.capitalize()}s {found.min()} to {found.max()}: {getattr(choice, name)} is read."


def _choice(path: Path) -> RawChoice:
    """The choice in the text beside a file, or the first of all."""
    names = {each.name for each in fields(RawChoice)}
    for side in (path.with_suffix(".yaml"), path.parent / "kspace.yaml"):
        values = read_yaml(side) if side.is_file() else None
        if isinstance(values, dict) and "axes" not in values and names & set(values):
            return from_plain(RawChoice, values, str(side))
    return RawChoice()


def _flagged(flags: NDArray[np.uint64], *bits: int) -> NDArray[np.bool_]:
    mask = np.uint64(sum(1 << (bit - 1) for bit in bits))
    return np.asarray((flags & mask) != 0)
