"""Constructor arguments as records: written once, checked at once, copied and restored."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch

from learnedrecon.errors import ConfigError
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.like import Like
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.recorded import Recorded, spec_type
from learnedrecon.specs import named_from_plain, named_to_plain, to_plain
from learnedrecon.weights.checkpoint import save_weights

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.problem import Problem


class Base(Recorded):
    """Two arguments, one with a default."""

    def __init__(self, width: int, scale: float = 0.5) -> None:
        self.values = (width, scale)

    @staticmethod
    def check(spec: Any) -> None:
        if spec.width < 1:
            raise ConfigError(f"Expected a width. Found {spec.width}. What to do: widen.")


class Derived(Base):
    """An argument more, and another default."""

    def __init__(self, width: int = 3, *, name: str = "a") -> None:
        super().__init__(width, 2.0)
        self.name = name


class Again(Derived):
    """The arguments of its parent."""


class Unreadable(Recorded):
    """An annotation that is there for type checkers alone."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def test_the_record_holds_all_arguments_and_defaults_are_those_of_the_signature() -> None:
    assert to_plain(Base(4).spec) == {"width": 4, "scale": 0.5}
    assert to_plain(Derived().spec) == {"width": 3, "name": "a"}
    assert Base.from_spec(Base(4, 1.5).spec).values == (4, 1.5)


def test_subclasses_have_records_of_their_own() -> None:
    derived, again = Derived(5, name="b"), Again(6)
    assert (derived.values, derived.name) == ((5, 2.0), "b")
    assert type(derived.spec) is spec_type(Derived)
    assert type(again.spec) is spec_type(Again) is not spec_type(Derived)
    assert again.values == (6, 2.0)
    assert type(Again.from_spec(again.spec)) is Again


def test_arguments_are_checked_where_they_are_given_and_where_a_file_is_read() -> None:
    with pytest.raises(ConfigError, match="Found 0") as given:
        Base(0)
    with pytest.raises(ConfigError, match="Found 0"):
        spec_type(Base)(width=0)
    assert "widen" in str(given.value)
    with pytest.raises(ConfigError, match=r"'width'.*valid integer.*'wide'"):
        Base("wide")  # type: ignore[arg-type]
    said = []
    for refuse in (
        lambda: LearnedPrimalDual(primal=1),
        lambda: named_from_plain(MODELS, {"name": "learned_primal_dual", "primal": 1}),
    ):
        with pytest.raises(ConfigError, match="'primal' of LearnedPrimalDualSpec") as caught:
            refuse()
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_python_says_which_arguments_are_wrong() -> None:
    with pytest.raises(TypeError, match="width"):
        Base()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="depth"):
        Base(1, depth=2)  # type: ignore[call-arg]


def test_records_are_values() -> None:
    spec = LearnedPrimalDual(2, hidden=4).spec
    assert pickle.loads(pickle.dumps(spec)) == spec == copy.deepcopy(spec)
    assert hash(spec) == hash(LearnedPrimalDual(2, hidden=4).spec)
    model = LearnedPrimalDual(2, hidden=4)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.spec == spec
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            assert torch.equal(p, q)


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    with pytest.raises(ConfigError, match=r"arguments of Unreadable.*Problem.*TYPE_CHECKING"):
        spec_type(Unreadable)


def test_arguments_without_names_are_refused() -> None:
    class Many(Recorded):
        def __init__(self, *sizes: int) -> None:
            self.sizes = sizes

    with pytest.raises(ConfigError, match=r"\*sizes.*recorded=False"):
        Many(1, 2)


def test_an_operator_is_recorded_as_plain_numbers() -> None:
    ray = RayTransform(ParallelBeam((6, 5), AngleRange(4), FlatDetector(9)))
    model = LearnedPrimalDual(1, like=ray)
    assert model.spec.like == Like()
    plain = json.loads(json.dumps(named_to_plain(MODELS, model.spec)))
    assert plain["like"]["image_axes"] == 2
    assert named_from_plain(MODELS, plain) == model.spec
    rgb = Like.of(Blur(PointSpread((6, 5), ((1.0,),))), 3)
    assert LearnedPrimalDual(1, like=rgb).spec.like.channels == 3
    with pytest.raises(ConfigError, match="like"):
        LearnedPrimalDual(1, like=3)  # type: ignore[arg-type]


def zero(problem: Problem) -> torch.Tensor:
    return torch.zeros_like(problem.adjoint(problem.data))


def test_a_function_as_start_is_for_python_and_not_for_files(tmp_path: Path) -> None:
    model = LearnedPrimalDual(1, start=zero)
    with pytest.raises(ConfigError, match=r"a start that a file can hold.*zero"):
        save_weights(tmp_path / "model.safetensors", model)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="a start, one of auto"):
        LearnedPrimalDual(1, start="above")  # type: ignore[arg-type]
