"""`learnedrecon evaluate --iterations`."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]


def test_it_draws_the_iterations_of_a_run(cli: Run, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    result = cli("evaluate", run, "--iterations", "1:5")
    assert result.exit_code == 0, result.output
    content = json.loads((run / "iterations.json").read_text())
    assert content["iterations"] == [1, 2, 3, 4, 5]
    assert content["trained_iterations"] == 2
    assert content["images"] == 3
    assert len(content["psnr"]["median"]) == 5
    assert (run / "figures" / "iterations.png").stat().st_size < 200_000
    assert "trained  iteration 2" in result.output
    assert not (run / "results.json").exists()

    scores = cli("evaluate", run)
    assert scores.exit_code == 0, scores.output
    found = json.loads((run / "results.json").read_text())
    (each,) = found["methods"].values()
    median = sorted(each["per_image"]["psnr"])[1]
    assert abs(content["psnr"]["median"][1] - median) < 1e-5


def no_model(small: list[str]) -> list[str]:
    texts = [text for text in small[1::2] if not text.startswith("model.")]
    return [word for text in texts for word in ("--set", text)]


def test_methods_without_iterations_are_refused(cli: Run, config: Path, small: list[str]) -> None:
    result = cli(
        "evaluate", config, "--iterations", "1:5", *no_model(small), "--set", "model.name=fbp"
    )
    assert result.exit_code == 2
    assert "FBP, which has none" in result.output
    assert "Traceback" not in result.output


def test_a_wrong_span_is_named(cli: Run, trained: Path) -> None:
    result = cli("evaluate", trained, "--iterations", "5:1")
    assert result.exit_code == 2
    assert "'5:1'" in result.output
