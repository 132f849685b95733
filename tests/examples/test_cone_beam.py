"""The example of the cone beam, on a small volume, and its page."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

import learnedrecon as lr

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "cone_beam.py"
RESULTS = ROOT / "studies" / "results" / "cone-beam.json"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("cone_beam", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cone_beam"] = module
    spec.loader.exec_module(module)
    return module


def test_conjugate_gradients_solve_the_normal_equations(example: ModuleType) -> None:
    """Twice as many steps as there are unknowns, for the rounding."""
    geometry = lr.operators.ParallelBeam3D(
        (2, 3, 3), lr.operators.AngleRange(5), lr.operators.FlatPanel(4, 6, 0.9)
    )
    operator = lr.operators.RayTransform3D(geometry, torch.float64)
    data = operator.codomain.random()[None, None]
    steps = example.least_squares(
        lr.InverseProblem(operator, data), torch.zeros(1, 1, 2, 3, 3).double()
    )
    volume = [next(steps) for _ in range(36)][-1]
    matrix = torch.stack([operator(u.reshape(2, 3, 3)).flatten() for u in torch.eye(18).double()])
    exact = torch.linalg.lstsq(matrix.T, data.flatten()).solution
    torch.testing.assert_close(volume.flatten(), exact, rtol=1e-6, atol=1e-6)


def test_the_panel_sees_the_ball_of_the_head(example: ModuleType) -> None:
    geometry = example.scan(32, 8)
    shadow = 500 * example.RADIUS / (300**2 - example.RADIUS**2) ** 0.5
    assert shadow < geometry.detector.column_positions[-1] + geometry.detector.pitches[1] / 2
    assert shadow < geometry.detector.row_positions[-1] + geometry.detector.pitches[0] / 2


def test_the_whole_script(tmp_path: Path) -> None:
    results, figure = tmp_path / "results.json", tmp_path / "figure.png"
    command = [sys.executable, "-W", "error", str(EXAMPLE), "--size", "24", "--views", "30"]
    command += ["--photons", "300", "--figure", str(figure), "--results", str(results)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    content = json.loads(results.read_text(encoding="utf-8"))
    fdk, least = content["psnr"].values()
    assert 15 < fdk < least < 30
    assert f"FDK: {fdk:.2f} dB" in done.stdout
    with Image.open(figure) as image:
        assert image.format == "PNG"


def test_the_page_has_the_recorded_numbers() -> None:
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "cone-beam.md").read_text(encoding="utf-8")
    for name, score in content["psnr"].items():
        assert f"| {name} | {score:.2f} | {content['seconds'][name]:.1f} |" in page
    assert content["command"] == "python examples/cone_beam.py"
    assert (ROOT / "docs" / "figures" / "cone-beam.png").stat().st_size <= 200_000


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "cone-beam.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 2
    exec(compile("\n".join(blocks), "cone-beam.md", "exec"), {})
    assert lr.read_geometry(tmp_path / "scan.yaml").data_shape == (90, 48, 64)
