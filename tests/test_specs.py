"""Specs: plain data and back, and errors that name the place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnedrecon.errors import ConfigError, DataError
from learnedrecon.specs import (
    Entry,
    Registry,
    build,
    from_plain,
    named_from_plain,
    named_to_plain,
    to_plain,
    unknown,
)


@dataclass(frozen=True)
class Kernel:
    size: int = 3
    kind: Literal["box", "gauss"] = "box"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError("Expected a size of at least 1.")


@dataclass(frozen=True)
class Ring:
    inner: float
    outer: float


@dataclass(frozen=True)
class Network:
    width: int
    kernel: Kernel = field(default_factory=Kernel)
    shape: Kernel | Ring | None = None
    layers: tuple[Kernel, ...] = ()
    by_name: dict[str, Kernel] = field(default_factory=dict)


@dataclass(frozen=True)
class Unregistered:
    width: int = 1


REGISTRY: Registry[Any] = {
    "network": Entry(Network, lambda spec: spec.width * 2, "a network"),
    "kernel": Entry(Kernel, lambda spec: "k" * spec.size, "a kernel"),
}

kernels = st.builds(Kernel, st.integers(1, 9), st.sampled_from(["box", "gauss"]))
rings = st.builds(Ring, st.floats(0, 1), st.floats(1, 2))


@given(
    spec=st.builds(
        Network,
        width=st.integers(1, 99),
        kernel=kernels,
        shape=st.one_of(st.none(), kernels, rings),
        layers=st.lists(kernels, max_size=3).map(tuple),
    )
)
@settings(max_examples=50, deadline=None)
def test_plain_data_and_back(spec: Network) -> None:
    plain = json.loads(json.dumps(to_plain(spec)))
    assert plain == json.loads(json.dumps(asdict(spec)))
    assert from_plain(Network, plain) == spec
    named = json.loads(json.dumps(named_to_plain(REGISTRY, spec)))
    assert named["name"] == "network"
    assert named_from_plain(REGISTRY, named) == spec


def test_defaults_are_filled_in() -> None:
    assert from_plain(Network, {"width": 4}) == Network(4)
    assert from_plain(Network, {"width": 4, "kernel": {"size": 5}}).kernel == Kernel(5, "box")


UNKNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "top": ({"width": 1, "kernal": {}}, r"'kernal'.*did you mean 'kernel'"),
    "nested": ({"width": 1, "kernel": {"sise": 3}}, r"'kernel\.sise'.*did you mean 'size'"),
    "union": ({"width": 1, "shape": {"inner": 0, "outr": 1}}, r"'shape\.outr'.*'outer'"),
    "list": (
        {"width": 1, "layers": [{"size": 3}, {"siz": 3}]},
        r"'layers\.1\.siz'.*did you mean 'size'",
    ),
    "nothing near": ({"width": 1, "qqq": 2}, r"'qqq'.*What to do: choose one of these"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_keys_are_named_with_their_path(name: str) -> None:
    values, words = UNKNOWN[name]
    with pytest.raises(ConfigError, match=words):
        from_plain(Network, values)


def test_the_path_starts_where_the_caller_says() -> None:
    with pytest.raises(ConfigError, match=r"'model\.kernel\.sise'"):
        from_plain(Network, {"width": 1, "kernel": {"sise": 3}}, "model")


WRONG: dict[str, tuple[object, str]] = {
    "missing": ({}, r"a value of 'width'.*add 'width'"),
    "type": ({"width": "four"}, r"'width'.*integer.*Found 'four'"),
    "literal": ({"width": 1, "kernel": {"kind": "tent"}}, r"'kernel\.kind'.*'box' or 'gauss'"),
    "not a mapping": (5, r"'Network'.*Found 5"),
    "half": ({"width": 1.5}, r"'width'.*integer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_named_with_their_path(name: str) -> None:
    values, words = WRONG[name]
    with pytest.raises(ConfigError, match=words) as caught:
        from_plain(Network, values)
    for part in ("Expected", "Found", "What to do:"):
        assert part in str(caught.value)


def test_what_a_dataclass_raises_keeps_its_type_and_gains_a_path() -> None:
    with pytest.raises(DataError, match=r"In 'model\.kernel': Expected a size"):
        from_plain(Network, {"width": 1, "kernel": {"size": 0}}, "model")


def test_names_are_looked_up_with_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"'model\.name'.*did you mean 'network'"):
        named_from_plain(REGISTRY, {"name": "netwrok", "width": 1}, "model")
    for values in ({"width": 1}, [1], None):
        with pytest.raises(ConfigError, match=r"a 'name', one of kernel, network"):
            named_from_plain(REGISTRY, values, "model")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"Kernel, Network.*'Unregistered'"):
        named_to_plain(REGISTRY, Unregistered())


def test_build_finds_the_builder_of_the_type() -> None:
    assert build(REGISTRY, Network(4)) == 8
    assert build(REGISTRY, Kernel(2)) == "kk"
    with pytest.raises(ConfigError, match="'Unregistered'"):
        build(REGISTRY, Unregistered())


def test_the_given_data_are_left_alone() -> None:
    values = {"name": "network", "width": 1, "kernel": {"size": 5}}
    before = json.dumps(values)
    named_from_plain(REGISTRY, values)
    assert json.dumps(values) == before


def test_unknown_takes_lists_and_mappings() -> None:
    assert "one of a, b" in str(unknown("x", "c", ["b", "a"]))
    assert "one of a, b" in str(unknown("x", "c", {"b": 1, "a": 2}))


@dataclass(frozen=True)
class Started:
    start: str | Callable[[int], float] = "zero"


def test_truth_values_in_place_of_functions_are_explained() -> None:
    """The arguments of a function's type are a list, which is no member of a set."""
    assert from_plain(Started, {"start": "adjoint"}) == Started("adjoint")
    for value in (True, [True], [[False]]):
        with pytest.raises(ConfigError, match=r"'start.*What to do: "):
            from_plain(Started, {"start": value})
