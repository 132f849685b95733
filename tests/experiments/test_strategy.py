"""`learnedrecon train` with ``strategy: greedy``, and models in random order."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import numpy as np

from learnedrecon.training.greedy import source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from typer.testing import Result

    Run = Callable[..., Result]

GREEDY = (
    "model={name: deep_gradient_descent, iterations: 2, hidden: 4, image_scale: 0.02}",
    "data.train.length=3",
    "training.steps=9",
    "training.strategy=greedy",
    "training.greedy={fine_tune: 1, shard: 2}",
    "training.average=null",
)


def options(small: list[str], *more: str) -> list[str]:
    kept = [
        w for k in range(0, len(small), 2) for w in small[k : k + 2] if "model." not in small[k + 1]
    ]
    return kept + [word for text in more for word in ("--set", text)]


def test_greedy_training_ends_with_a_model_like_any_other(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    result = cli("train", config, "-o", folder, *options(small, *GREEDY))
    assert result.exit_code == 0, result.output
    assert "Stage 1 keeps" in result.output
    assert "Stage 2 keeps" in result.output
    assert not (folder / "cache").exists()
    scored = cli("evaluate", folder)
    assert scored.exit_code == 0, scored.output


def test_a_ctrl_c_in_the_first_cache_goes_on_with_the_same_command(
    cli: Run, config: Path, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    command = ("train", config, "-o", folder, *options(small, *GREEDY))
    announce = source.GreedySource._announce

    def interrupted(self: source.GreedySource, *arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        announce(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(source.GreedySource, "_announce", interrupted)
    result = cli(*command)
    assert result.exit_code == 130, result.output
    assert "Saved after step 0" in result.output
    assert len(list((folder / "cache" / "stage-01").iterdir())) == 1
    monkeypatch.undo()
    result = cli(*command)
    assert result.exit_code == 0, result.output
    assert "Trained 9 steps" in result.output


def test_shared_weights_cannot_be_trained_greedily(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    model = "model={name: learned_gradient, iterations: 2, hidden: 4}"
    result = cli("train", config, "-o", tmp_path / "run", *options(small, *GREEDY[1:], model))
    assert result.exit_code == 2
    assert "own weights" in result.output
    assert not (tmp_path / "run").exists()


def test_random_order_is_drawn_for_every_command(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    model = (
        "model={name: subset_primal_dual, iterations: 3, hidden: 4, image_scale: 0.02, "
        "subsets: {parts: 3, order: random}}"
    )
    more = options(small, model, "training.steps=4")
    assert cli("train", config, "-o", folder, *more).exit_code == 0
    for words in (("evaluate", folder), ("evaluate", folder, "--iterations", "1:5")):
        result = cli(*words)
        assert result.exit_code == 0, result.output
    first = json.loads((folder / "iterations.json").read_text())
    assert cli("evaluate", folder, "--iterations", "1:7").exit_code == 0
    np.save(tmp_path / "scan.npy", np.ones((6, 24), np.float32))
    scan = ("reconstruct", folder, tmp_path / "scan.npy", "-o", tmp_path / "image.npy")
    assert cli(*scan).exit_code == 0
    second = json.loads((folder / "iterations.json").read_text())
    assert second["psnr"]["median"][:5] == first["psnr"]["median"], "the same draws every time"


def test_too_few_draws_are_named(cli: Run, config: Path, small: list[str], tmp_path: Path) -> None:
    model = (
        "model={name: subset_gradient, iterations: 3, hidden: 4, "
        "subsets: {parts: 3, order: random}}"
    )
    more = options(small, model, "data.draws=1")
    result = cli("train", config, "-o", tmp_path / "run", *more)
    assert result.exit_code == 2
    assert "at least 2 random draws" in result.output
    wrong = cli("train", config, "-o", tmp_path / "run2", *options(small, model, "data.draws=-1"))
    assert wrong.exit_code == 2
    assert "data.draws" in wrong.output
