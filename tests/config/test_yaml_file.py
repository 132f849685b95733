"""Configuration files: what is written is read, overrides, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from learnedrecon.config.schema import Config, DataConfig
from learnedrecon.config.yaml_file import (
    dump_config,
    read_config,
    read_geometry,
    read_operator,
    write_geometry,
)
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.noise import PoissonCounts
from learnedrecon.data.simulate import Simulation
from learnedrecon.data.yaml_text import load_yaml
from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transmission import Transmission
from learnedrecon.specs import to_plain
from learnedrecon.training.losses import AbsoluteError

PARALLEL = ParallelBeam((8, 9), (0.0, 0.5, 1.25), FlatDetector(11, 0.5, -0.25), (0.3, 0.4))
FAN = FanBeam((8, 8), AngleRange(5, arc=6.283), FlatDetector(13), 50.0, 30.0)


def config_of(operator: object = PARALLEL) -> Config:
    ellipses = EllipseSpec(size=(8, 9))
    return Config(
        operator,
        MODELS["filtered_primal_dual"].spec(iterations=2),
        DataConfig(
            ellipses,
            replace(ellipses, split="validation"),
            replace(ellipses, split="test"),
            Simulation(PoissonCounts(1e4), (12, 12)),
        ),
        fidelity="kullback_leibler",
        loss=AbsoluteError("sum"),
    )


@pytest.mark.parametrize("operator", [PARALLEL, FAN, Transmission(FAN, 0.02)], ids=str)
def test_a_configuration_comes_back_as_it_was(tmp_path: Path, operator: object) -> None:
    config = config_of(operator)
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert read_config(path) == config


@pytest.mark.parametrize("operator", [PARALLEL, FAN, Transmission(PARALLEL, 0.3)], ids=str)
def test_a_geometry_comes_back_as_it_was(tmp_path: Path, operator: object) -> None:
    path = tmp_path / "geometry.yaml"
    write_geometry(path, operator)
    assert read_geometry(path) == operator
    assert read_operator(path) == operator


def test_the_operator_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config_of()))
    assert read_operator(path) == PARALLEL


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-3", 3e-3), ("1.0e+4", 1e4), ("-2.5E2", -250.0), ("1e5", 1e5), ("e3", "e3"), ("3", 3)],
)
def test_numbers_with_exponents_are_numbers(text: str, value: object) -> None:
    assert load_yaml(text, "here") == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", r"'a' a second time \(the first is in line 1\) in line 3"),
        ("m:\n  k: 1\n  l: 2\n  k: 1\n", r"'k' a second time .*in line 2\) in line 4"),
        ("- {k: 1, k: 2}", r"'k' a second time .*in line 1\) in line 1"),
    ],
)
def test_a_key_that_comes_twice_is_named_with_its_line(text: str, found: str) -> None:
    with pytest.raises(FileFormatError, match=found):
        load_yaml(text, "here")


def test_a_merge_may_be_overridden() -> None:
    text = "a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\nc: {k: 4}\n"
    assert load_yaml(text, "here")["b"] == {"k": 3, "l": 2}


def test_yaml_runs_no_code() -> None:
    with pytest.raises(FileFormatError, match="could not determine a constructor"):
        load_yaml("!!python/object/apply:os.getcwd []", "here")


def test_overrides_change_single_values(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config_of()))
    changes = ["training.steps=7", "training.steps=8", "model={name: fbp, bandwidth: 0.5}"]
    config = read_config(path, [*changes, "data.simulation.grid=null"])
    assert config.training.steps == 8
    assert type(config.model) is MODELS["fbp"].spec
    assert config.data.simulation is not None
    assert config.data.simulation.grid is None
    assert config.operator == PARALLEL


def test_another_name_drops_the_keys_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config_of()))
    config = read_config(path, ["model.iterations=3", "model.name=fbp", "model.bandwidth=0.25"])
    assert config.model == MODELS["fbp"].spec(bandwidth=0.25)
    same = read_config(path, ["model.name=filtered_primal_dual"])
    assert same.model == config_of().model


def test_another_model_keeps_the_measured_image_scale(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    values = to_plain(config_of())
    values["model"] = {"name": "filtered_primal_dual", "iterations": 6, "image_scale": 0.04}
    path.write_text(yaml.safe_dump(values))
    named = "model.name=learned_primal_dual"
    assert read_config(path, [named]).model.image_scale == 0.04
    assert read_config(path, ["model={name: learned_primal_dual, hidden: 4}"]).model == MODELS[
        "learned_primal_dual"
    ].spec(hidden=4, image_scale=0.04)
    assert read_config(path, [named, "model.image_scale=2.0"]).model.image_scale == 2
    assert read_config(path, ["model.iterations=3"]).model.image_scale == 0.04
    assert read_config(path, ["model.name=fbp"]).model == MODELS["fbp"].spec()


def test_a_list_cannot_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match=r"keys and values.*\[1, 2\]"):
        read_config(tmp_path / "config.yaml", ["name=3"])


def test_paths_of_data_are_taken_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = to_plain(config_of())
    for split in ("train", "validation", "test"):
        values["data"][split] = {"name": "pairs", "path": "../mine", "split": split}
    path = tmp_path / "configs" / "config.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(values))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = read_config(Path("../configs/config.yaml"), ["data.test.path=other.h5"])
    assert config.data.train.path == config.data.validation.path == str(tmp_path / "mine")
    assert config.data.test.path == str(tmp_path / "here" / "other.h5")
    (tmp_path / "written.yaml").write_text(dump_config(config))
    assert read_config(tmp_path / "written.yaml") == config


def test_ellipses_have_the_split_of_their_section(tmp_path: Path) -> None:
    values = to_plain(config_of())
    for split in ("train", "validation", "test"):
        del values["data"][split]["split"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    assert read_config(path) == config_of()
    swapped = read_config(path, ["data.test.split=train", "data.train.split=test"]).data
    assert (swapped.train.split, swapped.test.split) == ("test", "train")


def test_the_operator_of_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(dump_config(config_of()))
    assert read_operator(tmp_path) == PARALLEL


def test_an_override_reaches_what_the_file_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = dump_config(config_of())
    path.write_text(text[: text.index("training:")])
    assert read_config(path, ["training.optimiser.learning_rate=2e-3"]).training.optimiser == (
        replace(config_of().training.optimiser, learning_rate=2e-3)
    )


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("modle.hidden=3", "'model'"),
        ("model.hiden=3", "'hidden'"),
        ("data.train.siz=3", "'size'"),
        ("data.simulation.noise.photon=3", "'photons'"),
        ("operator.detector.axis_ofset=3", "'axis_offset'"),
        ("training.schedule.warmupp=3", "'warmup'"),
        ("evaluation.rnage=max-min", "'range'"),
        ("loss.reducton=mean", "'reduction'"),
    ],
)
def test_the_nearest_known_key_is_named(tmp_path: Path, override: str, near: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config_of()))
    with pytest.raises(ConfigError, match=f"did you mean {near}"):
        read_config(path, [override])
