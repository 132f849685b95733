"""A run that is killed at any moment leaves whole files, and goes on to the same result."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
import yaml

from learnedrecon.training.loggers import JsonLines
from learnedrecon.training.state import Checkpoints
from learnedrecon.weights.checkpoint import Blueprint, load_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

STEPS = 200
KILLS = 10
EVERY = 5


class Driver:
    """Starts trainings one after the other in child processes."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self.requests = requests
        self.answers = answers

    def train(self, folder: Path, moments: int) -> int:
        """The exit code of a training that is killed at a moment, or never if it is 0."""
        self.requests.write(f"{folder} {STEPS} {moments}\n")
        self.requests.flush()
        return os.waitstatus_to_exitcode(int(self.answers.readline()))


@contextmanager
def driver() -> Iterator[Driver]:
    script = Path(__file__).with_name("kill_driver.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Driver(process.stdin, process.stdout)
        process.stdin.close()


def check_files(folder: Path, tiny: ModuleType) -> int:
    """All that is not hidden is whole; the step from which the run would go on."""
    for file in folder.rglob("*"):
        if file.name.startswith("."):
            continue
        if file.name == "config.yaml":
            assert yaml.safe_load(file.read_text()) == {"seed": 11}
        if file.name == "environment.json":
            assert json.loads(file.read_text())["packages"]
        if file.suffix == ".safetensors":
            load_weights(file, models=tiny.MODELS, operators=tiny.OPERATORS)
    done = [r["step"] for r in JsonLines(folder / "metrics.jsonl").read() if r["event"] == "train"]
    assert done == list(range(1, len(done) + 1))
    progress = Checkpoints(folder / "checkpoints", Blueprint({})).progress()
    saved = 0 if progress is None else progress.step
    assert len(done) - EVERY <= saved <= len(done)
    return saved


@pytest.mark.slow
def test_killed_ten_times(tiny: ModuleType, tmp_path: Path) -> None:
    moments = random.Random(20)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    saved = [0]
    halves = 0
    with driver() as children:
        assert children.train(whole, 0) == 0
        for number in range(KILLS):
            moment = moments.randint(1, 20 if number % 3 == 0 else STEPS)
            assert children.train(killed, moment) == -signal.SIGKILL
            saved.append(check_files(killed, tiny))
            halves += len(list((killed / "checkpoints").glob(".*")))
        assert saved == sorted(saved)
        assert len(set(saved)) > 2
        assert halves > 0
        assert children.train(killed, 0) == 0
    tiny.assert_same_run(whole, killed)
    assert {path.name for path in killed.rglob(".*")} == {".lock"}
