"""Projections in files and folders of every format, in the numbers that are stored."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from learnedrecon.data.files.arrays import array_header, read_array
from learnedrecon.data.files.nexus import read_nxtomo
from learnedrecon.data.files.stacks import Source, read_stack, source
from learnedrecon.errors import DataError, FileFormatError, ShapeError

COUNTS = np.random.default_rng(0).integers(0, 60000, (12, 4, 9)).astype(np.uint16)


def write(folder: Path, kind: str) -> tuple[Path, str | None]:
    """The counts in a file or a folder, and the key in it."""
    path = folder / f"scan.{kind}"
    if kind in {"h5", "nxs", "hdf"}:
        with h5py.File(path, "w") as file:
            file["entry/counts"], file["other"] = COUNTS, np.zeros(3)
        return path, "entry/counts"
    if kind == "npz":
        np.savez_compressed(path, counts=COUNTS, other=np.zeros(3))
        return path, "counts"
    if kind == "npy":
        np.save(path, COUNTS)
    elif kind == "tif":
        tifffile.imwrite(path, COUNTS, photometric="minisblack")
    else:
        path.mkdir()
        for k, frame in enumerate(COUNTS):
            if kind == "pngs":
                Image.fromarray(frame).save(path / f"proj_{k}.png")
            else:
                tifffile.imwrite(path / f"proj_{k}.tif", frame)
    return path, None


@pytest.mark.parametrize("kind", ["h5", "nxs", "hdf", "npz", "npy", "tif", "pngs", "tifs"])
def test_every_kind_has_the_same_counts_in_the_same_order(tmp_path: Path, kind: str) -> None:
    path, key = write(tmp_path, kind)
    values, rows = read_stack(path, key)
    np.testing.assert_array_equal(values, COUNTS)
    assert values.dtype == np.float64
    assert rows == 4
    some = read_stack(path, key, slice(1, 3))
    np.testing.assert_array_equal(some.values, COUNTS[:, 1:3])
    assert some.rows == 4
    for wrong in (slice(4, 5), slice(2, 5), slice(-1, 0)):
        with pytest.raises(ShapeError, match="a row from 0 to 3"):
            read_stack(path, key, wrong)


def test_a_folder_of_unequal_pictures_is_refused(tmp_path: Path) -> None:
    path, _ = write(tmp_path, "pngs")
    Image.fromarray(COUNTS[0, :2]).save(path / "proj_99.png")
    with pytest.raises(ShapeError, match=r"proj_99\.png, \(2, 9\)"):
        read_stack(path)
    np.save(path / "dark.npy", COUNTS[0])
    with pytest.raises(FileFormatError, match=r"endings \.npy, \.png"):
        read_stack(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match="Found none"):
        read_stack(tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a.h5:x/y", Source(Path("a.h5"), "x/y")),
        ("dir/a.NXS:entry1/data", Source(Path("dir/a.NXS"), "entry1/data")),
        ("a.npz:flat", Source(Path("a.npz"), "flat")),
        ("a.tif", Source(Path("a.tif"))),
        ("C:/a.hdf5", Source(Path("C:/a.hdf5"))),
        ("C:/a.hdf5:b", Source(Path("C:/a.hdf5"), "b")),
    ],
)
def test_a_key_stands_behind_the_file(text: str, place: Source) -> None:
    assert source(text) == place


def test_arrays_of_an_npz_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", only=COUNTS)
    np.testing.assert_array_equal(read_array(tmp_path / "one.npz"), COUNTS)
    assert array_header(tmp_path / "one.npz") == (COUNTS.shape, COUNTS.dtype)
    np.savez(tmp_path / "two.npz", a=COUNTS, b=COUNTS[0])
    np.testing.assert_array_equal(read_array(tmp_path / "two.npz", "b"), COUNTS[0])
    for key in (None, "c"):
        with pytest.raises(FileFormatError, match="a, b"):
            read_array(tmp_path / "two.npz", key)
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(FileFormatError, match="objects"):
        read_array(tmp_path / "objects.npz")
    (tmp_path / "broken.npz").write_bytes((tmp_path / "one.npz").read_bytes()[:-30])
    with pytest.raises(FileFormatError, match="corrupt"):
        read_array(tmp_path / "broken.npz")


KINDS = np.array([2, 1, 1, *[0] * 8, 3])
ANGLES = np.where(KINDS == 0, np.arange(12) * 20.0, 0.0)


def nxtomo(path: Path, layout: str, units: str | None = "degree") -> Path:
    """The counts as NXtomo: in the detector of the instrument, or in the entry's plain data."""
    detector = {"instrument": "entry1/tomo_entry/instrument/detector", "data": "entry/data"}[layout]
    sample = {"instrument": "entry1/tomo_entry/sample", "data": "entry/data"}[layout]
    with h5py.File(path, "w") as file:
        file[f"{detector}/data"], file[f"{detector}/image_key"] = COUNTS, KINDS
        file[f"{sample}/rotation_angle"] = ANGLES
        if units:
            file[f"{sample}/rotation_angle"].attrs["units"] = units
    return path


@pytest.mark.parametrize("layout", ["instrument", "data"])
def test_frames_of_nxtomo_go_where_their_key_says(tmp_path: Path, layout: str) -> None:
    scan = read_nxtomo(nxtomo(tmp_path / "a.nxs", layout))
    np.testing.assert_array_equal(scan.counts, COUNTS[3:11])
    np.testing.assert_array_equal(scan.white, COUNTS[1:3])
    np.testing.assert_array_equal(scan.dark, COUNTS[:1])
    assert scan.theta is not None
    np.testing.assert_allclose(scan.theta, np.deg2rad(ANGLES[3:11]))
    assert scan.notes == ("1 frames are marked as invalid, and left out.",)
    some = read_nxtomo(tmp_path / "a.nxs", slice(2, 3))
    np.testing.assert_array_equal(some.counts, COUNTS[3:11, 2:3])
    assert some.rows == 4


def test_nxtomo_with_radians_without_unit_and_with_angles_of_projections_alone(
    tmp_path: Path,
) -> None:
    path = nxtomo(tmp_path / "a.nxs", "data", None)
    assert any("taken as degrees" in note for note in read_nxtomo(path).notes)
    with h5py.File(path, "a") as file:
        del file["entry/data/rotation_angle"]
        file["entry/data/rotation_angle"] = np.deg2rad(ANGLES[3:11])
        file["entry/data/rotation_angle"].attrs["units"] = "rad"
    theta = read_nxtomo(path).theta
    assert theta is not None
    np.testing.assert_allclose(theta, np.deg2rad(ANGLES[3:11]))


def test_nxtomo_that_lacks_something_is_named(tmp_path: Path) -> None:
    path = nxtomo(tmp_path / "a.nxs", "data")
    with h5py.File(path, "a") as file:
        file["entry/data/image_key"][:] = 1
    with pytest.raises(DataError, match="12 frames, none of them"):
        read_nxtomo(path)
    with h5py.File(path, "a") as file:
        file["entry/data/image_key"][:] = KINDS
        del file["entry/data/rotation_angle"]
    with pytest.raises(FileFormatError, match=r"sample/rotation_angle.*--theta"):
        read_nxtomo(path)
    with h5py.File(path, "a") as file:
        file["entry/data/rotation_angle"] = ANGLES[:5]
    with pytest.raises(ShapeError, match="12 and 5"):
        read_nxtomo(path)
    with h5py.File(path, "a") as file:
        del file["entry/data/image_key"]
    with pytest.raises(FileFormatError, match="image_key"):
        read_nxtomo(path)
