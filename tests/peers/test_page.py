"""The examples of docs/adapters.md with libraries outside the lock."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
EXAMPLES = [
    example
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if example.startswith(("import deepinv", "import astra"))
]


@pytest.mark.parametrize("example", EXAMPLES, ids=["deepinv", "astra"])
def test_an_example_runs(example: str) -> None:
    exec(compile(example, str(PAGE), "exec"), {})
