"""The tutorial runs as it stands: its Python, then its commands, in one folder.

In this process: what programs of their own do is the matter of ``test_extending``.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from learnedrecon.cli.main import app

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = "\n".join(text for kind, text in BLOCKS if kind == "python")
    (tmp_path / "page.py").write_text(program, encoding="utf-8")
    runpy.run_path("page.py", run_name="__main__")
    for line in "".join(text for kind, text in BLOCKS if kind == "sh").splitlines():
        name, *words = line.split()
        assert name == "learnedrecon"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{line}\n{done.output}"
    assert (tmp_path / "disc00.png").stat().st_size > 100
    assert (tmp_path / "runs" / "comparison" / "results.json").exists()
