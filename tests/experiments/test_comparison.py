"""What cannot be scored is named and left out, and the rest goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

import learnedrecon as lr
from learnedrecon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

CONFIG = """\
operator: {name: pad, shape: [16, 16], margins: [[1, 1], [1, 1]]}
model: {name: unrolled_gradient, iterations: 1, hidden: 2}
data:
  train: {name: ellipses, size: 16}
  validation: {name: ellipses, size: 16}
  test: {name: pairs, path: images, split: test, fractions: [0.0, 0.0, 1.0]}
  simulation: {noise: {name: gaussian, sigma: 0.02}}
training: {steps: 2}
evaluation: {validation_images: 2, batch_size: 4}
"""


@pytest.fixture
def folder(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose test images are six, one of them black and one constant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    for k in range(6):
        image = random.random((16, 16)).astype(np.float32)
        image = {1: 0 * image, 4: 0 * image + 0.5}.get(k, image)
        np.save(tmp_path / "images" / f"s{k}.npy", image)
    (tmp_path / "c.yaml").write_text(CONFIG)
    result = cli("train", "c.yaml", "-o", "run")
    assert result.exit_code == 0, result.output
    return tmp_path


def test_a_baseline_that_does_not_exist_for_the_operator_is_left_out(
    cli: Run, folder: Path
) -> None:
    result = cli("compare", "run", "fbp", "tv", "-o", "both")
    assert result.exit_code == 0, result.output
    content = json.loads((folder / "both" / "results.json").read_text())
    assert set(content["methods"]) == {"run", "tv"}
    assert set(content["left_out"]) == {"fbp"}
    assert "fbp is left out: Expected" in result.stderr
    assert "1 of 3 left out: fbp." in result.stdout
    (pair,) = content["psnr_differences"]
    assert set(pair.split(" - ")) == {"run", "tv"}


def test_images_without_a_score_are_named_and_count_in_no_mean(cli: Run, folder: Path) -> None:
    assert cli("evaluate", "run").exit_code == 0
    (found,) = json.loads((folder / "run" / "results.json").read_text())["methods"].values()
    each = found["per_image"]
    assert found["images"] == 6
    assert sorted(found["undefined"]) == ["s1", "s4"]
    assert sum(value is None for value in each["psnr"]) == 2
    assert sum(value is None for value in each["nmse"]) == 1
    there = [value for value in each["psnr"] if value is not None]
    assert found["psnr"] == pytest.approx(np.mean(there))
    fixed = cli("evaluate", "run", "--range", "range=1", "-o", "one.json")
    assert fixed.exit_code == 0, fixed.output
    assert "1 of 6 test images" in fixed.stderr
    curves = cli("evaluate", "run", "--iterations", "1:2")
    assert curves.exit_code == 0, curves.output
    assert json.loads((folder / "run" / "iterations.json").read_text())["images"] == 4


def test_a_wrong_value_that_a_finished_run_does_not_need_is_no_obstacle(
    cli: Run, folder: Path
) -> None:
    path = folder / "run" / "config.yaml"
    values = yaml.safe_load(path.read_text())
    values["training"]["steps"] = -3
    values["loss"] = {"name": "no_such_loss"}
    path.write_text(yaml.safe_dump(values))
    result = cli("evaluate", "run")
    assert result.exit_code == 0, result.output
    assert "'training' of" in result.stderr
    assert "'loss' of" in result.stderr
    refused = cli("train", path, "-o", "again")
    assert refused.exit_code == 2
    assert "loss" in refused.stderr


def test_no_output_costs_a_file_that_it_was_not_told_to_overwrite(cli: Run, folder: Path) -> None:
    mine = folder / "thesis.png"
    mine.write_bytes(b"mine")
    weights = folder / "run" / "checkpoints" / "best.safetensors"
    before = weights.read_bytes(), (folder / "run" / "config.yaml").read_bytes()
    image = folder / "images" / "s0.npy"
    for output in (
        "thesis.json", "figure.png", weights, folder / "run" / "config.yaml", image, "c.yaml",
    ):  # fmt: skip
        for force in ([], ["--force"]):
            if force and output == "thesis.json":
                continue
            result = cli("evaluate", "run", "-o", output, *force)
            expected = 0 if force and output == "c.yaml" else 2
            assert result.exit_code == expected, (output, force, result.output)
    assert mine.read_bytes() == b"mine"
    assert (weights.read_bytes(), (folder / "run" / "config.yaml").read_bytes()) == before
    assert cli("evaluate", "run", "-o", "thesis.json", "--force").exit_code == 0
    assert mine.read_bytes() != b"mine"
    (folder / "both").mkdir()
    (folder / "both" / "results.json").write_text("{}")
    assert cli("compare", "run", "tv", "-o", "both").exit_code == 2
    assert (folder / "both" / "results.json").read_text() == "{}"


def test_bounds_of_searches_and_iterations(cli: Run, folder: Path) -> None:
    assert cli("certify", "run", "--attack", -3).exit_code == 2
    far = cli("evaluate", "run", "--iterations", "1:1000000000000")
    assert far.exit_code == 2
    assert "100000" in far.stderr
    with pytest.raises(ConfigError, match="0 to 100000 steps"):
        lr.certify(folder / "run", attack=10**9)


def test_a_run_folder_has_its_curves(folder: Path) -> None:
    assert (folder / "run" / "figures" / "training.png").stat().st_size > 5000
