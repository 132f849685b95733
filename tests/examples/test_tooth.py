"""The example of the measured tooth, with a training of a few steps."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

import learnedrecon as lr
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.experiments.budget import with_steps
from learnedrecon.experiments.experiment import Experiment

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "tooth.py"
TOOTH = ROOT.parent / "shared" / "data" / "tooth.h5"
needs_data = pytest.mark.skipif(
    not TOOTH.exists(), reason=f"needs the measured scan {TOOTH.name}, see docs/tooth.md"
)


@pytest.fixture(scope="module")
def tooth() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("tooth", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tooth"] = module
    spec.loader.exec_module(module)
    return module


def test_it_is_short_and_knows_no_machine() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    assert not any(word in text for word in ("/home", "/work", "/tmp", "/root"))


@pytest.mark.parametrize("offset", [-37.3, 0.0, 12.6])
@pytest.mark.parametrize("arc", [np.pi, 2 * np.pi])
def test_the_axis_of_a_simulated_scan(tooth: ModuleType, offset: float, arc: float) -> None:
    """Known to a twentieth of a pixel, with noise, on an off-centre object."""
    detector = lr.operators.FlatDetector(300, 1.0, offset)
    geometry = lr.operators.ParallelBeam((128, 128), lr.operators.AngleRange(40, arc=arc), detector)
    image = np.zeros((128, 128), np.float32)
    image[20:90, 40:110] = 0.02 * shepp_logan(70)
    lines = (
        lr.operators.RayTransform(geometry)(torch.from_numpy(image)[None, None])[0, 0]
        .double()
        .numpy()
    )
    lines += np.random.default_rng(0).normal(0, 0.002, lines.shape)
    axis = tooth.rotation_axis(lines, np.array(geometry.angle_values))
    assert axis == pytest.approx((300 - 1) / 2 + offset, abs=0.05)


@needs_data
def test_the_axis_of_the_tooth(tooth: ModuleType) -> None:
    scan, axis = tooth.read_scan(TOOTH)
    assert axis == pytest.approx(296, abs=0.5)
    assert scan.geometry.detector.axis_offset == pytest.approx(axis - 319.5)
    assert scan.lines.shape == (1, 1, 181, 320)
    assert scan.every(6).lines.shape == (1, 1, 31, 320)
    corner = scan.geometry.radius
    positions = scan.geometry.detector.positions
    assert positions[0] < -corner
    assert corner < positions[-1], "a pixel outside the field of view"


@needs_data
def test_the_axis_that_is_found_gives_the_sharpest_image(tooth: ModuleType) -> None:
    """Negative values, of which there are none in the tooth, are fewest near this axis."""
    scan, _ = tooth.read_scan(TOOTH)

    def negative(shift: float) -> float:
        detector = scan.geometry.detector
        moved = replace(detector, axis_offset=detector.axis_offset + shift)
        geometry = replace(scan.geometry, detector=moved)
        problem = lr.InverseProblem(lr.operators.RayTransform(geometry), scan.lines)
        return -float(lr.models.FBP()(problem).image.clamp(max=0).sum())

    here = negative(0.0)
    assert here < negative(-1.0)
    assert here < negative(1.0)


@needs_data
def test_what_is_learned_from_is_like_the_tooth(tooth: ModuleType) -> None:
    scan, _ = tooth.read_scan(TOOTH)
    sparse = scan.every(6)
    config = tooth.configuration(sparse)
    batch = next(Experiment(config).batches("test", 20))
    assert batch.truth is not None
    image = lr.models.FBP()(scan.problem()).image
    dense = [float(u.quantile(0.99)) for u in (batch.truth, image)]
    assert dense[0] == pytest.approx(dense[1], rel=0.25)
    assert config.model.image_scale == pytest.approx(dense[1], rel=0.1)
    assert config.operator == sparse.geometry
    assert config.data.simulation is not None
    assert config.data.simulation.grid == (320, 320)
    difference = batch.problem.data - batch.problem.forward(batch.truth)
    assert float(difference.std()) < 10 * sparse.air


@needs_data
def test_a_few_steps_and_the_comparison(tooth: ModuleType, tmp_path: Path) -> None:
    """TV beats FBP, and a network of 30 steps is already better than where it starts."""
    scan, _ = tooth.read_scan(TOOTH)
    plan = with_steps(Experiment(tooth.configuration(scan.every(6))), 30)
    methods = {
        "fbp": lr.models.FBP("hann", 0.8),
        "tv": lr.models.TV(0.1),
        "untrained": plan.model(),
        "learned": tooth.trained(plan, tmp_path / "run"),
    }
    figure = tmp_path / "tooth.png"
    scores = {score.method: score for score in tooth.compare(methods, scan, figure)}
    psnr = {name: float(score.psnr[0]) for name, score in scores.items()}
    assert 20 < psnr["fbp"] < psnr["tv"] - 3
    assert psnr["fbp"] + 2 < psnr["learned"] < 40
    assert psnr["untrained"] + 2 < psnr["learned"]
    assert scores["tv"].ssim[0] > scores["fbp"].ssim[0]
    assert scores["tv"].status[0].startswith("Converged")
    assert scores["learned"].parameters == scores["untrained"].parameters > 0
    with Image.open(figure) as image:
        assert image.format == "PNG"
    assert figure.stat().st_size < 600_000


@needs_data
@pytest.mark.slow
def test_the_whole_script(tmp_path: Path) -> None:
    results, figure = tmp_path / "tooth.json", tmp_path / "tooth.png"
    options = {"--steps": 3, "--images": 1, "--data": TOOTH, "--run": tmp_path / "run"}
    options |= {"--figure": figure, "--results": results}
    command = [sys.executable, "-W", "error", str(EXAMPLE)]
    command += [str(word) for option in options.items() for word in option]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "the tooth, against all views" in done.stdout
    content = json.loads(results.read_text(encoding="utf-8"))
    assert set(content["tooth"]) == set(content["phantoms"]) == {"FBP", "TV", "learned"}
    assert content["config"]["training"]["steps"] == 3
    assert content["command"].endswith(str(results))
    assert content["environment"]["packages"]["torch"]
    assert figure.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--data", str(tmp_path / "no.h5")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert "no.h5" in done.stderr
    assert "What to do" in done.stderr


def test_the_page_says_what_was_measured() -> None:
    """Every number of the tables is in the results, and the rest of the text agrees with them."""
    page = (ROOT / "docs" / "tooth.md").read_text(encoding="utf-8")
    content = json.loads((ROOT / "studies" / "results" / "tooth.json").read_text("utf-8"))
    for score in content["tooth"].values():
        row = (score["psnr"], score["ssim"], score["nmse"], 1e3 * score["seconds"])
        assert "| {:.2f} | {:.3f} | {:.4f} | {:.1f} |".format(*row) in page
    for score in content["phantoms"].values():
        pairs = [(score[name], score[f"{name}_std"]) for name in ("psnr", "ssim", "nmse")]
        cells = zip(("{:.2f} ± {:.2f}", "{:.3f} ± {:.3f}", "{:.4f} ± {:.4f}"), pairs, strict=True)
        assert " | ".join(form.format(*pair) for form, pair in cells) in page
    photons = content["config"]["data"]["simulation"]["noise"]["photons"]
    told = (
        content["command"].removeprefix("python examples/tooth.py "),
        f"**{content['axis']:.2f}**",
        f"{content['training_seconds']:.0f} s",
        f"({content['classical']['fbp']['bandwidth']:.3f})",
        f"({content['classical']['tv']['weight']:.4f})",
        f"{photons:,.0f} photons".replace(",", " "),
        f"{content['config']['model']['image_scale']:.5f} per",
    )
    assert [text for text in told if text not in page] == []


def test_the_figure_is_there_and_small() -> None:
    figure = ROOT / "docs" / "figures" / "tooth.png"
    assert figure.stat().st_size <= 200_000
    with Image.open(figure) as image:
        image.verify()
