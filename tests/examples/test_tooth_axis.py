"""The example that finds a rotation axis by descent: on a simulated scan, and the tooth itself."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

import learnedrecon as lr
from learnedrecon.data.phantoms.shepp_logan import shepp_logan

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "tooth_axis.py"
RESULT = ROOT / "studies" / "results" / "tooth-axis.json"
TOOTH = ROOT.parent / "shared" / "data" / "tooth.h5"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("tooth_axis", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tooth_axis"] = module
    spec.loader.exec_module(module)
    return module


def test_it_is_short_and_knows_no_machine() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    assert not any(word in text for word in ("/home", "/work", "/tmp", "/root"))


@pytest.mark.parametrize("start", [-8.0, 8.0])
def test_the_axis_of_a_simulated_scan(example: ModuleType, start: float) -> None:
    """Within a twentieth of a pixel, from data made on a grid eight times as fine, with noise."""
    pixels, truth = 160, 3.7
    detector = lr.operators.FlatDetector(pixels, example.BINNING, truth)
    geometry = lr.operators.ParallelBeam((64, 64), lr.operators.AngleRange(60), detector, 3.0)
    fine = replace(geometry, shape=(512, 512), pixel_size=3.0 / 8)
    image = torch.from_numpy(shepp_logan(512)).double()[None]
    for _ in range(3):
        image = torch.nn.functional.avg_pool2d(image, 11, 1, 5)
    data = lr.operators.RayTransform(fine)(image)[0]
    data = data + 0.005 * data.std() * torch.randn_like(data)
    centred = replace(geometry, detector=replace(detector, axis_offset=0.0))
    middle = (pixels * example.BINNING - 1) / 2
    path = example.descend(
        lr.operators.RayTransform(centred), data, middle + truth + start, steps=8, iterations=25
    )
    assert path[-1].axis == pytest.approx(middle + truth, abs=0.05)
    assert path[-1].misfit < 0.1 * path[0].misfit


@pytest.mark.skipif(
    not TOOTH.exists(), reason=f"needs the measured scan {TOOTH.name}, see docs/tooth.md"
)
def test_the_axis_of_the_tooth_to_half_a_pixel(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 8 pixels to either side, shortened: a quarter of the views and fewer steps."""
    figure, results = tmp_path / "axis.png", tmp_path / "axis.json"
    command = [
        EXAMPLE.name,
        *("--data", str(TOOTH), "--every", "4", "--steps", "7", "--iterations", "15"),
        *("--figure", str(figure), "--results", str(results)),
    ]
    monkeypatch.setattr(sys, "argv", command)
    example.main()
    content = json.loads(results.read_text(encoding="utf-8"))
    assert content["reference"] == pytest.approx(296.2, abs=0.05)
    for side in ("-8", "+8"):
        start, *_, end = (point["axis"] for point in content["paths"][side])
        assert start == pytest.approx(content["reference"] + float(side))
        assert content["axis"][side] == end
        assert end == pytest.approx(content["reference"], abs=0.5)
    with Image.open(figure) as image:
        image.verify()


def test_the_page_has_the_recorded_numbers() -> None:
    content = json.loads(RESULT.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "tooth.md").read_text(encoding="utf-8")
    assert content["command"] in page
    assert f"**{content['reference']:.2f}**" in page
    for side in ("-8", "+8"):
        assert abs(content["axis"][side] - content["reference"]) < 0.5
        assert f"**{content['axis'][side]:.2f}**" in page
        assert f"{len(content['paths'][side])} iterations" in page
    figure = ROOT / "docs" / "figures" / "tooth-axis.png"
    assert figure.stat().st_size <= 200_000
    with Image.open(figure) as image:
        image.verify()
