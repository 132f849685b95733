from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from learnedrecon.cli.main import app
from learnedrecon.data.files.arrays import read_array
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

METHODS = {"fbp", "tv", "lpd"}
NUMBERS = {"psnr", "psnr_std", "ssim", "seconds", "parameters"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "run"


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return CliRunner().invoke(
        app, ["demo", "--output", str(folder), "--steps", "6", "--images", "2"]
    )


@pytest.mark.slow
def test_the_demo_writes_what_it_promises(result: Result, folder: Path) -> None:
    assert result.exit_code == 0, result.output
    found = json.loads((folder / "results.json").read_text())
    assert set(found["methods"]) == set(found["real"]) == METHODS
    for scores in (*found["methods"].values(), *found["real"].values()):
        assert set(scores) >= NUMBERS
    assert found["test_images"] == 2
    low, high = found["lpd_minus_tv"]["ci95"]
    assert low < found["lpd_minus_tv"]["mean"] < high
    assert found["methods"]["tv"]["psnr"] > found["methods"]["fbp"]["psnr"] + 2
    assert found["methods"]["lpd"]["parameters"] == 49_692
    assert found["real"]["fbp"]["psnr"] > 20


@pytest.mark.slow
def test_tv_was_tuned_inside_its_range_and_converged(result: Result, folder: Path) -> None:
    assert result.exit_code == 0
    found = json.loads((folder / "results.json").read_text())
    weights, scores = zip(*found["tuning"]["tv_weight"], strict=True)
    assert weights == tuple(sorted(weights))
    assert 0 < int(np.argmax(scores)) < len(scores) - 1
    assert all(text.startswith("Converged") for text in found["methods"]["tv"]["status"])


@pytest.mark.slow
def test_the_figure_is_a_picture_and_the_model_loads(result: Result, folder: Path) -> None:
    assert result.exit_code == 0
    with Image.open(folder / "figure.png") as figure:
        assert min(figure.size) > 400
    loaded = load_weights(
        folder / "checkpoints" / "best.safetensors", models=MODELS, operators=OPERATORS
    )
    assert loaded.operator is not None


@pytest.mark.slow
def test_the_command_that_it_ends_with_works(result: Result, folder: Path) -> None:
    lines = result.output.splitlines()
    command = next(line for line in lines if line.startswith("  learnedrecon reconstruct "))
    words = command.split()
    again = CliRunner().invoke(app, words[1:])
    assert again.exit_code == 0, again.output
    assert read_array(folder / "ct.png").shape == (128, 128)
