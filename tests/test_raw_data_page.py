"""The page on raw scans runs as it stands, and its image is that of the closed form."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from tests.raw_scans import image
from typer.testing import CliRunner

from learnedrecon.cli.main import app
from learnedrecon.config.yaml_file import read_geometry

PAGE = (Path(__file__).parents[1] / "docs" / "raw-data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands from TIFF stacks with flats, darks, bad pixels and an axis off the centre."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    outputs = []
    for kind, text in BLOCKS:
        if kind == "python":
            exec(text, names)
        else:
            for line in text.strip().split("\n"):
                result = CliRunner().invoke(app, shlex.split(line)[1:])
                assert result.exit_code == 0, f"{line}\n{result.output}"
                outputs.append(result.output)
    assert len(outputs) == 3
    assert all("4 % of 99 detector pixels: 4 mended" in output for output in outputs)
    assert read_geometry("g.yaml").detector.axis_offset == pytest.approx(2.4, abs=0.05)
    u, truth = np.load("image.npy"), image(99)
    place = np.arange(99) - 49
    seen = np.hypot(place[:, None], place[None, :]) < 46
    assert np.linalg.norm((u - truth)[seen]) < 0.01 * np.linalg.norm(truth[seen])
