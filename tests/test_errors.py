"""Errors have one base, a built-in kin, and three parts."""

from __future__ import annotations

import inspect
import pickle

import pytest

from learnedrecon import errors
from learnedrecon.errors import LearnedReconError, describe, percent, shown

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]
KIN: dict[str, type[Exception]] = {
    "ShapeError": ValueError,
    "DtypeError": TypeError,
    "DataError": ValueError,
    "FileFormatError": ValueError,
    "GeometryError": ValueError,
    "ConfigError": ValueError,
    "DifferentiationError": RuntimeError,
    "PropertyError": AssertionError,
    "MissingExtraError": ImportError,
}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_the_common_base_and_a_text(kind: type[LearnedReconError]) -> None:
    assert issubclass(kind, LearnedReconError)
    assert str(kind("what happened")) == "what happened"
    assert kind.__doc__
    revived = pickle.loads(pickle.dumps(kind("what happened")))
    assert type(revived) is kind
    assert str(revived) == "what happened"


@pytest.mark.parametrize("name", KIN)
def test_errors_are_caught_as_the_built_in_that_python_would_raise(name: str) -> None:
    assert issubclass(getattr(errors, name), KIN[name])


def test_a_message_has_three_parts() -> None:
    text = describe(expected="2 axes", found="3 axes", fix="drop the last")
    assert text == "Expected 2 axes. Found 3 axes. What to do: drop the last."


LARGE: dict[str, object] = {
    "a text": "x" * 10**6,
    "lists": [[[["y"] * 100] * 100] * 100] * 100,
    "keys": dict.fromkeys(range(999), "z" * 99),
    "digits": 10**6000,
}


@pytest.mark.parametrize("name", LARGE)
def test_values_of_any_size_are_shown_in_few_words(name: str) -> None:
    value = LARGE[name]
    assert 0 < len(shown(value)) <= 80
    assert 0 < len(shown([value])) <= 80


def test_values_that_hold_themselves_are_shown() -> None:
    values: list[object] = []
    values.append(values)
    assert shown(values).startswith("[[")


def test_long_parts_are_cut_and_can_be_printed() -> None:
    """Names in files need not be characters: h5py and the system give lone surrogates."""
    text = describe(expected="a" * 10**5, found="name \udcff", fix="c")
    assert len(text) < 3000
    assert text.encode("utf-8").endswith(rb"Found name \udcff. What to do: c.")


def test_percent_has_no_power_of_ten() -> None:
    shares = (1.0, 0.996, 1 / 3, 0.0512, 0.0004, 0.0)
    assert [percent(share) for share in shares] == [
        "100 %",
        "100 %",
        "33 %",
        "5.1 %",
        "0.04 %",
        "0 %",
    ]
    assert percent(1 / 3, 3) == "33.3 %"
