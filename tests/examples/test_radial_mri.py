"""The example of radial MRI: its exact data, and the whole script on a small head."""

from __future__ import annotations

import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

import learnedrecon as lr
from learnedrecon.data.phantoms.ellipses import ellipse_image

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLE = Path(__file__).parents[2] / "examples" / "radial_mri.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("radial_mri", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["radial_mri"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [8, 9])
def test_the_transform_of_an_ellipse_is_the_limit_of_fine_sums(
    example: ModuleType, size: int
) -> None:
    ellipse = np.array([[0.7, 0.5, 0.3, 0.2, -0.1, 0.6]])
    finer = 128
    fine = ellipse_image(ellipse, (finer * size, finer * size))
    axis = (np.arange(finer * size) + 0.5) / finer - 0.5 - size // 2
    for k in ([0.0, 0.0], [0.8, -1.1], [-2.0, 0.3]):
        phase = np.exp(-1j * (k[0] * axis[:, None] + k[1] * axis))
        expected = (fine * phase).sum() / finer**2
        found = example.ellipse_transform(ellipse, np.array(k), size)
        assert abs(found - expected) < 2e-3 * 0.7 * math.pi * 0.15 * size**2 / 4


def test_the_data_are_those_of_the_operator_where_pixels_are_small(example: ModuleType) -> None:
    """Away from the border of k-space, where the pixels do not blur."""
    size, trajectory = 96, lr.operators.Radial(5, 192)
    coefficients = example.coil_waves(3, size)
    exact = example.measure(trajectory, coefficients, size)
    maps = torch.from_numpy(example.wave_images(size) @ coefficients.T).T.reshape(3, size, size)
    spec = lr.operators.NonCartesian((size, size), trajectory, 3)
    operator = lr.operators.NonCartesianMRI(spec, maps, torch.complex128)
    found = operator(example.truth_of(size)[0, 0])
    inner = slice(80, 113)
    error = (found - exact)[..., inner].norm() / exact[..., inner].norm()
    assert float(error) < 0.01


def test_coil_maps_see_everything_and_differ(example: ModuleType) -> None:
    waves = example.wave_images(32) @ example.coil_waves(6, 32).T
    power = (np.abs(waves) ** 2).sum(axis=1)
    assert power.min() > 0.2 * power.max()
    assert np.linalg.matrix_rank(waves, tol=0.05 * np.linalg.norm(waves, 2)) == 6


def test_the_whole_script(tmp_path: Path) -> None:
    figure = tmp_path / "made" / "figure.png"
    command = [sys.executable, "-W", "error", str(EXAMPLE), "--size", "64", "--coils", "4"]
    command += ["--acceleration", "2", "--figure", str(figure)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    scores = {
        name: float(value)
        for name, value in re.findall(r"^(.+): ([-.\d]+) dB$", done.stdout, re.MULTILINE)
    }
    assert scores["adjoint"] + 3 < scores["gridding"]
    assert 18 < scores["gridding"] < scores["SENSE"] - 1
    with Image.open(figure) as image:
        assert image.format == "PNG"
