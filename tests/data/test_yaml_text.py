"""YAML 1.2's core schema, and what is no plain data."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.helpers import within

from learnedrecon.data.yaml_text import dump_yaml, load_yaml, read_yaml
from learnedrecon.errors import ConfigError, FileFormatError, LearnedReconError

if TYPE_CHECKING:
    from pathlib import Path

# By the core schema of the specification of YAML 1.2.2, section 10.3.2, and its examples.
SCALARS: dict[str, object] = {
    "yes": "yes",
    "no": "no",
    "on": "on",
    "OFF": "OFF",
    "y": "y",
    "true": True,
    "False": False,
    "010": 10,
    "-08": -8,
    "0o10": 8,
    "0x1F": 31,
    "0b11": "0b11",
    "1_000": "1_000",
    "1:30": "1:30",
    "190:20:30": "190:20:30",
    "2001-01-01": "2001-01-01",
    "2001-13-01": "2001-13-01",
    "3e-3": 3e-3,
    "1.": 1.0,
    ".5": 0.5,
    "+.5e1": 5.0,
    "1e5": 1e5,
    "-.inf": -math.inf,
    "~": None,
    "null": None,
    "": None,
    "=": "=",
    "e3": "e3",
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_are_those_of_yaml_1_2(text: str) -> None:
    found = load_yaml(f"a: {text}")["a"]
    assert found == SCALARS[text]
    assert type(found) is type(SCALARS[text])
    assert math.isnan(load_yaml(".nan"))


texts = st.text(max_size=9) | st.from_regex(r"[-+.0-9eExob:_~nulytrsofa]{0,6}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=9,
)


@given(values)
@example("\x85")
@example({"a\x85b": ["ü"]})
@settings(deadline=None)
def test_what_is_written_is_read(plain: Any) -> None:
    """Any plain data, among them texts that look like numbers, in both versions of YAML."""
    text = dump_yaml(plain)
    assert load_yaml(text) == plain
    assert yaml.safe_load(text) == plain


STRANGE = {
    "an integer of thousands of digits": "a: " + "9" * 5000,
    "no integer": "a: !!int abc",
    "no float": "a: !!float x",
    "no truth value": "a: !!bool maybe",
    "no date": "a: !!timestamp x",
    "a date": "a: !!timestamp 2001-01-01",
    "a set": "a: !!set {b, c}",
    "bytes": "a: !!binary aGVsbG8=",
    "pairs": "a: !!omap [b: 1]",
    "lists in lists": "[" * 3000,
    "sections in sections": "{a: " * 3000,
    "closed lists": "[" * 500 + "]" * 500,
    "a key that is a list": "? [a]\n: 1",
    "a key that is a number": "1: 2",
    "a list that holds itself": "a: &a [*a]",
    "a section that holds itself": "&a {operator: *a}",
    "no YAML": "a: [1",
    "nothing printable": "a: \x07",
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_plain_data_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "c.yaml").write_text(STRANGE[name])
    with pytest.raises(LearnedReconError, match=r"Expected .*c\.yaml.* Found .* What to do: "):
        read_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize("number", [6, 9])
def test_aliases_cannot_fill_the_memory(number: int) -> None:
    """Six lines that stand for 10^6 values, which end even where they are read, and nine."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, number)]
    with pytest.raises(ConfigError, match="at most"):
        load_yaml("\n".join(lines))


def test_a_file_without_an_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", "/dev/zero"):
        with within(60), pytest.raises(FileFormatError, match="a pipe or a device"):
            read_yaml(path)
    (tmp_path / "large.yaml").write_text("#" * (1 << 23) + "\na: 1")
    with pytest.raises(FileFormatError, match="too large"):
        read_yaml(tmp_path / "large.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(FileFormatError, match="utf-8"):
        read_yaml(tmp_path / "latin.yaml")
    for path, found in ((tmp_path, "directory"), (tmp_path / "none.yaml", "no such file")):
        with pytest.raises(FileFormatError, match=found):
            read_yaml(path)
