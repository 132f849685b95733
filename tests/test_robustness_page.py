"""The page of faults names tests that are there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| F\d+ ", line)]
NUMBERS = {*range(1, 6), 7, 8, 9, 11, 12, 15, 16, 17, 18, 19, 22, *range(24, 27), 28}
NUMBERS |= {*range(31, 35), 36, 38, 39, 41, 43, *range(45, 48), 51, 52, *range(54, 57)}
NUMBERS |= {60, 61, 62, 63}


def test_every_fault_has_a_row_of_five_columns() -> None:
    assert {int(number) for number in re.findall(r"^\| F(\d+) ", TEXT, re.MULTILINE)} == NUMBERS
    assert all(row.count("|") == 6 and all(row.split("|")[1:-1]) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split()[1])
def test_the_test_of_a_fault_exists(row: str) -> None:
    (node,) = re.findall(r"`(tests/[^`]+)`", row)
    path, _, name = node.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_every_script_of_the_hunt_is_right_and_its_tests_exist() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "faults.json").read_text("utf-8"))
    assert len(rows["scripts"]) == 33
    for row in rows["scripts"]:
        assert row["right"], row["script"]
        assert f"| {row['script']} |" in TEXT
        for node in row["tests"]:
            path, _, name = node.partition("::")
            assert f"`{node}`" in TEXT
            assert f"def {name}(" in (ROOT / path).read_text("utf-8")


def test_contributors_are_led_here() -> None:
    assert "docs/robustness.md" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
