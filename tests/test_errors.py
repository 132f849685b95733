"""Errors have one base, a built-in kin, and three parts."""

from __future__ import annotations

import inspect
import pickle

import pytest

from learnedrecon import errors
from learnedrecon.errors import LearnedReconError, describe

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
