from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml

from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.training.environment import environment
from learnedrecon.training.run import RunFolder
from learnedrecon.weights.checkpoint import Blueprint

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

CONFIG = {"model": {"name": "tiny", "width": 3}, "training": {"steps": 12, "betas": (0.9, 0.99)}}
BLUEPRINT = Blueprint({"name": "tiny"})


def start(path: Path, config: dict[str, Any], *, overwrite: bool = False) -> RunFolder:
    return RunFolder.start(path, config=config, blueprint=BLUEPRINT, overwrite=overwrite)


def test_what_a_folder_holds(tmp_path: Path) -> None:
    run = start(tmp_path / "a" / "run", CONFIG)
    assert sorted(entry.name for entry in run.path.iterdir()) == [
        ".lock",
        "checkpoints",
        "config.yaml",
        "environment.json",
        "figures",
    ]
    assert yaml.safe_load(run.config.read_text()) == json.loads(json.dumps(CONFIG))
    written = json.loads(run.environment.read_text())
    assert written == environment()
    assert written["packages"]["torch"] == torch.__version__


def test_an_unfinished_run_is_opened_again(tmp_path: Path) -> None:
    start(tmp_path, CONFIG)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    start(tmp_path, CONFIG)
    assert (tmp_path / "metrics.jsonl").read_text()


def test_another_configuration_is_refused_and_named(tmp_path: Path) -> None:
    start(tmp_path, CONFIG)
    other = {"model": {"name": "tiny", "width": 4}, "training": CONFIG["training"], "seed": 1}
    with pytest.raises(ConfigError) as caught:
        start(tmp_path, other)
    assert "model.width is 4 and was 3; seed is 1 and was None" in str(caught.value)
    start(tmp_path, other, overwrite=True)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["seed"] == 1


def test_a_finished_run_is_kept_unless_told(tiny: ModuleType, tmp_path: Path) -> None:
    tiny.fit(tmp_path, tiny.spec_of(4))
    (tmp_path / "figures" / "loss.png").write_bytes(b"picture")
    with pytest.raises(ConfigError, match=r"all its 4 steps.*--weights"):
        start(tmp_path, {"seed": 11})
    run = start(tmp_path, {"seed": 11}, overwrite=True)
    assert not run.metrics.path.exists()
    assert not list(run.checkpoints.last.parent.iterdir())
    assert (tmp_path / "figures" / "loss.png").exists()


def test_the_lock_is_held_from_the_start_to_the_end_of_training(
    tiny: ModuleType, tmp_path: Path
) -> None:
    run = tiny.folder(tmp_path, tiny.spec_of(2))
    with pytest.raises(ConfigError, match="no other process in the run folder"):
        start(tmp_path, {"seed": 11}, overwrite=True)
    RunFolder.start(tmp_path, config={"seed": 11}, blueprint=BLUEPRINT, exclusive=False)
    tiny.fit_in(run, tiny.spec_of(2))
    assert not run.lock.held


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "environment.json"])
def test_files_that_no_run_wrote_are_kept(tmp_path: Path, name: str, *, overwrite: bool) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"{name} without checkpoints"):
        start(tmp_path, CONFIG, overwrite=overwrite)
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).unlink()
    start(tmp_path, CONFIG, overwrite=overwrite)


def test_a_refused_start_holds_no_lock(tmp_path: Path) -> None:
    start(tmp_path, CONFIG)
    with pytest.raises(ConfigError, match="seed"):
        start(tmp_path, {"seed": 1})
    start(tmp_path, CONFIG)


def test_what_killed_writes_left_is_removed(tmp_path: Path) -> None:
    run = start(tmp_path, CONFIG)
    leftovers = [
        run.checkpoints.last.with_name(".last-abc.safetensors"),
        run.checkpoints.best.with_name(".best-xyz.safetensors"),
        run.path / ".config-1.yaml",
        run.path / ".environment-1.json",
    ]
    others = [run.checkpoints.last.with_name("mine.safetensors"), run.path / ".notes.yaml"]
    for file in leftovers + others:
        file.write_text("half")
    run.lock.release()
    start(tmp_path, CONFIG)
    assert not any(file.exists() for file in leftovers)
    assert all(file.exists() for file in others)


def test_broken_files_are_named(tiny: ModuleType, tmp_path: Path) -> None:
    tiny.fit(tmp_path, tiny.spec_of(2))
    last = tmp_path / "checkpoints" / "last.safetensors"
    whole = last.read_bytes()
    last.write_bytes(whole[:-10])
    with pytest.raises(FileFormatError, match=r"last\.safetensors"):
        start(tmp_path, {"seed": 11})
    last.write_bytes(whole)
    (tmp_path / "config.yaml").write_text("seed: [")
    with pytest.raises(FileFormatError, match=r"config\.yaml"):
        start(tmp_path, {"seed": 11})


def test_outside_of_a_repository_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment()["git"] is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment()["git"] is None
