"""`learnedrecon train` with ``strategy: adversarial``: unpaired folders, resumption, refusals."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from learnedrecon.training.adversarial.update import Adversarial
from learnedrecon.weights.tensorfile import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

ADVERSARIAL = (
    "training.steps=6",
    "training.validate_every=3",
    "training.log_every=6",
    "training.average=null",
    "training.strategy=adversarial",
    "training.adversarial={weight: 0.01, hidden: [2, 3], critic_steps: 2}",
)
UNSEEN = "data.images={name: ellipses, size: 16, seed: 1}"


def words(small: list[str], *more: str) -> list[str]:
    return [*small, *(word for text in more for word in ("--set", text))]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Measurements of the scan without images, and images of others without measurements."""
    draws = np.random.default_rng(0)
    measured, images = tmp_path / "measured" / "measurement", tmp_path / "images" / "truth"
    for folder, shape in ((measured, (6, 24)), (images, (16, 16))):
        folder.mkdir(parents=True)
        for k in range(4):
            np.save(folder / f"{k}.npy", draws.random(shape, dtype=np.float32))
    return measured.parent, images.parent


def test_a_folder_of_measurements_and_one_of_images_train_without_pairs(
    cli: Run, config: Path, small: list[str], tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    run = tmp_path / "run"
    kept = [w for option in small[1::2] if "data.train" not in option for w in ("--set", option)]
    unpaired = (
        f"data.train={{name: pairs, path: {folders[0]}}}",
        f"data.images={{name: pairs, path: {folders[1]}}}",
    )
    result = cli("train", config, "-o", run, *words(kept, *ADVERSARIAL, *unpaired))
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (logged,) = (line for line in lines if "learning_rate" in line)
    assert {"loss.data", "loss.critic", "critic.distance", "critic.penalty"} <= set(logged)
    scored = cli("evaluate", run)
    assert scored.exit_code == 0, scored.output


def test_k_steps_ctrl_c_and_the_same_command_are_2k_steps(
    cli: Run, config: Path, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both networks, both optimisers and the generators, bit for bit."""
    options = words(small, *ADVERSARIAL, UNSEEN)
    assert cli("train", config, "-o", tmp_path / "whole", *options).exit_code == 0
    teach = Adversarial._teach

    def interrupted(self: Adversarial, *arguments: object) -> dict[str, float]:
        if arguments[-1] == 5:
            signal.raise_signal(signal.SIGINT)
        return teach(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Adversarial, "_teach", interrupted)
    stopped = cli("train", config, "-o", tmp_path / "parts", *options)
    assert stopped.exit_code == 130, stopped.output
    assert "Saved after step 3" in stopped.output
    monkeypatch.undo()
    assert cli("train", config, "-o", tmp_path / "parts", *options).exit_code == 0
    one, two = (
        read_tensors(tmp_path / name / "checkpoints" / "last.safetensors")[0]
        for name in ("whole", "parts")
    )
    assert one.keys() == two.keys()
    assert any(name.startswith("update.critic.") for name in one)
    assert all(one[name].equal(two[name]) for name in one)


def test_true_images_are_needed_and_other_ones(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    result = cli("train", config, "-o", tmp_path / "run", *words(small, *ADVERSARIAL))
    assert result.exit_code == 2
    assert "true images for the critic" in " ".join(result.output.split())
    same = UNSEEN.replace("seed: 1", "seed: 0, preset: dival")
    result = cli("train", config, "-o", tmp_path / "run", *words(small, *ADVERSARIAL, same))
    assert result.exit_code == 2
    assert "share images" in " ".join(result.output.split())
