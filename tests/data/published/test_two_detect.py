"""2DeteCT in small folders of the published layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch

from learnedrecon.config.yaml_file import read_config
from learnedrecon.data.published.two_detect import (
    SOURCE_DETECTOR,
    SOURCE_ORIGIN,
    TwoDetect,
    TwoDetectSpec,
    geometry,
    is_shifted,
    line_integrals,
)
from learnedrecon.data.sections import in_section, share_images
from learnedrecon.errors import ConfigError, DataError
from learnedrecon.experiments.data_report import look_at
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.folder_config import config_text
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

VIEWS, PIXELS, SIZE = 73, 160, 64
PITCH = 0.0748
VOXEL = PIXELS * PITCH * SOURCE_ORIGIN / SOURCE_DETECTOR / SIZE
BLOB = (0.8, 1.1, -0.7, 0.6)
"""Height in 1/mm, x and y upwards in mm, standard deviation in mm."""


def fan_lines(shift: float) -> np.ndarray:
    """Line integrals of the blob by ASTRA's conventions for 'fanflat', (view, raw pixel).

    The source is at SOD·(sin θ, -cos θ), the detector at ODD·(-sin θ, cos θ) and runs along
    (cos θ, sin θ); y points upwards. ``shift`` moves the detector along itself, in mm.
    """
    height, a, b, width = BLOB
    theta = np.linspace(0, 2 * np.pi, VIEWS)[:, None]
    s = ((np.arange(PIXELS) - (PIXELS - 1) / 2) * PITCH + shift)[None, :]
    behind = SOURCE_DETECTOR - SOURCE_ORIGIN
    sx, sy = SOURCE_ORIGIN * np.sin(theta), -SOURCE_ORIGIN * np.cos(theta)
    dx = -behind * np.sin(theta) + s * np.cos(theta) - sx
    dy = behind * np.cos(theta) + s * np.sin(theta) - sy
    distance = ((a - sx) * dy - (b - sy) * dx) / np.hypot(dx, dy)
    return height * width * np.sqrt(2 * np.pi) * np.exp(-(distance**2) / (2 * width**2))


def published_reference() -> np.ndarray:
    """In 1/pixel, the first row at the top, cut out of twice the size one pixel off the middle."""
    place = (SIZE // 2 - 1 + np.arange(SIZE) - (2 * SIZE - 1) / 2) * VOXEL
    x, y = place[None, :], -place[:, None]
    height, a, b, width = BLOB
    return VOXEL * height * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * width**2))


def write(folder: Path, number: int, *, dead: tuple[int, ...] = ()) -> Path:
    """A slice with counts whose detector is shifted as that of its number is."""
    rng = np.random.default_rng(number)
    mode = folder / f"slice{number:05d}" / "mode2"
    mode.mkdir(parents=True)
    lines = fan_lines(-2 * PITCH if is_shifted(mode.parent.name) else 0.0)
    dark, beam = 300 + 10 * rng.random(PIXELS), 40000 + 2000 * rng.random(PIXELS)
    beam[list(dead)] = 0.0
    tifffile.imwrite(mode / "sinogram.tif", (dark + beam * np.exp(-lines)).astype("f4"))
    tifffile.imwrite(mode / "dark.tif", dark[None].astype("f4"))
    for name, sign in (("flat1", -1), ("flat2", 1)):
        tifffile.imwrite(mode / f"{name}.tif", (dark + beam + 50 * sign)[None].astype("f4"))
    tifffile.imwrite(mode / "reconstruction.tif", published_reference().astype("f4"))
    return mode


def pair(spec: TwoDetectSpec) -> tuple[Tensor, Tensor]:
    """Data and truth of the first slice."""
    sample = TwoDetect(spec)[0]
    assert sample.data is not None
    assert sample.truth is not None
    return sample.data, sample.truth


@pytest.mark.parametrize("number", [1, 3000, 5600])
def test_data_are_the_line_integrals_of_the_references(tmp_path: Path, number: int) -> None:
    write(tmp_path, number)
    data, truth = pair(TwoDetectSpec(str(tmp_path)))
    scan = geometry(tmp_path)
    assert scan.shape == tuple(truth.shape[1:]) == (SIZE - 2, SIZE - 2)
    assert data.shape[1:] == scan.data_shape == (VIEWS - 1, PIXELS // 2)
    lines = RayTransform(scan, torch.float64)(truth.double())
    assert (lines - data).norm() < 0.01 * data.norm()
    for wrong in (truth.flip(-2), truth.roll(1, -1), truth.roll(1, -2)):
        gap = RayTransform(scan, torch.float64)(wrong.double()) - data
        assert gap.norm() > 0.05 * data.norm()


def test_the_published_sizes_give_the_published_geometry(tmp_path: Path) -> None:
    mode = tmp_path / "slice00001" / "mode2"
    mode.mkdir(parents=True)
    tifffile.imwrite(mode / "sinogram.tif", shape=(3601, 1912), dtype="u2")
    tifffile.imwrite(mode / "reconstruction.tif", shape=(1024, 1024), dtype="f4")
    scan = geometry(tmp_path, every=10)
    assert scan.data_shape == (360, 956)
    np.testing.assert_allclose(scan.angle_values, np.linspace(0, 2 * np.pi, 3601)[:-1:10])
    assert scan.source_origin == 431.019989
    assert scan.detector.pitch == pytest.approx(0.1496)
    assert scan.source_origin + scan.origin_detector == pytest.approx(529.000488)
    assert scan.pixel[0] == pytest.approx(0.1496 * 956 * 431.019989 / 529.000488 / 1024)
    assert scan.shape == (1022, 1022)


@pytest.mark.parametrize(
    ("number", "shifted"),
    [(1, True), (2830, True), (2831, False), (5520, False), (5521, True), (5870, True)],
)
def test_the_detector_was_moved_between_these_slices(number: int, shifted: bool) -> None:
    assert is_shifted(f"slice{number:05d}") is shifted
    assert not is_shifted("another")


def test_every_kth_view_and_dead_pixels(tmp_path: Path) -> None:
    write(tmp_path / "whole", 3000)
    write(tmp_path / "dead", 3000, dead=(70, 71))
    whole = pair(TwoDetectSpec(str(tmp_path / "whole")))[0]
    mended = pair(TwoDetectSpec(str(tmp_path / "dead")))[0]
    assert (mended - whole).norm() < 5e-3 * whole.norm()
    np.testing.assert_allclose(
        mended[0, :, 35], (mended[0, :, 34] + mended[0, :, 36]) / 2, rtol=1e-5
    )
    few = pair(TwoDetectSpec(str(tmp_path / "whole"), every=7))[0]
    np.testing.assert_array_equal(few, whole[:, ::7])
    np.save(tmp_path / "whole" / "mask.npy", np.array([20]))
    masked = pair(TwoDetectSpec(str(tmp_path / "whole"), bad_pixels="mask.npy"))[0]
    np.testing.assert_allclose(masked[0, :, 20], (whole[0, :, 19] + whole[0, :, 21]) / 2, rtol=1e-5)
    with pytest.raises(DataError, match="brighter than the dark"):
        line_integrals(tmp_path / "dead" / "slice03000" / "mode2", "none")


def test_sections_take_their_blocks_and_share_no_slice(tmp_path: Path) -> None:
    for number in (1, 2, 51, 101, 151):
        write(tmp_path, number)
    spec = TwoDetectSpec(str(tmp_path))
    parts = [TwoDetect(in_section(spec, split)) for split in ("train", "validation", "test")]
    ids = [set(part.ids) for part in parts]
    assert set.union(*ids) == set(TwoDetect(spec).ids)
    assert sum(map(len, ids)) == 5
    assert any({"slice00001", "slice00002"} <= each for each in ids)
    assert share_images(spec, in_section(spec, "test"))
    assert not share_images(in_section(spec, "train"), in_section(spec, "test"))
    with pytest.raises(ConfigError, match="mode 4"):
        TwoDetectSpec("folder", mode=4)


def test_a_folder_is_recognised_and_goes_into_a_run(tmp_path: Path) -> None:
    for number in (1, 51, 101, 151):
        write(tmp_path / "slices", number)
    view = look_at(tmp_path / "slices")
    text = "\n".join(view.lines)
    assert "2DeteCT, 4 slices" in text
    assert "Next: learnedrecon init --from" in text
    config = tmp_path / "c.yaml"
    config.write_text(config_text(tmp_path / "slices", config))
    settings = read_config(config)
    assert settings.operator == geometry(tmp_path / "slices")
    (batch,) = Experiment(settings).batches("test")
    assert tuple(batch.problem.data.shape) == (1, 1, VIEWS - 1, PIXELS // 2)


def test_a_mode_is_a_raw_scan_without_image(tmp_path: Path) -> None:
    mode = write(tmp_path, 7)
    text = "\n".join(look_at(mode).lines)
    assert f"{VIEWS} views of {PIXELS} detector pixels" in text
    assert f"--flats {mode / 'flat1.tif'} --flats {mode / 'flat2.tif'}" in text
    assert "no image" in text
    with pytest.raises(DataError, match="true images to learn from"):
        config_text(mode, tmp_path / "c.yaml")
