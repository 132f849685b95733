"""Two processes of gloo train the weights that one process with the same samples does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file
from tests.training.test_two_processes import free_port, variables_of
from tests.training.two_groups import KINDS, trained

from learnedrecon.training.accelerator import make_accelerator

if TYPE_CHECKING:
    from types import ModuleType


@pytest.mark.slow
def test_two_processes_train_what_one_does(tiny: ModuleType, tmp_path: Path) -> None:
    """Of the model, and of a tensor that is trained besides; with clipping and accumulation."""
    assert tiny.__name__ == "tiny"  # what ``trained`` imports
    script, port = Path(__file__).with_name("two_groups.py"), free_port()
    command = [sys.executable, str(script), str(tmp_path / "weights")]
    started = [
        subprocess.Popen(command, env=variables_of(rank, port), stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    ended = [(process.communicate(timeout=300)[1], process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0], ended
    for kind in KINDS:
        first, second = (load_file(tmp_path / f"weights.{kind}{rank}") for rank in range(2))
        alone = trained(make_accelerator(cpu=True), grouped=kind == "groups")
        for name, expected in alone.items():
            assert torch.equal(first[name], second[name]), (kind, name)
            torch.testing.assert_close(first[name], expected, rtol=1e-9, atol=1e-12, msg=name)
        assert alone["besides"] != 1.1
