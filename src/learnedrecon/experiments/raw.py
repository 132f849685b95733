"""Raw data in the files of users: frames, rows, angles and corrections, as a command names them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learnedrecon.data.files.angles import Unit, read_angles
from learnedrecon.data.files.arrays import HDF5_ENDINGS, array_header
from learnedrecon.data.files.exchange import is_data_exchange, read_exchange_frames
from learnedrecon.data.files.nexus import counts_beside, image_key_of, read_nxtomo
from learnedrecon.data.files.scan_frames import Rows, ScanFrames
from learnedrecon.data.files.stacks import read_stack, source
from learnedrecon.data.raw.correction import (
    Corrected,
    Mending,
    RawScan,
    line_integrals_of_transmission,
    mean_frame,
    mended_lines,
)
from learnedrecon.data.raw.masks import read_mask
from learnedrecon.data.raw.stripes import METHODS, stripes_removed
from learnedrecon.errors import ConfigError, DataError, ShapeError, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOG = logging.getLogger(__name__)

Values = Literal["counts", "transmission", "lines"]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Theta:
    """Place of the angles of a scan.

    Attributes:
        source: A text, npy or npz file, or FILE:KEY of a data set in an HDF5 file.
        unit: Their unit; None takes that of the file.
    """

    source: str
    unit: Unit | None = None


@dataclass(frozen=True)
class RawInput:
    """Frames, rows, angles and corrections of a measurement in a file.

    Attributes:
        flats: Files of frames without the object, or FILE:KEY; those of the scan's own file are
            used where there are none.
        darks: Files of frames without the beam likewise; without any, 0.
        values: Meaning of the numbers; None is counts where there are flats or darks, or angles in
            the scan's own file, and line integrals elsewhere.
        rows: Detector rows from the first to before the second, counted from 0; None is all, or the
            only one.
        theta: Angles; those of the scan's own file are used where it is None.
        bad_pixels: "auto", "none", or a file with a mask; None is "auto" for counts and "none"
            elsewhere.
        rings: Method against rings, or "none".

    Raises:
        ConfigError: Flats or darks for what are no counts, or an unknown method.
    """

    flats: tuple[str, ...] = ()
    darks: tuple[str, ...] = ()
    values: Values | None = None
    rows: tuple[int, int] | None = None
    theta: Theta | None = None
    bad_pixels: str | None = None
    rings: str = "none"

    def __post_init__(self) -> None:
        if (self.flats or self.darks) and self.values not in {None, "counts"}:
            raise ConfigError(
                describe(
                    expected=f"no flats and darks for {self.values}",
                    found=f"{len(self.flats)} files of flats and {len(self.darks)} of darks",
                    fix="omit them, or say --counts",
                )
            )
        if self.rings not in {"none", *METHODS}:
            raise ConfigError(
                describe(
                    expected=f"a method against rings: {', '.join(METHODS)} or none",
                    found=f"'{self.rings}'",
                    fix="choose one of these",
                )
            )

    @property
    def chosen(self) -> Rows:
        """The rows as a slice, or None."""
        return None if self.rows is None else slice(*self.rows)

    @property
    def files(self) -> tuple[Path, ...]:
        """Files and folders that are read beside the scan."""
        theta = () if self.theta is None else (self.theta.source,)
        mask = () if self.bad_pixels in {None, "auto", "none"} else (str(self.bad_pixels),)
        return tuple(source(each).path for each in (*self.flats, *self.darks, *theta, *mask))

    @property
    def asked(self) -> bool:
        """True where anything but the file itself is named."""
        return self != RawInput()


class LineIntegrals(NamedTuple):
    """A scan as it is reconstructed.

    Attributes:
        values: Float32 (angle, row, detector).
        theta: Radians, or None.
        rows: Number of rows that the file has.
        notes: Sentences about what was done to the numbers.
    """

    values: NDArray[np.float32]
    theta: tuple[float, ...] | None
    rows: int
    notes: tuple[str, ...]


def is_raw(path: Path, key: str | None, raw: RawInput) -> bool:
    """True for a measurement that has frames of its own or is to be corrected.

    Args:
        path: A file or a folder.
        key: Data set in it, or None.
        raw: Raw input of the user.

    Raises:
        FileFormatError: An HDF5 file that cannot be read.
    """
    return raw.asked or path.is_dir() or (key is None and _own_frames(path) is not None)


def read_line_integrals(path: Path, key: str | None, raw: RawInput) -> LineIntegrals:
    """Reads a scan and makes line integrals of it: frames, logarithm, bad pixels, rings.

    Args:
        path: Data Exchange, NXtomo, a file of frames (angle, row, detector), a sinogram (angle,
            detector), or a folder of pictures, one for each angle.
        key: Data set in an HDF5 file; frames of its own are then not looked for.
        raw: Frames, rows, angles and corrections.

    Raises:
        FileFormatError: A file is missing, broken or not of its kind.
        ShapeError: Frames, angles or rows that do not fit.
        DataError: NaN or infinity, counts without flats, or too many bad pixels.
        ConfigError: Flats for what are no counts.
    """
    own = None if key is not None else _own_frames(path)
    scan = _stacked(path, key, raw) if own is None else own(path, raw.chosen)
    _refuse_twice(path, raw, scan, own is not None)
    theta, odd = scan.theta, scan.notes
    if raw.theta is not None:
        where = source(raw.theta.source)
        theta, found = read_angles(where.path, where.key, raw.theta.unit)
        odd = (*odd, *found)
    if theta is not None and len(theta) != len(scan.counts):
        raise ShapeError(
            describe(
                expected=f"one angle for each of {len(scan.counts)} views of {path}",
                found=f"{len(theta)}",
                fix="name the angles of this scan with --theta, or correct the file",
            )
        )
    corrected, said = _corrected(path, scan, raw)
    values = stripes_removed(corrected.values, raw.rings)
    notes = (*odd, *said, *corrected.notes)
    if raw.rings != "none":
        notes = (*notes, f"Rings: stripes of the sinogram were removed by '{raw.rings}'.")
    radians = None if theta is None else tuple(theta.tolist())
    return LineIntegrals(values.astype(np.float32), radians, scan.rows, notes)


def detector_rows(path: Path, key: str | None) -> int:
    """Number of detector rows, from the header: of (frame, row, detector), else 1.

    Args:
        path: Path of a file or a folder.
        key: Key of the data set in it, or None.

    Raises:
        FileFormatError: A file that cannot be read.
    """
    if path.is_dir():
        return read_stack(path).rows
    own = None if key is not None else _own_frames(path)
    shape = array_header(path, key if own is None else _counts_key(path)).shape
    return shape[1] if len(shape) == 3 else 1


def kind_of(path: Path, key: str | None) -> str:
    """The layout of a raw scan in words.

    Args:
        path: Path of a file or a folder.
        key: Key of the data set in it, or None.

    Raises:
        FileFormatError: An HDF5 file that cannot be read.
    """
    own = None if key is not None else _own_frames(path)
    if own is None:
        return "a folder of projections" if path.is_dir() else "a raw scan"
    return "Data Exchange" if own is read_exchange_frames else "NXtomo"


def _counts_key(path: Path) -> str:
    kinds = image_key_of(path)
    exchange = is_data_exchange(path)
    return "exchange/data" if exchange or kinds is None else counts_beside(kinds)


def _own_frames(path: Path) -> Callable[[Path, Rows], ScanFrames] | None:
    """The reader of a file that has its frames with it, or None."""
    if path.suffix.lower() not in HDF5_ENDINGS or not path.exists():
        return None
    if is_data_exchange(path):
        return read_exchange_frames
    return read_nxtomo if image_key_of(path) is not None else None


def _stacked(path: Path, key: str | None, raw: RawInput) -> ScanFrames:
    """Frames of a file or a folder that has nothing else; two axes are one row."""
    stack = read_stack(path, key, raw.chosen)
    values = stack.values[:, None] if stack.values.ndim == 2 else stack.values
    if values.ndim != 3:
        raise ShapeError(
            describe(
                expected=f"frames (angle, row, detector) or (angle, detector) in {path}",
                found=f"shape {values.shape}",
                fix="choose the data set of the counts",
            )
        )
    return ScanFrames(values, None, None, None, stack.rows)


def _refuse_twice(path: Path, raw: RawInput, scan: ScanFrames, own: bool) -> None:  # noqa: FBT001 - a condition
    """Refuses the other meanings of numbers that have their flats with them.

    Raises:
        ConfigError: Transmissions or line integrals are meant, and the file has flats.
    """
    if own and scan.white is not None and raw.values in {"transmission", "lines"}:
        raise ConfigError(
            describe(
                expected=f"counts in {path}, which has flats of its own",
                found=f"--{raw.values}",
                fix="omit it, or name the data set with --key",
            )
        )


def _corrected(path: Path, scan: ScanFrames, raw: RawInput) -> tuple[Corrected, tuple[str, ...]]:
    """Line integrals, and what the numbers were taken for."""
    white = _frame(raw.flats, scan.white, scan, raw, "flats")
    dark = _frame(raw.darks, scan.dark, scan, raw, "darks")
    plain = white is None and dark is None and scan.theta is None
    values = raw.values or ("lines" if plain else "counts")
    shape = scan.counts.shape[1], scan.counts.shape[2]
    bad = _mending(raw, values, shape, scan)
    if values == "counts":
        if white is None:
            raise DataError(
                describe(
                    expected=f"frames without the object for the counts in {path}",
                    found="none",
                    fix="name them with --flats FILE or FILE:KEY; shares of the beam are read with "
                    "--transmission, line integrals by naming their data set with --key",
                )
            )
        said = () if dark is not None else ("No dark frames: the dark is taken as 0.",)
        return RawScan(scan.counts, white, dark).line_integrals(bad=bad), said
    if values == "transmission":
        low, high = float(scan.counts.min()), float(scan.counts.max())
        said = (f"Taken as transmissions: {low:.4g} to {high:.4g}; their logarithm is used.",)
        if high > _BRIGHT:
            _LOG.warning(
                f"Transmissions in {path} go up to {high:.4g}, where 1 is the whole beam: these "
                "look like counts, which need --flats."
            )
        return line_integrals_of_transmission(scan.counts, bad=bad), said
    return mended_lines(scan.counts, bad), ()


_BRIGHT = 2.0


def _frame(
    files: tuple[str, ...],
    own: FloatArray | None,
    scan: ScanFrames,
    raw: RawInput,
    what: str,
) -> FloatArray | None:
    """The mean frame (row, detector) of the files, else of the scan itself, else None."""
    rows = slice(0, scan.rows) if raw.chosen is None else raw.chosen
    if not files:
        return None if own is None else own.mean(axis=0)
    whole = (scan.rows, scan.counts.shape[2])
    stacks = []
    for each in files:
        where = source(each)
        stacks.append(read_stack(where.path, where.key).values)
    mean = mean_frame(stacks, whole, what)
    frames = sum(_number(stack, whole) for stack in stacks)
    _LOG.info(f"{what.capitalize()}: the mean of {frames} frame{'s' if frames > 1 else ''}.")
    return mean[rows]


def _number(stack: FloatArray, shape: tuple[int, int]) -> int:
    return stack.size // (shape[0] * shape[1])


def _mending(raw: RawInput, values: Values, shape: tuple[int, int], scan: ScanFrames) -> Mending:
    """Bad pixels by the user, or as usual for such values; a mask in the rows that are read."""
    if raw.bad_pixels == "auto" or (raw.bad_pixels is None and values == "counts"):
        return "auto"
    if raw.bad_pixels is None or raw.bad_pixels == "none":
        return "none"
    mask = read_mask(raw.bad_pixels, (scan.rows, shape[1]))
    return mask[slice(0, scan.rows) if raw.chosen is None else raw.chosen]
