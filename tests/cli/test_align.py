"""`learnedrecon align`: from a scan to a geometry with its axis, and no input is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.solvers.disks import DISCS, line_integrals

import learnedrecon as lr
from learnedrecon.config.yaml_file import read_geometry, write_geometry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Place, Run

AXIS = -1.7


@pytest.fixture
def scan(place: Place) -> Path:
    """A scan of 40 detector pixels whose axis is off its centre, beside G.yaml, which says 0."""
    angles = lr.operators.AngleRange(30)
    true = lr.operators.ParallelBeam((40, 40), angles, lr.operators.FlatDetector(40, 1.0, AXIS))
    given = lr.operators.ParallelBeam((40, 40), angles, lr.operators.FlatDetector(40))
    write_geometry(place.folder / "G.yaml", given)
    return place.array("scan.npy", line_integrals(true, DISCS * (1, 36, 36, 36)))


def test_the_axis_is_written_and_the_next_command_runs(cli: Run, scan: Path, place: Place) -> None:
    result = cli("align", scan, "--geometry", place.folder / "G.yaml", "-o", "new.yaml")
    assert result.exit_code == 0, result.output
    assert "detector pixel 17.8" in result.stdout
    assert "The methods agree to 0.0" in result.stdout
    written = read_geometry("new.yaml")
    assert written.detector.axis_offset == pytest.approx(AXIS, abs=0.02)
    assert read_geometry(place.folder / "G.yaml").detector.axis_offset == 0
    words = result.stdout.splitlines()[-1].removeprefix("Next: learnedrecon ").split()
    assert cli(*words[:-1], "image.npy").exit_code == 0
    assert np.load("image.npy").shape == (40, 40)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_the_geometry_that_is_read_is_never_overwritten(
    cli: Run, scan: Path, place: Place, force: list[str]
) -> None:
    before = (place.folder / "G.yaml").read_bytes()
    result = cli("align", scan, "--geometry", "G.yaml", "-o", "G.yaml", *force)
    assert result.exit_code == 2
    assert "another file than the input" in result.stderr
    assert (place.folder / "G.yaml").read_bytes() == before


def test_another_file_is_overwritten_with_force_alone(cli: Run, scan: Path, place: Place) -> None:
    mine = place.file("mine.yaml", "name: parallel_beam\n")
    words = ("align", scan, "--geometry", "G.yaml", "-o", mine)
    assert cli(*words).exit_code == 2
    assert mine.read_text() == "name: parallel_beam\n"
    assert cli(*words, "--force").exit_code == 0


def test_without_an_output_the_value_alone_is_printed(cli: Run, scan: Path) -> None:
    result = cli("align", scan, "--geometry", "G.yaml")
    assert result.exit_code == 0, result.output
    assert "axis_offset -1.6" in result.stdout


def test_an_array_is_aligned_from_python(scan: Path) -> None:
    found = lr.experiments.align(np.load(scan), operator=read_geometry("G.yaml"))
    assert found.file is None
    assert found.given == 0
    assert found.geometry.detector.axis_offset == found.axis.offset
    assert found.axis.offset == pytest.approx(AXIS, abs=0.02)
