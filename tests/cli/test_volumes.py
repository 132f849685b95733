"""Scans of volumes on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

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
def test_a_volume_is_reconstructed(
    cli: Run, geometry: Path, tmp_path: Path, *, simulate: bool
) -> None:
    """FDK of the data, and of the data that the volume gives without noise."""
    operator = lr.operators.RayTransform3D(SCAN)
    volume = torch.rand(operator.domain.shape)
    np.save(tmp_path / "data.npy", volume if simulate else operator(volume))
    words = ["reconstruct", "fbp", tmp_path / "data.npy", "--geometry", geometry]
    words += ["--window", "ram-lak", "--extrapolate", "none"]
    done = cli(*words, "-o", tmp_path / "out.npy", *(["--simulate"] if simulate else []))
    assert done.exit_code == 0, done.output
    expected = lr.solvers.fdk(operator, operator(volume)[None, None])[0, 0]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected.numpy(), atol=1e-5)


def test_data_of_another_shape_name_the_axes(cli: Run, geometry: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.zeros((4, 5), np.float32))
    words = ["reconstruct", "fbp", tmp_path / "data.npy", "--geometry", geometry]
    done = cli(*words, "-o", tmp_path / "out.npy")
    assert done.exit_code == 2
    assert "(angles, detector rows, detector columns)" in " ".join(done.stderr.split())
