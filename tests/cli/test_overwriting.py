"""No command costs a file or a run that it was not told to overwrite."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from learnedrecon.config.yaml_file import read_config
from learnedrecon.errors import ConfigError
from learnedrecon.experiments.demonstration import demo, refuse_other_run
from learnedrecon.specs import to_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Place
    from typer.testing import Result

    Run = Callable[..., Result]
    Refused = Callable[[list[object], tuple[str, str, str]], None]


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("force", [False, True])
def test_a_measurement_is_never_overwritten(
    place: Place, refused: Refused, *, link: bool, force: bool
) -> None:
    scan = place.scan()
    before, target = scan.read_bytes(), place.folder / "again.npy"
    if link:
        os.link(scan, target)
    words = place.fbp(scan, to="again.npy" if link else "../" + place.folder.name + "/scan.npy")
    parts = ("another file than the input", "the same for both", "another name")
    refused([*words, *(["--force"] if force else [])], parts)
    assert scan.read_bytes() == before


def test_an_image_is_overwritten_with_force_alone(cli: Run, place: Place, refused: Refused) -> None:
    words = place.fbp(place.scan())
    mine = place.array("result.npy", np.zeros(3))
    before = mine.read_bytes()
    refused(words, ("no file at", "one", ".*--force"))
    assert mine.read_bytes() == before
    assert cli(*words, "--force").exit_code == 0
    assert np.load(mine).shape == (16, 16)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_configuration_is_not_overwritten_by_its_run(
    place: Place, refused: Refused, *, fresh: bool
) -> None:
    own = place.file("config.yaml", place.config.read_text())
    words = ["train", own, "-o", place.folder, *place.small, *(["--fresh"] if fresh else [])]
    expected = "a configuration that the run" if fresh else "an empty folder or that of a run"
    refused(words, (expected, "config.yaml", ".*another folder"))
    assert own.read_text() == place.config.read_text()
    assert not (place.folder / "environment.json").exists()


def test_a_run_goes_on_by_its_own_configuration_and_is_not_begun_anew_by_it(
    cli: Run, place: Place, refused: Refused
) -> None:
    assert cli(*place.train()).exit_code == 0
    run = place.folder / "run"
    words = ["train", run / "config.yaml", "-o", run]
    refused(words, ("no finished run", "all its 2 steps", "for more steps"))
    before = (run / "metrics.jsonl").read_text()
    refused([*words, "--fresh"], ("a configuration that the run", "config.yaml", "name another"))
    assert (run / "metrics.jsonl").read_text() == before


def test_the_demo_spares_another_run(place: Place, cli: Run) -> None:
    run = place.folder / "run"
    assert cli(*place.train()).exit_code == 0
    weights = (run / "checkpoints" / "best.safetensors").read_bytes()
    result = cli("demo", "-o", run, "--steps", 1, "--images", 2)
    assert result.exit_code == 2
    assert "one of another operator and model and data" in " ".join(result.stderr.split())
    assert (run / "checkpoints" / "best.safetensors").read_bytes() == weights


def test_the_demo_overwrites_a_demo(cli: Run, tmp_path: Path) -> None:
    assert cli("init", "demo", "-o", tmp_path / "demo.yaml").exit_code == 0
    config = read_config(tmp_path / "demo.yaml")
    refuse_other_run(tmp_path, config)
    plain = json.loads(json.dumps(to_plain(config)))
    plain["training"]["steps"] = 7
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain))
    refuse_other_run(tmp_path, config)
    plain["model"]["hidden"] = 7
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(ConfigError, match="Found one of another model"):
        demo(tmp_path, steps=1, images=2, progress=False)


def test_scores_say_which_data_they_are_of(cli: Run, place: Place) -> None:
    target = place.folder / "results.json"
    words = ["--set", "data.simulation.noise.level=0.5", "--set", "data.test.seed=3"]
    assert cli("evaluate", place.run, *words, "-o", target).exit_code == 0
    data = json.loads(target.read_text())["data"]
    assert data["simulation"]["noise"]["level"] == 0.5
    assert data["test"]["seed"] == 3


@pytest.mark.parametrize("name", ["..yaml", "...yaml"])
def test_a_configuration_without_a_name_gives_no_folder(
    place: Place, refused: Refused, name: str
) -> None:
    """Its run would be written into 'runs' itself, or into the working folder."""
    path = place.file(name, place.config.read_text())
    refused(["train", path, *place.small], ("the run folder its own", "yaml", "with -o"))
    assert {each.name for each in place.folder.iterdir()} == {name}
