"""Options for raw scans: what excludes what, and what is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.raw_scans import image, written

from learnedrecon.config.yaml_file import write_geometry
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.raw_scans import Scan


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return written(tmp_path_factory.mktemp("scan"), views=60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--row", "-1"], "0 <= A < B.*--row -1"),
        (["--rows", "3"], "0 <= A < B.*--rows 3"),
        (["--rows", "3:3"], "--rows 3:3"),
        (["--row", "1", "--rows", "0:2"], "--row 1 --rows 0:2"),
        (["--row", "3"], "a row from 0 to 2"),
        (["--counts", "--transmission"], "--counts or --transmission.*both"),
        (["--degrees"], "the unit alone"),
        (["--transmission"], "no flats and darks for transmission"),
        (["--rings", "gone"], "sorting, mean or none"),
        (["--bad-pixels", "nothing.npy"], "nothing.npy.*no such file"),
    ],
)
def test_options_that_make_no_sense_are_named(
    cli: Run, scan: Scan, tmp_path: Path, options: list[str], message: str
) -> None:
    place = ["--flats", scan.flats, *options, "-o", tmp_path / "image.npy"]
    result = cli("reconstruct", "fbp", scan.counts, *place)
    assert result.exit_code == 2
    text = " ".join(result.stderr.split())
    assert "Traceback" not in text
    assert re.search(message, text), text


def test_a_unit_has_to_be_said(cli: Run, scan: Scan) -> None:
    frames = ["--flats", scan.flats, "--darks", scan.darks, "--theta", scan.theta]
    result = cli("check", "data", scan.counts, *frames)
    assert result.exit_code == 2
    assert "60 angles from 0 to 177, which look like degrees" in " ".join(result.stderr.split())
    wrong = cli("check", "data", scan.counts, *frames, "--radians")
    assert wrong.exit_code == 2
    assert "say --degrees" in wrong.stderr


def test_rings_and_given_bad_pixels_are_said(cli: Run, scan: Scan, tmp_path: Path) -> None:
    write_geometry(tmp_path / "g.yaml", ParallelBeam((64, 64), AngleRange(60), FlatDetector(99)))
    np.save(tmp_path / "mask.npy", scan.dead)
    result = cli(
        "reconstruct", "fbp", scan.counts, "--geometry", tmp_path / "g.yaml", "-o",
        tmp_path / "image.npy", "--flats", scan.flats, "--darks", scan.darks, "--row", 1,
        "--theta", scan.theta, "--degrees", "--rings", "mean",
        "--bad-pixels", tmp_path / "mask.npy",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "4 mended by interpolation (4 given)" in result.stderr
    assert "removed by 'mean'" in result.stderr
    gap = np.load(tmp_path / "image.npy") - image(64)
    assert np.linalg.norm(gap) < 0.02 * np.linalg.norm(image(64))
