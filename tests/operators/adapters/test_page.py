"""The examples of docs/adapters.md; those of libraries outside the lock run in tests/peers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "adapters.md"
OUTSIDE = ("import deepinv", "import astra")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
LOCKED = [example for example in EXAMPLES if not example.startswith(OUTSIDE)]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 8
    assert len(LOCKED) == 6


@pytest.mark.parametrize("number", range(len(LOCKED)))
def test_an_example_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(LOCKED[number], f"{PAGE}, example {number}", "exec"), names)
    assert "FAILED" not in capsys.readouterr().out


def test_every_file_that_is_named_exists() -> None:
    root = PAGE.parents[1]
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (root / name).exists()] == []
