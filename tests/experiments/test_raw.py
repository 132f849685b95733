"""Raw scans of every layout give the same line integrals."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.raw_scans import image, line_integrals

import learnedrecon as lr
from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.pairs import PairFolder, PairFolderSpec
from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.experiments.raw import RawInput, Theta, read_line_integrals
from learnedrecon.experiments.raw_report import raw_lines
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ParallelBeam3D

if TYPE_CHECKING:
    from pathlib import Path

VIEWS, ROWS, PIXELS = 40, 3, 99
DEGREES = np.arange(VIEWS) * 180.0 / VIEWS
LINES = line_integrals(np.deg2rad(DEGREES), PIXELS)[:, None] * np.array([0.8, 1.0, 1.2])[:, None]
BEAM = np.linspace(40000, 50000, ROWS * PIXELS).reshape(ROWS, PIXELS)
DARK = np.linspace(90, 110, ROWS * PIXELS).reshape(ROWS, PIXELS)
COUNTS = DARK + BEAM * np.exp(-LINES)
FLATS = np.stack([DARK + BEAM - 7, DARK + BEAM + 7])
DARKS = np.stack([DARK - 1, DARK + 1])


def write(folder: Path, kind: str) -> tuple[Path, str | None, RawInput]:
    """The scan with its frames in one of the layouts, and how it is read."""
    path, theta = folder / f"scan.{kind}", folder / "theta.txt"
    theta.write_text("\n".join(map(repr, DEGREES.tolist())))
    angles = Theta(str(theta), "degrees")
    if kind == "exchange.h5":
        with h5py.File(path, "w") as file:
            file["exchange/data"], file["exchange/theta"] = COUNTS, DEGREES
            file["exchange/data_white"], file["exchange/data_dark"] = FLATS, DARKS
        return path, None, RawInput()
    if kind == "nxs":
        with h5py.File(path, "w") as file:
            group = file.create_group("entry/instrument/detector")
            group["data"] = np.concatenate([DARKS, COUNTS, FLATS])
            group["image_key"] = np.array([2, 2, *[0] * VIEWS, 1, 1])
            file["entry/sample/rotation_angle"] = np.array([0, 0, *DEGREES, 0, 0])
            file["entry/sample/rotation_angle"].attrs["units"] = "deg"
        return path, None, RawInput()
    if kind == "hdf":
        with h5py.File(path, "w") as file:
            file["raw/proj"], file["raw/flat"], file["raw/dark"] = COUNTS, FLATS, DARKS
            file["raw/angle"] = DEGREES
            file["raw/angle"].attrs["units"] = "degrees"
        places = {name: f"{path}:raw/{name}" for name in ("flat", "dark", "angle")}
        raw = RawInput((places["flat"],), (places["dark"],), theta=Theta(places["angle"]))
        return path, "raw/proj", raw
    if kind == "npz":
        np.savez(path, p=COUNTS, f=FLATS, d=DARKS)
        return path, "p", RawInput((f"{path}:f",), (f"{path}:d",), theta=angles)
    names = [folder / f"{name}.{kind}" for name in ("flat", "dark")]
    for file, frames in zip((path, *names), (COUNTS, FLATS, DARKS), strict=True):
        if kind == "npy":
            np.save(file, frames)
        else:
            tifffile.imwrite(file, frames, photometric="minisblack")
    return path, None, RawInput((str(names[0]),), (str(names[1]),), theta=angles)


@pytest.mark.parametrize("kind", ["exchange.h5", "nxs", "hdf", "npz", "npy", "tif"])
def test_every_layout_gives_the_line_integrals(tmp_path: Path, kind: str) -> None:
    path, key, raw = write(tmp_path, kind)
    found = read_line_integrals(path, key, raw)
    np.testing.assert_allclose(found.values, LINES, atol=2e-6)
    assert found.theta is not None
    np.testing.assert_allclose(found.theta, np.deg2rad(DEGREES), rtol=1e-14)
    assert found.rows == ROWS
    some = RawInput(raw.flats, raw.darks, rows=(1, 3), theta=raw.theta)
    np.testing.assert_array_equal(read_line_integrals(path, key, some).values, found.values[:, 1:3])
    lines, geometry = raw_lines(path, key, raw)
    assert f"row 1 of 3 (--row chooses another): {VIEWS} angles from 0 to 175.5 degrees" in lines[0]
    assert "radians, from the file" in geometry


def test_a_scan_without_darks_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", (COUNTS - DARK)[:, 1])
    np.save(tmp_path / "flat.npy", BEAM[1])
    found = read_line_integrals(
        tmp_path / "scan.npy", None, RawInput((str(tmp_path / "flat.npy"),))
    )
    np.testing.assert_allclose(found.values, LINES[:, 1:2], atol=1e-6)
    assert "No dark frames: the dark is taken as 0." in found.notes


def test_counts_in_png_with_flats_in_tiff(tmp_path: Path) -> None:
    """The integers are compared, not what a picture in [0, 1] would be; half a count is lost."""
    for k, frame in enumerate(np.rint(COUNTS).astype(np.uint16)):
        (tmp_path / "scan").mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / "scan" / f"{k}.png")
    tifffile.imwrite(tmp_path / "flat.tif", FLATS)
    tifffile.imwrite(tmp_path / "dark.tif", DARKS)
    frames = tuple(str(tmp_path / f"{name}.tif") for name in ("flat", "dark"))
    found = read_line_integrals(tmp_path / "scan", None, RawInput(frames[:1], frames[1:]))
    np.testing.assert_allclose(
        found.values, LINES, rtol=0, atol=0.5 / (COUNTS - DARK).min() * 1.01 + 1e-6
    )


def test_transmissions_and_line_integrals(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "t.npy", np.exp(-LINES))
    np.save(tmp_path / "l.npy", LINES)
    for name, values in (("t", "transmission"), ("l", "lines")):
        found = read_line_integrals(tmp_path / f"{name}.npy", None, RawInput(values=values))  # type: ignore[arg-type]
        np.testing.assert_allclose(found.values, LINES, atol=1e-6)
    np.save(tmp_path / "c.npy", COUNTS)
    with caplog.at_level(logging.WARNING, logger="learnedrecon"):
        read_line_integrals(tmp_path / "c.npy", None, RawInput(values="transmission"))
    assert "look like counts" in caplog.text
    with pytest.raises(DataError, match="--flats FILE"):
        read_line_integrals(tmp_path / "c.npy", None, RawInput(values="counts"))
    with pytest.raises(ConfigError, match="no flats and darks for transmission"):
        RawInput(("f.npy",), values="transmission")
    with pytest.raises(ConfigError, match="mean or none"):
        RawInput(rings="all")


def test_a_mask_takes_the_rows_that_are_read(tmp_path: Path) -> None:
    path, key, raw = write(tmp_path, "npy")
    mask = np.zeros((ROWS, PIXELS), np.uint8)
    mask[2, 40] = 1
    np.save(tmp_path / "mask.npy", mask)
    masked = RawInput(raw.flats, raw.darks, bad_pixels=str(tmp_path / "mask.npy"), rows=(2, 3))
    found = read_line_integrals(path, key, masked).values[:, 0]
    np.testing.assert_allclose(found[:, 40], (LINES[:, 2, 39] + LINES[:, 2, 41]) / 2, atol=1e-5)
    text = tmp_path / "mask.txt"
    text.write_text("40\n")
    np.save(tmp_path / "row.npy", COUNTS[:, 2])
    np.save(tmp_path / "rowflat.npy", FLATS[:, 2])
    one = RawInput((str(tmp_path / "rowflat.npy"),), bad_pixels=str(text))
    assert "1 given" in read_line_integrals(tmp_path / "row.npy", None, one).notes[-1]


def test_as_many_angles_as_views(tmp_path: Path) -> None:
    path, key, raw = write(tmp_path, "npy")
    (tmp_path / "theta.txt").write_text("0\n1\n2\n")
    with pytest.raises(ShapeError, match=rf"each of {VIEWS} views.*Found 3"):
        read_line_integrals(path, key, raw)


SCAN = ParallelBeam((64, 64), tuple(np.deg2rad(DEGREES).tolist()), FlatDetector(PIXELS))


def test_a_row_is_asked_for_and_rows_are_a_stack(tmp_path: Path) -> None:
    path, _, raw = write(tmp_path, "exchange.h5")
    with pytest.raises(ShapeError, match=r"3 detector rows, and none chosen.*--row 1"):
        lr.reconstruct("fbp", path, operator=SCAN, raw=raw)
    every = lr.reconstruct("fbp", path, operator=SCAN, raw=RawInput(rows=(0, 3))).image
    assert every.shape == (3, 1, 64, 64)
    for row, factor in enumerate((0.8, 1.0, 1.2)):
        one = lr.reconstruct("fbp", path, operator=SCAN, raw=RawInput(rows=(row, row + 1))).image
        np.testing.assert_allclose(one[0], every[row], atol=1e-7)
        gap = one[0, 0].numpy() - factor * image(64)
        assert np.linalg.norm(gap) < 0.01 * np.linalg.norm(factor * image(64))


def test_a_panel_takes_all_rows(tmp_path: Path) -> None:
    path, _, raw = write(tmp_path, "nxs")
    scan = ParallelBeam3D((3, 64, 64), SCAN.angles, FlatPanel(ROWS, PIXELS))
    volume = lr.reconstruct("fbp", path, operator=scan, raw=raw).image
    assert volume.shape == (1, 1, 3, 64, 64)
    gap = volume[0, 0, 1].numpy() - image(64)
    assert np.linalg.norm(gap) < 0.02 * np.linalg.norm(image(64))


def test_given_angles_take_the_place_of_those_of_the_geometry(tmp_path: Path) -> None:
    path, _, raw = write(tmp_path, "npy")
    (tmp_path / "theta.txt").write_text("\n".join(map(repr, (DEGREES + 90).tolist())))
    chosen = RawInput(raw.flats, raw.darks, rows=(1, 2), theta=raw.theta)
    result = lr.reconstruct("fbp", path, operator=SCAN, raw=chosen)
    np.testing.assert_allclose(result.operator.spec.angle_values, np.deg2rad(DEGREES + 90))
    turned = np.rot90(image(64), -1)
    gap = result.image[0, 0].numpy() - turned
    assert np.linalg.norm(gap) < 0.01 * np.linalg.norm(turned)


def test_what_is_read_beside_the_scan_is_not_written_over(tmp_path: Path) -> None:
    path, _, raw = write(tmp_path, "npy")
    with pytest.raises(ConfigError, match=r"another file than the input .*flat\.npy"):
        lr.reconstruct(
            "fbp", path, operator=SCAN, raw=raw, output=tmp_path / "flat.npy", force=True
        )
    with pytest.raises(ConfigError, match="a measurement in a file alone"):
        lr.reconstruct("fbp", COUNTS, operator=SCAN, raw=raw)


@pytest.mark.parametrize("bad", ["auto", "mask.npy"])
def test_bad_pixels_of_pairs_are_interpolated(tmp_path: Path, bad: str) -> None:
    lines = LINES[:, 1].copy()
    lines[:, 30] = 1.3
    write_array(tmp_path / "measurement" / "a.npy", lines.astype(np.float32))
    write_array(tmp_path / "truth" / "a.npy", image(64).astype(np.float32))
    np.save(tmp_path / "mask.npy", np.array([30]))
    plain = PairFolder(PairFolderSpec(str(tmp_path)), SCAN)[0].data
    assert plain is not None
    np.testing.assert_array_equal(plain[0], lines.astype(np.float32))
    mended = PairFolder(PairFolderSpec(str(tmp_path), bad_pixels=bad), SCAN)[0].data
    assert mended is not None
    expected = lines.copy()
    expected[:, 30] = (lines[:, 29] + lines[:, 31]) / 2
    np.testing.assert_allclose(mended[0], expected, atol=1e-6)
