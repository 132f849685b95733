from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml

from learnedrecon.data.yaml_text import read_yaml
from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.training.environment import environment
from learnedrecon.training.losses import SquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.state import Progress
from learnedrecon.weights.checkpoint import Blueprint
from learnedrecon.weights.tensorfile import write_tensors

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


def trained(run: RunFolder, step: int = 3) -> None:
    """Gives ``run`` the state after some steps, and gives the folder back."""
    content = {
        **asdict(run.checkpoints.blueprint),
        "progress": asdict(Progress(step)),
        "data": run.checkpoints.data,
    }
    write_tensors(run.checkpoints.last, {}, content)
    run.lock.release()


def test_another_configuration_is_refused_and_named(tmp_path: Path) -> None:
    trained(start(tmp_path, CONFIG))
    other = {"model": {"name": "tiny", "width": 4}, "training": CONFIG["training"], "seed": 1}
    with pytest.raises(ConfigError) as caught:
        start(tmp_path, other)
    assert "model.width is 4 and was 3; seed is 1 and was None" in str(caught.value)
    run = start(tmp_path, other, overwrite=True)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["seed"] == 1
    assert not run.checkpoints.last.exists()


def test_a_run_without_weights_is_begun_anew_by_any_configuration(tmp_path: Path) -> None:
    """As after a start that failed before the first step: there is nothing to lose."""
    start(tmp_path, CONFIG).lock.release()
    other = {"model": {"name": "other"}}
    start(tmp_path, other)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == other


def test_weights_of_a_run_without_a_state_are_kept_unless_told(tmp_path: Path) -> None:
    """The first validation may come before the first checkpoint."""
    run = start(tmp_path, CONFIG)
    run.checkpoints.best.write_bytes(b"weights")
    run.lock.release()
    with pytest.raises(ConfigError, match=r"seed is 1 and was None.*--fresh"):
        start(tmp_path, {**CONFIG, "seed": 1})
    start(tmp_path, CONFIG).lock.release()
    assert run.checkpoints.best.read_bytes() == b"weights"
    start(tmp_path, {**CONFIG, "seed": 1}, overwrite=True)
    assert not run.checkpoints.best.exists()


@pytest.mark.parametrize("written", [0, 1])
def test_a_fresh_start_that_is_killed_never_mixes_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """Killed before its file number ``written``: what is there is no run to go on with."""
    trained(start(tmp_path, CONFIG))
    other = {**CONFIG, "seed": 1}
    files = 0

    def write(target: Path, text: str) -> None:
        nonlocal files
        if files == written:
            raise KeyboardInterrupt
        files += 1
        target.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr("learnedrecon.training.run.write_text", write)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path, other, overwrite=True)
    run = start(tmp_path, other)
    assert run.checkpoints.progress() is None
    assert yaml.safe_load(run.config.read_text()) == json.loads(json.dumps(other))


def test_what_changes_no_weight_may_change_between_sessions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "learnedrecon")
    before = {"data": {"workers": 0}, "evaluation": {"images": 9}, "seed": 3}
    now = {"data": {"workers": 4}, "evaluation": {"images": 2}, "seed": 3}
    trained(start(tmp_path, before))
    run = start(tmp_path, now)
    assert yaml.safe_load(run.config.read_text()) == now
    assert "data.workers 4 in place of 0" in caplog.text
    assert "evaluation.images 2 in place of 9" in caplog.text
    run.lock.release()
    for name, value in (("workers_", 4), ("seed", 4)):
        with pytest.raises(ConfigError, match=rf"{name} is 4"):
            start(tmp_path, {**now, name: value})


def test_other_files_of_data_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = tmp_path / "images" / "inside"
    images.mkdir(parents=True)
    for k in range(3):
        (images / f"{k}.npy").write_bytes(b"1234")
    config = {"data": {"train": {"name": "folder", "path": str(tmp_path / "images")}}}
    run = start(tmp_path / "run", config)
    assert run.checkpoints.data["train"].files == 3
    trained(run)
    (images / ".hidden").write_bytes(b"5")
    trained(start(tmp_path / "run", config))
    assert not caplog.text
    (images / "3.npy").write_bytes(b"1234")
    trained(start(tmp_path / "run", config))
    assert "'data.train'" in caplog.text
    assert "4 files, of other names or sizes, and 3 before" in caplog.text
    caplog.clear()
    start(tmp_path / "run", config).lock.release()
    assert not caplog.text
    (images / "3.npy").write_bytes(b"12345")
    trained(start(tmp_path / "run", config))
    assert "4 files, of other names or sizes, and 4 before" in caplog.text
    caplog.clear()
    (images / "3.npy").rename(images / "4.npy")
    start(tmp_path / "run", config)
    assert "4 files, of other names or sizes, and 4 before" in caplog.text


def test_another_environment_is_said_and_the_first_one_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = environment()
    trained(start(tmp_path, CONFIG))
    trained(start(tmp_path, CONFIG))
    assert json.loads((tmp_path / "environment.json").read_text()) == first
    assert not caplog.text
    for threads in (91, 92):
        other = {**first, "threads": threads}
        monkeypatch.setattr("learnedrecon.training.run.environment", lambda o=other: dict(o))
        trained(start(tmp_path, CONFIG))
    written = json.loads((tmp_path / "environment.json").read_text())
    assert [each["threads"] for each in written["earlier"]] == [first["threads"], 91]
    assert written["threads"] == 92
    assert f"threads 91 in place of {first['threads']}" in caplog.text
    assert "last bits" in caplog.text


def test_a_folder_that_is_removed_meanwhile_is_written_again(
    tiny: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run ends as if nothing had happened, first records and lock included."""
    calls = 0

    def removing(estimate: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 11:
            shutil.rmtree(tmp_path / "removed")
        return SquaredError()(estimate, batch)

    spec = replace(tiny.spec_of(9), validate_every=9)
    tiny.fit(tmp_path / "removed", spec, loss=removing)
    tiny.fit(tmp_path / "whole", spec)
    tiny.assert_same_run(tmp_path / "whole", tmp_path / "removed")
    names = [
        sorted(p.relative_to(tmp_path / run).as_posix() for p in (tmp_path / run).rglob("*"))
        for run in ("whole", "removed")
    ]
    assert names[0] == names[1]
    assert "was removed while the run was going on" in caplog.text


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
    trained(start(tmp_path, CONFIG))
    with pytest.raises(ConfigError, match="seed"):
        start(tmp_path, {"seed": 1})
    start(tmp_path, CONFIG)


def test_what_killed_writes_left_is_removed(tmp_path: Path) -> None:
    run = start(tmp_path, CONFIG)
    leftovers = [
        run.checkpoints.last.with_name(".learnedrecon-last-abcdefgh.safetensors"),
        run.checkpoints.best.with_name(".learnedrecon-best-xyz12345.safetensors"),
        run.path / ".learnedrecon-config-1234567_.yaml",
        run.path / ".learnedrecon-environment-abcdefgh.json",
    ]
    others = [
        run.checkpoints.last.with_name("mine.safetensors"),
        run.checkpoints.last.with_name(".last-mine.safetensors"),
        run.path / ".config-mine.yaml",
        run.path / ".environment-notes.json",
    ]
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


def test_a_configuration_is_read_in_the_version_of_yaml_of_all_files(
    tiny: ModuleType, tmp_path: Path
) -> None:
    """Its 011 is eleven, where YAML 1.1 has nine; the run is the same, and finished."""
    tiny.fit(tmp_path, tiny.spec_of(2))
    (tmp_path / "config.yaml").write_text("seed: 011")
    with pytest.raises(ConfigError, match="no finished run"):
        start(tmp_path, {"seed": 11})


@pytest.mark.parametrize("name", ["0o10", "1e3", "yes", "010", "Pflügerstraße", "~"])
def test_texts_of_a_configuration_remain_texts(tmp_path: Path, name: str) -> None:
    """What a run writes, it reads: 0o10 is a text in YAML 1.1 and eight in YAML 1.2."""
    asked = {"data": {"folder": name}}
    run = start(tmp_path / "run", asked)
    assert read_yaml(run.config) == asked
