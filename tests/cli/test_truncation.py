"""Projections that the detector cuts are said, and continued unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.solvers.disks import line_integrals

import learnedrecon as lr
from learnedrecon.config.yaml_file import write_geometry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Place, Run

N = 32


@pytest.fixture
def cut(place: Place) -> Path:
    """A disc half as wide again as the detector, beside G.yaml."""
    angles = lr.operators.AngleRange(40)
    geometry = lr.operators.ParallelBeam((N, N), angles, lr.operators.FlatDetector(N))
    write_geometry(place.folder / "G.yaml", geometry)
    return place.array("cut.npy", line_integrals(geometry, np.array([(1.0, 0.75 * N, 1.0, 0.0)])))


def test_reconstruct_says_so_and_continues_them(cli: Run, cut: Path) -> None:
    words = ("--geometry", "G.yaml", "-o", "image.npy")
    result = cli("reconstruct", "fbp", cut, *words)
    assert result.exit_code == 0, result.output
    assert "100 % of the views at the first detector pixel" in result.stderr
    assert np.load("image.npy")[8:-8, 8:-8] == pytest.approx(np.ones((16, 16)), abs=0.05)
    plain = cli("reconstruct", "fbp", cut, *words, "--extrapolate", "none", "--force")
    assert plain.exit_code == 0, plain.output
    assert np.load("image.npy")[8:-8, 8:-8].mean() > 1.2


def test_check_data_says_so(cli: Run, cut: Path) -> None:
    text = cli("check", "data", cut).stdout
    assert "As line integrals: the projections do not fall to the background" in text
    whole = np.load(cut)
    whole[:, :4] = whole[:, -4:] = 0
    np.save(cut, whole)
    assert "do not fall" not in cli("check", "data", cut).stdout
