"""The configuration of a folder whose name is anything that a file system takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from learnedrecon.data.files.arrays import write_array
from learnedrecon.experiments.folder_config import config_text
from learnedrecon.experiments.text import one_line, quoted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name",
    [
        "\U0001f9e0 brain",
        "h\u00f6rnchen",
        "two\nlines: [",
        "next\x85line",
        "a\u2028b",
        "tab\tand\rreturn",
        "byte\udcff",
        '"quotes" and \\ # {braces}',
    ],
    ids=ascii,
)
def test_any_path_is_read_back(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="learnedrecon")
    folder = tmp_path / name
    for index in range(3):
        write_array(folder / f"{index}.npy", np.ones((4, 4), np.float32))
    text = config_text(folder, tmp_path / name / "c.yaml")
    values = yaml.safe_load(text.encode())
    for split in ("train", "validation", "test"):
        section = {"name": "pairs", "path": str(folder.resolve()), "split": split}
        assert values["data"][split] == section
    assert list(values) == ["operator", "model", "data", "training", "evaluation"]
    assert "3 samples" in caplog.text.encode().decode()


@given(st.text())
def test_quoted_text_is_one_line_of_yaml(text: str) -> None:
    assert yaml.safe_load(f"[a, {quoted(text)}, b]") == ["a", text, "b"]
    assert len(f"x{one_line(text)}x".splitlines()) == 1
    assert yaml.safe_load(f"a: 1 # {one_line(text)}") == {"a": 1}
