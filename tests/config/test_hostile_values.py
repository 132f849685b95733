"""Any JSON value at any place of any registered spec gives a spec or a message of three parts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.config.hostile import changed
from tests.config.spec_examples import EXAMPLES, REGISTRIES

from learnedrecon.config.schema import Config, DataConfig
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.errors import ConfigError, LearnedReconError
from learnedrecon.models.classical import FBP
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.specs import from_plain, named_from_plain, named_to_plain, to_plain

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = [(room, spec) for room, specs in EXAMPLES.items() for spec in specs]
CONFIG = Config(
    ParallelBeam((4, 5), AngleRange(3), FlatDetector(7)),
    FBP().spec,
    DataConfig(EllipseSpec("dival"), EllipseSpec("dival"), EllipseSpec("dival")),
)


def accepted(read: Callable[[Any], object], values: Any) -> bool:
    """Whether the values are taken; what is not must be explained, and in few words."""
    try:
        read(values)
    except LearnedReconError as error:
        text = str(error)
        assert text.rindex("Expected") < text.rindex("Found") < text.rindex("What to do: "), text
        assert len(text) < 9000
        return False
    return True


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case[0]}-{type(case[1]).__name__}")
def test_of_registered_specs(case: tuple[str, Any]) -> None:
    room, spec = case
    rng = random.Random(0)
    plain = named_to_plain(REGISTRIES[room], spec)
    outcomes = [
        accepted(lambda values: named_from_plain(REGISTRIES[room], values, room), values)
        for values in (changed(plain, rng) for _ in range(150))
    ]
    assert outcomes.count(False) > 20


def test_of_configurations() -> None:
    rng, plain = random.Random(1), to_plain(CONFIG)
    outcomes = [
        accepted(lambda values: from_plain(Config, values), changed(plain, rng)) for _ in range(600)
    ]
    assert 20 < outcomes.count(False) < 600


TOO_SHORT: dict[str, tuple[dict[str, Any], str]] = {
    "shape": ({"shape": [16]}, r"number 2 in the list that ends at 'operator\.shape'.*\[16\]"),
    "nested": ({"shape": [4, 4], "pixel_size": [1.0]}, r"operator\.pixel_size"),
}


@pytest.mark.parametrize("name", TOO_SHORT)
def test_a_list_that_is_too_short_is_named(name: str) -> None:
    values, found = TOO_SHORT[name]
    beam = {"name": "parallel_beam", "angles": {"number": 3}, "detector": {"pixels": 5}}
    with pytest.raises(ConfigError, match=found):
        named_from_plain(REGISTRIES["operator"], beam | values, "operator")


@pytest.mark.parametrize("name", [{"a": 1}, ["x"], None, 3, "x" * 100_000])
@pytest.mark.parametrize("room", REGISTRIES)
def test_a_name_that_is_none_is_named(room: str, name: object) -> None:
    with pytest.raises(ConfigError, match=rf"'{room}\.name': one of") as caught:
        named_from_plain(REGISTRIES[room], {"name": name}, room)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("value", [True, [True, 4], [4, False]])
def test_truth_values_are_no_numbers(value: object) -> None:
    with pytest.raises(ConfigError, match="a number as 'shape"):
        from_plain(Cartesian, {"shape": value if isinstance(value, list) else [value, 4]})
