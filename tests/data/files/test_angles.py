"""Angles in text and arrays, and the unit that they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from learnedrecon.data.files.angles import read_angles
from learnedrecon.errors import DataError, FileFormatError, ShapeError
from learnedrecon.operators.ray.geometry2d import AngleRange

if TYPE_CHECKING:
    from pathlib import Path

DEGREES = np.linspace(0.0, 180.0, 31)
RADIANS = np.deg2rad(DEGREES)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(repr, DEGREES.tolist())),
        "angle [deg]\n" + "\r\n".join(map(repr, DEGREES.tolist())) + "\r\n\n",
        "# of the stage\n" + " ".join(map(repr, DEGREES.tolist())),
        ", ".join(map(repr, DEGREES.tolist())),
        "\ufeff" + ";\n".join(map(repr, DEGREES.tolist())) + ";",
    ],
)
@pytest.mark.parametrize("ending", ["txt", "csv"])
def test_text_of_every_habit_gives_the_same(tmp_path: Path, text: str, ending: str) -> None:
    path = tmp_path / f"theta.{ending}"
    path.write_bytes(text.encode())
    radians, notes = read_angles(path, unit="degrees")
    np.testing.assert_allclose(radians, RADIANS, rtol=1e-15)
    assert notes == ()


def test_arrays_and_the_unit_of_a_data_set(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RADIANS[:, None])
    np.savez(tmp_path / "a.npz", theta=RADIANS, other=np.zeros(3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/theta"], file["scan/other"] = DEGREES, np.zeros(3)
        file["scan/theta"].attrs["units"] = "deg"
    for found in (
        read_angles(tmp_path / "a.npy", unit="radians"),
        read_angles(tmp_path / "a.npz", "theta", "radians"),
        read_angles(tmp_path / "a.h5", "scan/theta"),
        read_angles(tmp_path / "a.h5", "scan/theta", "degrees"),
    ):
        np.testing.assert_allclose(found[0], RADIANS, rtol=1e-15)


@pytest.mark.parametrize(("values", "likely"), [(DEGREES, "degrees"), (RADIANS, "radians")])
def test_a_unit_that_nobody_says_is_asked_for(
    tmp_path: Path, values: np.ndarray, likely: str
) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(FileFormatError, match=f"31 angles from 0 to .* look like {likely}"):
        read_angles(tmp_path / "a.npy")


def test_a_wrong_unit_is_noticed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RADIANS)
    radians, notes = read_angles(tmp_path / "a.npy", unit="degrees")
    np.testing.assert_allclose(radians, np.deg2rad(RADIANS))
    assert len(notes) == 1
    assert "from 0 to 3.14159, taken as degrees: 31 views of an arc of 3.14 degrees" in notes[0]
    np.save(tmp_path / "b.npy", DEGREES)
    with pytest.raises(DataError, match="from 0 to 180, which look like degrees"):
        read_angles(tmp_path / "b.npy", unit="radians")


def test_few_views_of_a_small_arc_are_no_wonder(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([0.0, 1.0, 2.0]))
    assert read_angles(tmp_path / "a.npy", unit="degrees")[1] == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("0 1\n1 2\n", "2 numbers in a line"),
        ("", "Found none"),
        ("angle\n", "Found none"),
        ("0\n1\nx\n", "'x'"),
        ("0\nnan\n", "NaN or infinity"),
        ("0,5\n1,5\n", "2 numbers in a line"),
    ],
)
def test_what_is_no_column_of_numbers_is_named(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "theta.txt"
    path.write_text(text)
    with pytest.raises((FileFormatError, DataError), match=error):
        read_angles(path, unit="degrees")


def test_arrays_of_two_axes_are_no_angles(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    with pytest.raises(ShapeError, match=r"shape \(3, 4\)"):
        read_angles(tmp_path / "a.npy", unit="degrees")


@pytest.mark.parametrize(
    ("number", "start", "arc"), [(181, 0.0, np.pi), (5, 0.3, -6.0), (1, 0.2, 1)]
)
def test_both_ends_of_an_arc(number: int, start: float, arc: float) -> None:
    angles = AngleRange(number, start, arc, endpoint=True).values()
    np.testing.assert_allclose(angles, np.linspace(start, start + arc, number), atol=1e-15)
    middle = AngleRange(number, start, arc).values()
    step = arc / number
    np.testing.assert_allclose(middle, start + step * (np.arange(number) + 0.5), atol=1e-15)
