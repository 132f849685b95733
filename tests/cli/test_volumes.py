"""Scans of volumes on the command line: checked, and otherwise refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import learnedrecon as lr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

SCAN = lr.operators.ConeBeam(
    (3, 4, 5), lr.operators.AngleRange(4, arc=6.28), lr.operators.FlatPanel(5, 6, 1.7), 30.0, 20.0
)


@pytest.fixture
def geometry(tmp_path: Path) -> Path:
    path = tmp_path / "scan.yaml"
    lr.write_geometry(path, SCAN)
    return path


def test_check_operator(cli: Run, geometry: Path) -> None:
    done = cli("check", "operator", geometry)
    assert done.exit_code == 0
    assert "RayTransform3D, torch.float32" in done.output


@pytest.mark.parametrize("simulate", [False, True])
def test_reconstruct_says_that_it_is_for_images(
    cli: Run, geometry: Path, tmp_path: Path, simulate: bool
) -> None:
    file = tmp_path / "data.npy"
    np.save(file, np.zeros((4, 5) if simulate else SCAN.data_shape, np.float32))
    words = ["reconstruct", "fbp", file, "--geometry", geometry, "-o", tmp_path / "out.npy"]
    done = cli(*words, *(["--simulate"] if simulate else []))
    assert done.exit_code == 2
    text = " ".join(done.output.split())
    assert "ConeBeam, a scan of a volume" in text
    assert "learnedrecon.fdk" in text
