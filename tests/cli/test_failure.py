"""How a command ends that is stopped, or that has not enough memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.cli.failure import first_process, out_of_memory, terminable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Place
    from typer.testing import Result

    Run = Callable[..., Result]

START = """
import os, sys
from learnedrecon.cli.start import main

module, number = sys.argv.pop(1), int(sys.argv.pop(1))

class Stops:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Stops())
main()
"""


def stopped(module: str, number: signal.Signals, *words: str) -> subprocess.CompletedProcess[str]:
    """A command to which a signal comes while it imports ``module``."""
    return subprocess.run(
        [sys.executable, "-c", START, module, str(int(number)), *words],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_interruptible,
    )


def _interruptible() -> None:
    """As in the foreground of a shell, wherever the tests run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("typer", signal.SIGINT),
        ("typer", signal.SIGTERM),
        ("torch", signal.SIGINT),
        ("accelerate", signal.SIGTERM),
    ],
)
def test_a_signal_in_the_first_second_ends_with_one_line(
    place: Place, module: str, number: signal.Signals
) -> None:
    words = [str(word) for word in place.train()]
    done = stopped(module, number, *words)
    text = "Interrupted." if number == signal.SIGINT else "Terminated."
    assert done.stderr.split() == [text]
    assert done.returncode == 128 + number
    assert not (place.folder / "run" / "config.yaml").exists()


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with terminable():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 7.45 TiB for an array"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_too_little_memory_is_one_message(cli: Run, place: Place, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    place.patch.setattr("learnedrecon.training.update.Supervised._backward", fail)
    result = cli(*place.train())
    assert result.exit_code == 2
    assert "Error: Expected enough memory.\n  Found " in result.stderr
    assert "What to do: make batches (training.batch.size" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_real_allocation_that_fails_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    assert not out_of_memory(RuntimeError("a defect"))


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "3"}, True),
        ({"MASTER_ADDR": "here"}, True),
        ({"MASTER_ADDR": "here", "RANK": "0"}, True),
        ({"MASTER_ADDR": "here", "RANK": "1"}, False),
    ],
)
def test_the_first_process_alone_prints(
    cli: Run, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, first: bool
) -> None:
    for name in ("MASTER_ADDR", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert first_process() is first
    result = cli("env")
    assert result.exit_code == 0
    assert bool(result.stdout) is first
    assert os.environ.get("RANK") == variables.get("RANK")
