"""The entry point: help is light, and errors are one message with an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from learnedrecon.cli.failure import Commands, complain
from learnedrecon.cli.main import app
from learnedrecon.errors import DataError, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

# Without pydantic, which typer itself imports.
HEAVY = {"torch", "numpy", "matplotlib", "h5py", "skimage", "accelerate"}
COMMANDS = (
    (),
    ("init",),
    ("train",),
    ("evaluate",),
    ("compare",),
    ("certify",),
    ("reconstruct",),
    ("check",),
    ("check", "data"),
    ("check", "operator"),
    ("check", "model"),
    ("env",),
    ("demo",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does(cli: Run, command: tuple[str, ...]) -> None:
    result = cli(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_help_of_every_command_loads_nothing_heavy() -> None:
    code = f"""
import sys
from typer.testing import CliRunner
from learnedrecon.cli.main import app
for command in {COMMANDS!r}:
    assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0
sys.stdout.write(" ".join(sys.modules))
"""
    words = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "learnedrecon.cli.main" in words
    assert not HEAVY & set(words)


def test_what_few_commands_need_is_not_loaded_with_the_others() -> None:
    """Of the modules behind `reconstruct` and `train`, before either has done anything."""
    heavy = ("matplotlib", "pydicom", "scipy.stats", "scipy.signal", "scipy.ndimage")
    code = (
        "import sys, learnedrecon.experiments.reconstruction, learnedrecon.experiments.training\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_version(cli: Run) -> None:
    result = cli("--version")
    assert result.exit_code == 0
    assert result.stdout.strip()[0].isdigit()


def test_an_unknown_command_is_a_usage_error(cli: Run) -> None:
    result = cli("trian")
    assert result.exit_code == 2
    assert "train" in result.stderr


def failing(error: BaseException) -> typer.Typer:
    app = typer.Typer(cls=Commands)

    @app.callback()
    def options(*, debug: bool = False) -> None:
        del debug

    @app.command()
    def fail() -> None:
        raise error

    return app


def test_an_error_for_users_is_three_lines_on_standard_error() -> None:
    error = DataError(describe(expected="a", found="b", fix="c"))
    result = CliRunner().invoke(failing(error), ["fail"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "Error: Expected a.\n  Found b.\n  What to do: c.\n"


@pytest.mark.parametrize("how", ["option", "option behind", "variable"])
def test_debugging_shows_the_traceback(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = DataError(describe(expected="a", found="b", fix="c"))
    if how == "variable":
        monkeypatch.setenv("LEARNEDRECON_DEBUG", "1")
    words = {"option": ["--debug", "fail"], "option behind": ["fail", "--debug"]}.get(how, ["fail"])
    result = CliRunner().invoke(failing(error), words)
    assert result.exception is error


def test_a_defect_keeps_its_traceback() -> None:
    error = ZeroDivisionError("a defect")
    assert CliRunner().invoke(failing(error), ["fail"]).exception is error


def test_an_interruption_exits_with_130() -> None:
    assert CliRunner().invoke(failing(KeyboardInterrupt()), ["fail"]).exit_code == 130


def test_a_message_of_the_system_gets_three_parts(capsys: pytest.CaptureFixture[str]) -> None:
    complain(OSError(28, "No space left on device", "metrics.jsonl"))
    text = capsys.readouterr().err
    assert "Expected to be able to read and write metrics.jsonl." in text
    assert "Found No space left on device." in text
    assert "What to do: " in text


def test_ctrl_c_saves_and_the_same_command_goes_on(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    settings = [*small, "--set", "training.steps=100000", "--set", "training.log_every=1"]
    words = [sys.executable, "-m", "learnedrecon.cli.main", "train", str(config), "-o", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*words, *settings], stderr=subprocess.PIPE, text=True, env=environment
    )
    metrics = folder / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_bytes().count(b"\n") > 4):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=600)
    assert process.returncode == 130, text
    assert "Saved after step" in text
    assert (folder / "checkpoints" / "last.safetensors").exists()
    changed = cli("train", config, "-o", folder, *small, "--resume")
    assert changed.exit_code == 2
    assert "training.steps is 2 and was 100000" in changed.stderr


PLAIN = "log ||u^ - u||^2/||u||^2"
LISTING = ["list", "losses", "log_squared_error"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_cannot_show_is_spelled_out(encoding: str) -> None:
    first = CliRunner(charset=encoding).invoke(app, LISTING).stdout.splitlines()[0]
    norm = {"utf-8": "log ‖û - u‖²/‖u‖²", "latin-1": "log ||û - u||²/||u||²"}
    assert first == f"log_squared_error: {norm.get(encoding, PLAIN)}"


def test_what_the_terminal_of_a_process_cannot_show_is_spelled_out() -> None:
    words = [sys.executable, "-m", "learnedrecon.cli.start", *LISTING]
    variables = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, check=True, capture_output=True, env=variables)
    assert done.stdout.decode("ascii").splitlines()[0] == f"log_squared_error: {PLAIN}"
