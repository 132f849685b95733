"""The page about extensions: its blocks run as they stand, in Python and on the command line."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import torch

import learnedrecon as lr
from learnedrecon.config.extensions import REGISTRIES
from learnedrecon.errors import FileFormatError
from learnedrecon.models.start import start_of
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale
from learnedrecon.testing import check_operator, check_reconstructor

if TYPE_CHECKING:
    from collections.abc import Iterator

Lab: TypeAlias = Any
"""The module that the page makes."""

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
YAML = [text for kind, text in BLOCKS if kind == "yaml"]
COMMANDS = [text for kind, text in BLOCKS if kind == "sh"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("extending")
    (path / "my_lab.py").write_text("\n\n".join(PYTHON[:-1]), encoding="utf-8")
    (path / "my_command.py").write_text(PYTHON[-1], encoding="utf-8")
    (path / "mine.yaml").write_text(YAML[-1], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[Lab]:
    """The page's module; what it registers is forgotten at the end."""
    before = {kind: dict(registry._entries) for kind, registry in REGISTRIES.items()}
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("my_lab")
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("my_lab", None)
        for kind, registry in REGISTRIES.items():
            registry._entries.clear()
            registry._entries.update(before[kind])


def test_the_operator_passes_the_kit(lab: Lab) -> None:
    operator = lab.Shadow(size=6).double()
    check_operator(operator)
    assert operator.spec.size == 6


def test_what_a_step_tells_is_in_every_estimate(lab: Lab) -> None:
    operator = lab.Shadow(size=6)
    chain = lr.Chain([lab.WatchedStep(), lab.WatchedStep()])
    method = Iterative(chain, start_of("zero"), ImageScale(1.0))  # Shadow has norm one
    u = torch.rand(2, 1, 6, 6)
    problem = lr.InverseProblem(operator, operator(u))
    first, last = method.iterates(problem)
    assert torch.equal(method(problem).extra["moved"], last.extra["moved"])
    expected = operator.adjoint(operator(first.image) - problem.data).square().flatten(1).sum(1)
    torch.testing.assert_close(last.extra["moved"], expected, rtol=1e-5, atol=1e-6)


def test_the_scheme_runs_on_every_kind_of_image(lab: Lab) -> None:
    real = lab.Shadow(size=6)
    model = lab.ProximalDescent(iterations=2, hidden=3, like=real)
    check_reconstructor(model, lr.InverseProblem(real, torch.rand(2, 1, 6, 6)))
    spec = lr.operators.Cartesian((6, 7), coils=2)
    maps = torch.ones(2, 6, 7, dtype=torch.complex64) / 2**0.5
    complex_ = lr.operators.CartesianMRI(spec, None, maps)
    model = lab.ProximalDescent(iterations=2, hidden=3, like=complex_)
    data = torch.randn(2, 1, 2, 6, 7, dtype=torch.complex64)
    assert model(lr.InverseProblem(complex_, data)).image.shape == (2, 1, 6, 7)


def test_the_whole_page_on_the_command_line(folder: Path) -> None:
    program = str(Path(sys.executable).parent / "learnedrecon")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for line in COMMANDS[-1].strip().splitlines():
        command = [program, *line.split()[1:]]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
    probe = "import my_lab, my_command; print(my_command.main('runs/mine'))"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=folder, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 5
    unasked = (
        "import learnedrecon as lr\n"
        "try: lr.load_weights('runs/mine')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", unasked], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(FileFormatError.__name__)
    assert "import my_lab before loading" in done.stdout
