from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from learnedrecon.data.files.exchange import ExchangeScan, read_data_exchange
from learnedrecon.errors import DataError, FileFormatError, GeometryError, ShapeError
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam

TOOTH = Path(__file__).parents[4] / "shared" / "data" / "tooth.h5"

Contents = dict[str, NDArray[Any]]

ANGLES, ROWS, DETECTORS = 7, 3, 11


def true_integrals() -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(0.0, 4.0, (ANGLES, ROWS, DETECTORS))


def contents() -> Contents:
    """A noiseless scan whose white and dark frames scatter around known means."""
    dark = np.random.default_rng(1).uniform(50.0, 60.0, (ROWS, DETECTORS))
    beam = np.random.default_rng(2).uniform(900.0, 1100.0, (ROWS, DETECTORS))
    scatter = np.array([-5.0, 0.0, 5.0])[:, None, None]
    return {
        "data": dark + beam * np.exp(-true_integrals()),
        "data_white": dark + beam + scatter,
        "data_dark": dark + scatter,
        "theta": np.linspace(0.0, 180.0, ANGLES, endpoint=False),
    }


def write(path: Path, values: Contents, units: object = None) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in values.items():
            file[f"exchange/{name}"] = array
        if units is not None:
            file["exchange/theta"].attrs["units"] = units
    return path


@pytest.mark.parametrize("row", range(ROWS))
def test_line_integrals_are_those_of_the_row(tmp_path: Path, row: int) -> None:
    scan = read_data_exchange(write(tmp_path / "a.h5", contents()), row)
    values, clipped = scan.line_integrals()
    # The transmission exp(-y) is found to 1e-13, as its counts are stored beside a dark of 60.
    np.testing.assert_allclose(values, true_integrals()[:, row], rtol=0, atol=1e-12)
    assert clipped == 0
    assert scan.white.shape == scan.dark.shape == (3, DETECTORS)


@pytest.mark.parametrize(
    ("units", "radians_per_unit"),
    [
        (None, np.pi / 180),
        ("degrees", np.pi / 180),
        (" Deg ", np.pi / 180),
        (b"degree", np.pi / 180),
        ("radians", 1.0),
        (b"rad", 1.0),
    ],
)
def test_angles_become_radians(tmp_path: Path, units: object, radians_per_unit: float) -> None:
    scan = read_data_exchange(write(tmp_path / "a.h5", contents(), units))
    np.testing.assert_allclose(scan.theta, contents()["theta"] * radians_per_unit, rtol=1e-15)


def test_an_unknown_unit_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="'gon'"):
        read_data_exchange(write(tmp_path / "a.h5", contents(), "gon"))


def test_integers_are_read(tmp_path: Path) -> None:
    values = {name: array.astype(np.uint16) for name, array in contents().items()}
    scan = read_data_exchange(write(tmp_path / "a.h5", values), 1)
    assert scan.counts.dtype == np.float64
    np.testing.assert_array_equal(scan.counts, values["data"][:, 1])
    np.testing.assert_allclose(scan.theta, values["theta"] * (np.pi / 180), rtol=1e-15)


def scan_with_counts(*counts: float) -> ExchangeScan:
    n = len(counts)
    return ExchangeScan(
        counts=np.array([counts]),
        white=np.full((2, n), 110.0),
        dark=np.full((2, n), 10.0),
        theta=np.zeros(1),
    )


def test_no_light_is_clipped_and_counted() -> None:
    scan = scan_with_counts(110.0, 60.0, 10.0, 4.0)  # transmissions 1, 1/2, 0, -.06
    values, clipped = scan.line_integrals()
    assert clipped == 2
    expected = [[0.0, np.log(2), np.log(1e6), np.log(1e6)]]
    np.testing.assert_allclose(values, expected, rtol=1e-14)
    values, clipped = scan.line_integrals(min_transmission=0.75)
    assert clipped == 3
    np.testing.assert_allclose(values, [[0.0, *3 * [np.log(4 / 3)]]], rtol=1e-14)


@pytest.mark.parametrize("smallest", [0.0, -1.0, 1.0, np.nan])
def test_the_smallest_transmission_is_checked(smallest: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        scan_with_counts(50.0).line_integrals(min_transmission=smallest)


def test_dead_pixels_are_counted_and_interpolated(tmp_path: Path) -> None:
    values = contents()
    values["data_white"][:, 0, [4, 9]] = values["data_dark"][:, 0, [4, 9]]
    scan = read_data_exchange(write(tmp_path / "a.h5", values))
    true = true_integrals()[:, 0]
    expected = true.copy()
    for pixel in (4, 9):
        expected[:, pixel] = (true[:, pixel - 1] + true[:, pixel + 1]) / 2
    np.testing.assert_allclose(scan.line_integrals().values, expected, atol=1e-12)
    assert scan.bad_pixels.kinds["dead"] == 2
    with pytest.raises(DataError, match=r"2 of 11 detector pixels .*\(0, 4\)"):
        scan.line_integrals(bad="none")
    assert read_data_exchange(tmp_path / "a.h5", row=1).bad_pixels.mask.sum() == 0


def test_exchanged_frames_are_refused(tmp_path: Path) -> None:
    values = contents()
    values["data_white"], values["data_dark"] = values["data_dark"], values["data_white"]
    scan = read_data_exchange(write(tmp_path / "a.h5", values))
    with pytest.raises(DataError, match="exchanged"):
        scan.line_integrals()


@pytest.mark.parametrize("name", ["data", "data_white", "data_dark", "theta"])
def test_a_missing_key_is_named_with_those_that_are_there(tmp_path: Path, name: str) -> None:
    values = contents()
    left = values.pop(name)
    values["other"] = left
    with pytest.raises(FileFormatError, match=rf"'exchange/{name}'.*exchange/other \("):
        read_data_exchange(write(tmp_path / "a.h5", values))


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("data", np.s_[:-1]),
        ("data", np.s_[:, :, :-1]),
        ("data", np.s_[:, 0]),
        ("data", np.s_[:0]),
        ("data_white", np.s_[:, :-1]),
        ("data_white", np.s_[0]),
        ("data_dark", np.s_[:, :, 1:]),
        ("data_dark", np.s_[:0]),
        ("theta", np.s_[1:]),
        ("theta", np.s_[None]),
        ("theta", np.s_[0]),
    ],
)
def test_shapes_that_do_not_fit_are_listed(tmp_path: Path, name: str, cut: Any) -> None:
    values = contents()
    values[name] = np.asarray(values[name][cut])
    with pytest.raises(ShapeError, match=r"exchange/data \(.*data_white \(.*data_dark.*theta \("):
        read_data_exchange(write(tmp_path / "a.h5", values))


@pytest.mark.parametrize("name", ["data", "data_white", "data_dark", "theta"])
def test_not_a_number_is_named(tmp_path: Path, name: str) -> None:
    values = contents()
    values[name][2, ...] = np.nan
    with pytest.raises(DataError, match=f"'exchange/{name}'"):
        read_data_exchange(write(tmp_path / "a.h5", values))


def test_not_a_number_in_another_row_does_not_matter(tmp_path: Path) -> None:
    values = contents()
    values["data"][:, 2] = np.nan
    read_data_exchange(write(tmp_path / "a.h5", values), row=1)


def test_complex_counts_are_refused(tmp_path: Path) -> None:
    values = contents()
    values["data"] = values["data"].astype(np.complex64)
    with pytest.raises(FileFormatError, match="complex64"):
        read_data_exchange(write(tmp_path / "a.h5", values))


@pytest.mark.parametrize("row", [-1, ROWS])
def test_a_row_that_is_not_there(tmp_path: Path, row: int) -> None:
    with pytest.raises(ShapeError, match=rf"0 to 2 .* row {row}"):
        read_data_exchange(write(tmp_path / "a.h5", contents()), row)


def test_every_truncation_is_one_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", contents())
    content = path.read_bytes()
    for length in [*range(0, len(content), len(content) // 40), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"Expected .*a\.h5 .* Found .* What to do: "):
            read_data_exchange(path)


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_data_exchange(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no scan")
    with pytest.raises(FileFormatError, match=r"text\.h5 to be an HDF5 file.*corrupt"):
        read_data_exchange(tmp_path / "text.h5")


@pytest.mark.skipif(not TOOTH.is_file(), reason="the measured scan shared/data/tooth.h5 is absent")
def test_a_measured_tooth() -> None:
    scan = read_data_exchange(TOOTH)
    assert scan.counts.shape == (181, 640)
    assert scan.white.shape == scan.dark.shape == (10, 640)
    np.testing.assert_allclose(scan.theta, np.arange(181) * np.pi / 181, rtol=1e-12)
    values, clipped = scan.line_integrals()
    assert clipped == 0
    # Parallel beam: every view has the same mass, and its centre runs on a sinusoid around the
    # axis, which the providers put near pixel 296. Measured: .3 %, .41 pixels, and 296.2.
    mass = values.sum(axis=1)
    assert mass.std() / mass.mean() < 0.005
    centre = values @ np.arange(640) / mass
    basis = np.stack((np.ones(181), np.cos(scan.theta), np.sin(scan.theta)), axis=1)
    coefficients = np.linalg.lstsq(basis, centre, rcond=None)[0]
    assert np.abs(basis @ coefficients - centre).max() < 0.6
    assert abs(coefficients[0] - 296) < 1


@pytest.mark.parametrize("name", ["white", "dark", "counts", "theta"])
def test_frames_without_their_first_axis_are_refused(name: str) -> None:
    """The mean of a flat (detector,) over its first axis would be one number for all pixels."""
    flat = np.linspace(1000.0, 3000.0, 101)
    lines = np.full((5, 101), 0.7)
    parts = {
        "counts": flat * np.exp(-lines),
        "white": flat[None],
        "dark": np.zeros((1, 101)),
        "theta": np.arange(5.0),
    }
    np.testing.assert_allclose(ExchangeScan(**parts).line_integrals().values, lines)
    with pytest.raises(ShapeError, match=r"white and dark \(frame, detector\).*frame\[None\]"):
        ExchangeScan(**{**parts, name: parts[name][0]})


def test_angles_of_many_turns_become_those_of_one(tmp_path: Path) -> None:
    def scan(theta: np.ndarray, unit: str) -> np.ndarray:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["exchange/data"] = np.full((60, 1, 3), 500)
            file["exchange/data_white"] = np.full((1, 1, 3), 1000)
            file["exchange/data_dark"] = np.zeros((1, 1, 3))
            file["exchange/theta"] = theta
            file["exchange/theta"].attrs["units"] = unit
        return read_data_exchange(tmp_path / "a.h5").theta

    degrees = np.arange(60) * 90.5
    expected = np.deg2rad(degrees % 360.0)
    np.testing.assert_array_equal(scan(degrees, "degrees"), expected)
    np.testing.assert_array_equal(scan(degrees, "radians"), degrees)
    with pytest.raises(GeometryError, match="degrees"):
        ParallelBeam((3, 3), tuple(degrees), FlatDetector(3))
    few = np.linspace(-400.0, 700.0, 60)
    np.testing.assert_allclose(scan(few, "degrees"), np.deg2rad(few))
    ParallelBeam((3, 3), tuple(expected), FlatDetector(3))
