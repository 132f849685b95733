"""What the package writes of a spec, it reads again: every registered one, every optional field."""

from __future__ import annotations

import json
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.config.spec_examples import EXAMPLES, REGISTRIES, default, optional

from learnedrecon.config.schema import Config, DataConfig, EvaluationConfig
from learnedrecon.config.yaml_file import (
    dump_config,
    read_config,
    read_geometry,
    read_operator,
    write_geometry,
)
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.noise import PoissonLog
from learnedrecon.data.pairs import read_geometry as read_sample_geometry
from learnedrecon.data.simulate import Simulation
from learnedrecon.data.yaml_text import load_yaml
from learnedrecon.models.classical import FBP
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.specs import named_from_plain, named_to_plain
from learnedrecon.training.losses import AbsoluteError
from learnedrecon.training.spec import (
    AdversarialSpec,
    BatchSpec,
    BestSpec,
    CheckpointSpec,
    GreedySpec,
    OptimiserSpec,
    ScheduleSpec,
    TrainingSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = [(room, spec) for room, specs in EXAMPLES.items() for spec in specs]
OPERATOR = ParallelBeam((4, 5), AngleRange(3), FlatDetector(7))
FULL_TRAINING = TrainingSpec(
    steps=7,
    batch=BatchSpec(2, 3),
    optimiser=OptimiserSpec("rmsprop", 0.1, (0.5, 0.6), 0.7, 1e-6, rates={"part": 0.5}),
    schedule=ScheduleSpec("inverse_time", 0.1, 0.5, 7),
    clip_norm=None,
    average=0.9,
    precision="bf16",
    validate_every=5,
    log_every=3,
    checkpoint=CheckpointSpec(4, None),
    seed=3,
    channels_last=True,
)
AGAINST_A_CRITIC = AdversarialSpec(0.2, 5.0, 2, (3, 4), 0.5, OptimiserSpec(learning_rate=0.1))
TRAININGS = {
    "adversarial": replace(FULL_TRAINING, strategy="adversarial", adversarial=AGAINST_A_CRITIC),
    "defaults": TrainingSpec(),
    "all": FULL_TRAINING,
    "greedy": replace(
        FULL_TRAINING, average=None, strategy="greedy", greedy=GreedySpec(1, 0.2, 3.0, 4)
    ),
    "checkpointed": replace(
        FULL_TRAINING,
        best=BestSpec("ssim_of_all", "min"),
        groups={"": {"image": 1.0}, "part": {"image": 0.25, "task": 0.75}},
        backward="checkpointed",
        checkpoint_every=2,
    ),
    "repeats": TrainingSpec(batch=BatchSpec(1, 1, 2)),
}


def name(case: tuple[str, Any]) -> str:
    return f"{case[0]}-{type(case[1]).__name__}"


@pytest.mark.parametrize("case", ALL, ids=name)
def test_a_registered_spec_comes_back_from_yaml_and_json(case: tuple[str, Any]) -> None:
    room, spec = case
    plain = named_to_plain(REGISTRIES[room], spec)
    for text in (yaml.safe_dump(plain), json.dumps(plain)):
        again = named_from_plain(REGISTRIES[room], load_yaml(text), room)
        assert again == spec
        assert type(again) is type(spec)


@pytest.mark.parametrize("room", REGISTRIES)
def test_the_examples_leave_no_kind_and_no_field_out(room: str) -> None:
    for entry in REGISTRIES[room].values():
        if not entry.spec.__module__.startswith("learnedrecon."):
            continue  # of a study that another test has imported
        examples = [spec for spec in EXAMPLES[room] if type(spec) is entry.spec]
        for field in optional(entry.spec):
            usual = default(field)
            values = [getattr(spec, field.name) for spec in examples]
            assert usual in values, (entry.spec, field.name)
            assert any(value != usual for value in values), (entry.spec, field.name)
        assert examples, entry.spec


@pytest.mark.parametrize("spec", EXAMPLES["operator"], ids=lambda spec: type(spec).__name__)
def test_an_operator_comes_back_from_its_file(tmp_path: Path, spec: object) -> None:
    write_geometry(tmp_path / "g.yaml", spec)
    for read in (read_geometry, read_operator, read_sample_geometry):
        assert read(tmp_path / "g.yaml") == spec


def configs() -> Iterator[tuple[str, Config]]:
    sections = (
        EllipseSpec(split="train"),
        EllipseSpec(split="validation"),
        EllipseSpec(split="test"),
    )
    data = DataConfig(*sections)
    plain = Config(OPERATOR, FBP().spec, data)
    for operator in EXAMPLES["operator"]:
        yield type(operator).__name__, replace(plain, operator=operator)
    for model in EXAMPLES["model"]:
        yield type(model).__name__, replace(plain, model=model)
    for label, training in TRAININGS.items():
        yield label, replace(plain, training=training)
    for noise in EXAMPLES["noise"]:
        yield type(noise).__name__, replace(plain, data=replace(data, simulation=Simulation(noise)))
    full = replace(data, simulation=Simulation(PoissonLog(10.0), (8, 9), 4), workers=2, draws=3)
    full = replace(full, mismatch="warn", images=EllipseSpec(split="train", seed=1))
    evaluation = EvaluationConfig("range=2.5", 3, 4, 5)
    yield (
        "rest",
        Config(
            OPERATOR,
            FBP().spec,
            full,
            "kullback_leibler",
            AbsoluteError("sum"),
            TrainingSpec(),
            evaluation,
            ("json", "email.message"),
        ),
    )


@pytest.mark.parametrize("case", [*configs()], ids=lambda case: case[0])
def test_a_configuration_comes_back_from_its_file(tmp_path: Path, case: tuple[str, Config]) -> None:
    """As ``config.yaml`` of a run folder does."""
    (tmp_path / "config.yaml").write_text(dump_config(case[1]), encoding="utf-8")
    assert read_config(tmp_path / "config.yaml") == case[1]
    assert read_operator(tmp_path) == case[1].operator


def test_the_configurations_leave_no_field_out() -> None:
    everything = [config for _, config in configs()]
    groups: tuple[list[Any], ...] = (
        everything,
        [config.data for config in everything],
        [config.evaluation for config in everything],
        list(TRAININGS.values()),
        *(
            [getattr(spec, part) for spec in TRAININGS.values()]
            for part in ("batch", "optimiser", "schedule", "checkpoint", "best")
        ),
    )
    for parts in groups:
        kind = type(parts[0])
        assert is_dataclass(kind)
        for field in optional(kind):
            assert any(getattr(part, field.name) != default(field) for part in parts), field.name
