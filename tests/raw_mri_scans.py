"""Raw scans of MRI, written by the package ismrmrd."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ismrmrd
import numpy as np
from tests.kspace_files import SMALL, kspace_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<subjectInformation><patientID>P7</patientID></subjectInformation>
<measurementInformation><protocolName>AXT2</protocolName></measurementInformation>
<encoding><trajectory>{trajectory}</trajectory>
<encodedSpace><matrixSize><x>64</x><y>36</y><z>{depth}</z></matrixSize>
<fieldOfView_mm><x>280</x><y>157.5</y><z>4.5</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>64</x><y>64</y><z>1</z></matrixSize>
<fieldOfView_mm><x>140</x><y>140</y><z>4.5</z></fieldOfView_mm></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>35</maximum>
<center>18</center></kspace_encoding_step_1></encodingLimits>
<parallelImaging><calibrationMode>{calibration}</calibrationMode></parallelImaging>
</encoding></ismrmrdHeader>"""


@dataclass(frozen=True)
class RawScan:
    """What a raw scan has; k-space is that of the phantom in ``tests.kspace_files``.

    Attributes:
        lines: measured columns.
        coupling: L of the noise, C = L L*, or None for no noise scan.
        averages: of every line.
        contrasts: each k times as strong as the first.
        extra: flags of further lines, which are no image.
        flags: of all lines of the image.
    """

    lines: tuple[int, ...] = tuple(range(36))
    coupling: Any = None
    averages: int = 1
    contrasts: int = 1
    extra: tuple[int, ...] = ()
    flags: tuple[int, ...] = ()
    trajectory: str = "cartesian"
    depth: int = 1
    calibration: str = "embedded"
    samples: int = 64
    dwell: tuple[float, float] = (5.0, 5.0)

    def but(self, **changes: object) -> RawScan:
        return replace(self, **changes)  # type: ignore[arg-type]


def kspace(scan: RawScan) -> NDArray[np.complex64]:
    """(slice, coil, readout, line), in the coils as they are wired."""
    values = kspace_of(SMALL.but(slices=2)) / 3e-5
    if scan.coupling is None:
        return values
    return np.einsum("cd,sdyx->scyx", scan.coupling, values).astype(np.complex64)


def write_raw(path: Path, scan: RawScan = RawScan()) -> Path:
    """One file; slices are interleaved."""
    random = np.random.default_rng(0)
    dataset = ismrmrd.Dataset(str(path), create_if_needed=True)
    text = HEADER.format(trajectory=scan.trajectory, depth=scan.depth, calibration=scan.calibration)
    dataset.write_xml_header(text.encode())
    if scan.coupling is not None:
        for _ in range(20):
            draws = random.normal(size=(2, 4, 256))
            noise = np.asarray(scan.coupling) @ (draws[0] + 1j * draws[1])
            _append(dataset, noise, flags=(ismrmrd.ACQ_IS_NOISE_MEASUREMENT,), time=scan.dwell[1])
    values = kspace(scan)
    for flag in scan.extra:
        _append(dataset, np.full((4, 64), 99.0), flags=(flag,))
    for contrast in range(scan.contrasts):
        for average in range(scan.averages):
            sign = 0.1 * (-1) ** average if scan.averages > 1 else 0.0
            for line in scan.lines:
                for number in range(2):
                    samples = (1 + contrast) * values[number, :, : scan.samples, line] + sign
                    idx = {"kspace_encode_step_1": line, "slice": number, "contrast": contrast}
                    idx["average"] = average
                    _append(dataset, samples, idx, scan.flags, scan.dwell[0])
    dataset.close()
    return path


def _append(
    dataset: Any,
    samples: NDArray[Any],
    idx: dict[str, int] | None = None,
    flags: tuple[int, ...] = (),
    time: float = 5.0,
) -> None:
    acquisition = ismrmrd.Acquisition.from_array(samples.astype(np.complex64))
    acquisition.center_sample = samples.shape[1] // 2
    acquisition.sample_time_us = time
    for name, value in (idx or {}).items():
        setattr(acquisition.idx, name, value)
    for flag in flags:
        acquisition.set_flag(flag)
    dataset.append_acquisition(acquisition)
