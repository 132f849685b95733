"""The tutorial runs as it stands: its Python, then its commands, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = "\n".join(text for kind, text in BLOCKS if kind == "python")
    (tmp_path / "page.py").write_text(program, encoding="utf-8")
    commands = [f"{sys.executable} page.py"]
    commands += [line for kind, text in BLOCKS if kind == "sh" for line in text.strip().split("\n")]
    learnedrecon = str(Path(sys.executable).parent / "learnedrecon")
    for line in commands:
        words = [learnedrecon if word == "learnedrecon" else word for word in line.split()]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "disc00.png").stat().st_size > 100
    assert (tmp_path / "runs" / "comparison" / "results.json").exists()
