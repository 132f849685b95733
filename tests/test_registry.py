"""Names for classes: looked up, added, and never taken twice by different ones."""

from __future__ import annotations

import pytest

from learnedrecon.errors import ConfigError
from learnedrecon.models.registry import MODELS
from learnedrecon.recorded import Recorded
from learnedrecon.registry import Registry, entry_of
from learnedrecon.specs import build, named_from_plain, named_to_plain


class Tool(Recorded, recorded=False):
    """What the registry holds."""


class Hammer(Tool):
    """A hammer of some weight."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight


def hammer_from(module: str, length: int = 1) -> type[Tool]:
    """A class of the name Hammer, as a notebook defines it once more."""

    class Hammer(Tool):
        """Another hammer."""

        def __init__(self, length: int = length) -> None:
            self.length = length

    Hammer.__module__ = module
    return Hammer


def registry() -> Registry[Tool]:
    return Registry("tool", Tool, {"hammer": entry_of(Hammer)})


def test_an_entry_builds_from_plain_data_and_back() -> None:
    tools = registry()
    spec = named_from_plain(tools, {"name": "hammer", "weight": 2})
    tool = build(tools, spec)
    assert isinstance(tool, Hammer)
    assert tool.weight == 2.0
    assert named_to_plain(tools, tool.spec) == {"name": "hammer", "weight": 2.0}
    assert tools.name_of(tool.spec) == "hammer"
    assert tools.name_of(3) is None
    assert tools["hammer"].summary == "A hammer of some weight."


def test_names_of_the_library_cannot_be_taken() -> None:
    with pytest.raises(ConfigError, match=r"a new name of a tool.*'hammer'"):
        registry().add("hammer", entry_of(hammer_from("mine")))


def test_a_class_defined_again_takes_its_place_and_another_does_not() -> None:
    tools = registry()
    first, again = hammer_from("mine"), hammer_from("mine", 2)
    tools.add("own", entry_of(first))
    tools.add("own", entry_of(again))
    assert type(build(tools, tools["own"].spec())) is again
    with pytest.raises(ConfigError, match="a new name of a tool"):
        tools.add("own", entry_of(hammer_from("theirs")))
    assert (tools.outside("own"), tools.outside("hammer"), tools.outside("saw")) == (
        "mine",
        None,
        None,
    )
    assert list(tools) == ["hammer", "own"]


def test_every_method_has_a_summary_of_one_line() -> None:
    summaries = [entry.summary for entry in MODELS.values()]
    assert len(set(summaries)) == len(summaries)
    assert all(s and "\n" not in s and len(s) <= 90 for s in summaries)
