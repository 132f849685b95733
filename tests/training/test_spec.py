from __future__ import annotations

from typing import Literal

import pytest

from learnedrecon.errors import ConfigError
from learnedrecon.specs import from_plain, to_plain
from learnedrecon.training.spec import (
    BatchSpec,
    BestSpec,
    CheckpointSpec,
    OptimiserSpec,
    ScheduleSpec,
    TrainingSpec,
)


def test_plain_data_and_back() -> None:
    spec = TrainingSpec(
        steps=7,
        batch=BatchSpec(size=5, repeats=10),
        optimiser=OptimiserSpec(betas=(0.9, 0.99), rates={"task": 1e-4}),
        schedule=ScheduleSpec(kind="inverse_time", every=500),
        checkpoint=CheckpointSpec(seconds=None),
        average=0.999,
        best=BestSpec("loss", "min"),
        groups={"reconstruction": {"image": 0.7, "task": 0.3}, "task": {"task": 1.0}},
        backward="checkpointed",
        checkpoint_every=3,
    )
    assert from_plain(TrainingSpec, to_plain(spec)) == spec


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"clip_norm": float("inf")}, "clip_norm"),
        ({"average": 1.0}, "average"),
        ({"validate_every": 0}, "validate_every"),
        ({"log_every": -1}, "log_every"),
        ({"seed": 2**32}, "seed"),
        ({"precision": "fp8"}, "precision"),
        ({"batch": {"accumulate": 0}}, "accumulate"),
        ({"optimiser": {"learning_rate": 0}}, "learning_rate"),
        ({"optimiser": {"learning_rate": float("nan")}}, "learning_rate"),
        ({"optimiser": {"betas": [0.9, 1.0]}}, "betas"),
        ({"optimiser": {"decay": 1.0}}, "decay"),
        ({"optimiser": {"epsilon": 0}}, "epsilon"),
        ({"schedule": {"warmup": 1.0}}, "warmup"),
        ({"schedule": {"rate": -1.0}}, "rate"),
        ({"schedule": {"every": 0}}, "every"),
        ({"checkpoint": {"every": 0}}, "every"),
        ({"checkpoint": {"seconds": 0}}, "seconds"),
        ({"optimizer": {}}, "optimiser"),
        ({"optimiser": {"rates": {"task": 0.0}}}, "rates"),
        ({"best": {"metric": ""}}, "metric"),
        ({"best": {"mode": "most"}}, "mode"),
        ({"groups": {}}, "groups"),
        ({"groups": {"task": {}}}, "groups"),
        ({"groups": {"task": {"image": float("nan")}}}, "groups"),
        ({"groups": {"task": {"image": 1.0}}, "strategy": "greedy"}, "groups"),
        ({"backward": "forward"}, "backward"),
        ({"backward": "checkpointed", "checkpoint_every": 0}, "checkpoint_every"),
        ({"checkpoint_every": 2}, "backward"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        from_plain(TrainingSpec, values)


@pytest.mark.parametrize(
    ("mode", "value", "best", "better"),
    [
        ("max", 2.0, None, True),
        ("max", 2.0, 1.0, True),
        ("max", 1.0, 1.0, False),
        ("min", 1.0, 2.0, True),
        ("min", 2.0, 1.0, False),
        ("min", float("nan"), None, False),
        ("max", float("nan"), 1.0, False),
    ],
)
def test_which_of_two_is_better(
    mode: Literal["max", "min"], value: float, best: float | None, *, better: bool
) -> None:
    assert BestSpec("loss", mode).better(value, best) is better
